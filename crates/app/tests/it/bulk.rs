//! Tracks by the ten thousands in one request.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;

use crate::program::Data;

/// Tracks as NDJSON, made as they are read.
struct Lines {
    next: usize,
    end: usize,
    rest: Vec<u8>,
    read: u64,
}

impl Lines {
    fn new(count: usize) -> Self {
        Self { next: 0, end: count, rest: Vec::new(), read: 0 }
    }
}

impl Read for Lines {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if self.rest.is_empty() && self.next < self.end {
            // A line in a thousand is wrong.
            let year = if self.next % 1000 == 999 { json!("long ago") } else { json!(1990) };
            let track = json!({
                "title": format!("Title {}", self.next), "artist": format!("Artist {}", self.next % 977), "year": year,
                "path": format!("/m/{}.flac", self.next), "note": "x".repeat(2_000),
            });
            self.rest = format!("{track}\n").into_bytes();
            self.next += 1;
        }
        let taken = self.rest.len().min(out.len());
        out[..taken].copy_from_slice(&self.rest[..taken]);
        self.rest.drain(..taken);
        self.read += taken as u64;
        Ok(taken)
    }
}

#[test]
fn fifty_thousand_tracks_are_not_held_in_memory() {
    let data = Data::without_model();
    let server = data.serve();
    // Once around, so that what is kept from then on is there.
    assert_eq!(server.stream("/api/tracks/batch", "application/x-ndjson", Lines::new(500)).0, 200);
    let before = server.peak_memory();
    let mut lines = Lines::new(50_000);
    let (status, report) = server.stream("/api/tracks/batch", "application/x-ndjson", &mut lines);
    let grown = server.peak_memory().saturating_sub(before);
    assert_eq!((status, &report["created"], &report["failed_count"]), (200, &49_450.into(), &50.into()), "{report}");
    assert_eq!((&report["failed"][0]["index"], &report["failed"][49]["index"]), (&999.into(), &49_999.into()));
    println!("{} MB were sent, {:.1} MB more were held at once", lines.read / 1_000_000, grown as f64 / 1e6);
    assert!(lines.read > 100_000_000 && grown < 64_000_000, "{grown} bytes for a body of {}", lines.read);
    assert_eq!(server.get("/api/stats").1["tracks"], 49_950);
}

#[test]
fn a_client_that_is_gone_leaves_what_it_had_sent() {
    let data = Data::without_model();
    let server = data.serve();
    let mut lines = Vec::new();
    Lines::new(900).read_to_end(&mut lines).unwrap();
    let mut client = TcpStream::connect(&server.address).unwrap();
    let head = "POST /api/tracks/batch HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\n\
                transfer-encoding: chunked\r\n\r\n";
    write!(client, "{head}{:x}\r\n", lines.len()).unwrap();
    client.write_all(&lines).unwrap();
    client.write_all(b"\r\n14\r\n{\"title\": \"cut off\",").unwrap();
    drop(client);
    server.wait_until(|| server.get("/api/stats").1["tracks"] == 900);
    assert_eq!(server.get("/api/search?q=cut+off").0, 503);
    assert_eq!(server.get("/api/tracks/search?q=cut+off").1, json!([]), "half a line is no track");
}
