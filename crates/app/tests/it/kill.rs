//! Nothing is lost when the process is killed.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::demo_catalogue::CATALOGUE;
use crate::program::Data;

/// Vectors by track, as they lie in the file.
fn vectors(data: &Data) -> BTreeMap<String, Vec<u8>> {
    let database = rusqlite::Connection::open(data.path().join("soniquebay.db")).unwrap();
    let mut statement = database
        .prepare("SELECT artist || ' - ' || title, vector FROM track_vectors JOIN tracks ON tracks.id = track_id")
        .unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let all: Vec<(String, Vec<u8>)> = rows.map(Result::unwrap).collect();
    let count = all.len();
    let by_name: BTreeMap<_, _> = all.into_iter().collect();
    assert_eq!(by_name.len(), count, "each is stored once");
    by_name
}

#[test]
fn twenty_kills_lose_no_vector() {
    let undisturbed = Data::with_model();
    let catalogue = undisturbed.beside("demo.jsonl");
    std::fs::write(&catalogue, CATALOGUE).unwrap();
    let catalogue = catalogue.to_str().unwrap();
    undisturbed.run(&["import", catalogue]).expect(0);
    let expected = vectors(&undisturbed);
    assert_eq!(expected.len(), CATALOGUE.lines().count());

    let data = Data::with_model();
    let lines: Vec<&str> = CATALOGUE.lines().collect();
    let mut random = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    println!("seed {random}");
    let mut next = |below: u64| {
        // SplitMix64.
        random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = (random ^ (random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % below
    };
    let (mut created, mut written, mut killed_at_work) = (0, 0, 0);
    for round in 0..20 {
        let server = data.serve();
        let address = server.address.clone();
        // Another year each round: every write changes its track, so that there is a vector to make.
        let tracks = lines.iter().cycle().skip(round * 97).map(|line| {
            let mut track: serde_json::Value = serde_json::from_str(line).unwrap();
            track["year"] = json!(1900 + round);
            track
        });
        std::thread::scope(|scope| {
            let posting = scope.spawn(|| {
                let (mut created, mut written) = (0, 0);
                for track in tracks.take(2_000) {
                    // The server dies under us: an answer that does not come promises nothing.
                    let Ok(answer) = ureq::post(format!("http://{address}/api/tracks/")).send_json(track) else {
                        break;
                    };
                    created += usize::from(answer.status() == 201);
                    written += usize::from(answer.status().is_success());
                }
                (created, written)
            });
            // The moment is the test's subject, not something to wait for.
            std::thread::sleep(Duration::from_millis(next(400)));
            server.kill();
            let (created_now, written_now) = posting.join().unwrap();
            created += created_now;
            written += written_now;
            killed_at_work += usize::from(written_now < 2_000);
        });
    }
    println!("{written} writes answered, {killed_at_work} of 20 kills during writes");
    assert_eq!(killed_at_work, 20);
    // What was answered as stored is there, whatever came after.
    let database = rusqlite::Connection::open(data.path().join("soniquebay.db")).unwrap();
    let stored: usize = database.query_row("SELECT count(*) FROM tracks", [], |row| row.get(0)).unwrap();
    assert!(created > 0 && stored >= created, "{stored} of {created}");
    let whole: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(whole, "ok");

    let server = data.serve();
    let report = data.run(&["import", catalogue, "--json"]).expect(0).json();
    assert_eq!(report["failed_total"], 0);
    let jobs: i64 = database.query_row("SELECT count(*) FROM jobs", [], |row| row.get(0)).unwrap();
    assert_eq!(jobs, 0, "no job is left over");
    let found = vectors(&data);
    assert_eq!(found.len(), expected.len());
    for (name, vector) in &expected {
        assert!(found.get(name) == Some(vector), "{name} has another vector");
    }
    let (status, answer) = server.post("/api/similar", &json!({"seeds": [{"track_id": 1}], "limit": 3}).to_string());
    assert_eq!((status, answer["items"].as_array().unwrap().len()), (200, 3));
}

#[test]
fn an_import_takes_over_from_a_server_that_dies() {
    let data = Data::with_model();
    let catalogue = data.beside("demo.jsonl");
    std::fs::write(&catalogue, CATALOGUE).unwrap();
    let server = data.serve();
    let mut import = data.command(&["import", catalogue.to_str().unwrap()]).stderr(Stdio::null()).spawn().unwrap();
    // The import has written its tracks and watches once the server has made the first vectors.
    let database = rusqlite::Connection::open(data.path().join("soniquebay.db")).unwrap();
    let count = |sql: &str| -> i64 { database.query_row(sql, [], |row| row.get(0)).unwrap() };
    while count("SELECT count(*) FROM track_vectors") == 0 {
        assert!(import.try_wait().unwrap().is_none(), "the import waits for vectors");
        std::thread::sleep(Duration::from_millis(2));
    }
    server.kill();
    assert_eq!(import.wait().unwrap().code(), Some(0));
    assert_eq!(vectors(&data).len(), CATALOGUE.lines().count());
    assert_eq!(count("SELECT count(*) FROM jobs"), 0);
}

#[test]
fn ctrl_c_ends_an_import_that_waits_for_its_input() {
    let data = Data::with_model();
    let mut import = data.command(&["import", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let database = data.path().join("soniquebay.db");
    while !database.exists() {
        std::thread::sleep(Duration::from_millis(2));
    }
    let interrupted = Command::new("kill").args(["-INT", &import.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    assert_eq!(import.wait().unwrap().code(), Some(130));
}

#[test]
fn ctrl_c_keeps_what_was_done() {
    let data = Data::with_model();
    let server = data.serve();
    assert_eq!(server.post("/api/tracks/", r#"{"title":"A","artist":"B"}"#).0, 201);
    server.wait_until_vectorized();
    assert_eq!(server.terminate(), Some(0));
    assert_eq!(vectors(&data).len(), 1);
}
