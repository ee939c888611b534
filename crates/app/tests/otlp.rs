//! Traces of the real binary, as a collector gets them. Built with the feature `otlp`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    dead_code,
    reason = "a test fails by panicking; other tests use more of the program under test"
)]

#[path = "it/program.rs"]
mod program;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use program::{Data, Server};

/// A span as it arrived.
#[derive(Clone, Debug)]
struct Span {
    service: String,
    name: String,
    kind: u64,
    trace: Vec<u8>,
    id: Vec<u8>,
    parent: Vec<u8>,
    attributes: Vec<(String, Value)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Text(String),
    Number(u64),
    Other,
}

impl Span {
    fn says(&self, key: &str) -> &Value {
        &self.attributes.iter().find(|(known, _)| known == key).unwrap_or_else(|| panic!("no {key} in {self:?}")).1
    }
}

/// As much of protobuf as a span takes: a field is a number, or bytes.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    fn bytes(&self) -> &'a [u8] {
        let Self::Bytes(bytes) = self else { panic!("a number where bytes should be") };
        bytes
    }

    fn text(&self) -> String {
        String::from_utf8(self.bytes().to_vec()).unwrap()
    }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        number |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            return number;
        }
    }
}

fn fields(mut bytes: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let length = match tag & 7 {
            0 => {
                fields.push((tag >> 3, Field::Number(varint(&mut bytes))));
                continue;
            }
            1 => 8,
            2 => usize::try_from(varint(&mut bytes)).unwrap(),
            5 => 4,
            other => panic!("protobuf has no wire type {other}"),
        };
        let (field, rest) = bytes.split_at(length);
        fields.push((tag >> 3, Field::Bytes(field)));
        bytes = rest;
    }
    fields
}

/// `KeyValue { key = 1, value = 2 }`, with `AnyValue { string_value = 1, int_value = 3 }`.
fn attribute(bytes: &[u8]) -> (String, Value) {
    let (mut key, mut value) = (String::new(), Value::Other);
    for (number, field) in fields(bytes) {
        match number {
            1 => key = field.text(),
            _ => match fields(field.bytes()).first() {
                Some((1, text)) => value = Value::Text(text.text()),
                Some((3, Field::Number(number))) => value = Value::Number(*number),
                _ => {}
            },
        }
    }
    (key, value)
}

/// `ExportTraceServiceRequest { resource_spans = 1 }`, `ResourceSpans { resource = 1, scope_spans = 2 }`, `ScopeSpans { spans = 2 }`.
fn spans(request: &[u8]) -> Vec<Span> {
    let mut spans = Vec::new();
    for (_, resource_spans) in fields(request) {
        let mut service = String::new();
        for (number, field) in fields(resource_spans.bytes()) {
            let inner = fields(field.bytes());
            if number == 1 {
                let attributes: Vec<_> = inner.iter().filter(|(number, _)| *number == 1).collect();
                let mut named = attributes.iter().map(|(_, field)| attribute(field.bytes()));
                service = format!("{:?}", named.find(|(key, _)| key == "service.name").unwrap().1);
            } else if number == 2 {
                let inner = inner.iter().filter(|(number, _)| *number == 2);
                spans.extend(inner.map(|(_, field)| span(&service, field.bytes())));
            }
        }
    }
    spans
}

fn span(service: &str, bytes: &[u8]) -> Span {
    let (trace, id, parent) = (Vec::new(), Vec::new(), Vec::new());
    let (service, name) = (service.to_owned(), String::new());
    let mut span = Span { service, name, kind: 0, trace, id, parent, attributes: Vec::new() };
    for (number, field) in fields(bytes) {
        match (number, &field) {
            (1, _) => span.trace = field.bytes().to_vec(),
            (2, _) => span.id = field.bytes().to_vec(),
            (4, _) => span.parent = field.bytes().to_vec(),
            (5, _) => span.name = field.text(),
            (6, Field::Number(kind)) => span.kind = *kind,
            (9, _) => span.attributes.push(attribute(field.bytes())),
            _ => {}
        }
    }
    span
}

/// Takes spans as an OpenTelemetry collector does.
struct Collector {
    address: SocketAddr,
    spans: Arc<Mutex<Vec<Span>>>,
}

impl Collector {
    fn start(listener: TcpListener) -> Self {
        let (address, spans) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let taken = Arc::clone(&spans);
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let taken = Arc::clone(&taken);
                std::thread::spawn(move || while take(&connection, &taken).is_some() {});
            }
        });
        Self { address, spans }
    }

    /// The spans of this name so far.
    fn named(&self, name: &str) -> Vec<Span> {
        self.spans.lock().unwrap().iter().filter(|span| span.name == name).cloned().collect()
    }
}

/// One request; `None` where the connection has ended.
fn take(mut connection: &TcpStream, taken: &Mutex<Vec<Span>>) -> Option<()> {
    let mut reader = BufReader::new(connection);
    let (mut head, mut line) = (String::new(), String::new());
    while reader.read_line(&mut line).ok()? > 0 && line != "\r\n" {
        head.push_str(&line.to_ascii_lowercase());
        line.clear();
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"))?.trim().parse().ok()?;
    assert!(head.starts_with("post /v1/traces ") && head.contains("content-type: application/x-protobuf"), "{head}");
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    taken.lock().unwrap().extend(spans(&body));
    connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n").ok()
}

fn serve(data: &Data, collector: SocketAddr, environment: &[(&str, &str)]) -> Server {
    let mut command: Command = data.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{collector}")).envs(environment.iter().copied());
    Server::start(command)
}

#[test]
fn requests_jobs_and_embedding_arrive_as_spans() {
    let collector = Collector::start(TcpListener::bind("127.0.0.1:0").unwrap());
    let data = Data::with_model();
    // Nothing would be sent before the end: what arrives was sent by it.
    let server = serve(&data, collector.address, &[("OTEL_BSP_SCHEDULE_DELAY", "3600000")]);
    assert_eq!(server.post("/api/tracks", r#"{"title": "One", "artist": "Somebody"}"#).0, 201);
    server.wait_until_vectorized();
    let asked_by = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    assert_eq!(server.ask("GET", "/api/tracks/1", &[("traceparent", asked_by)]).0, 200);
    assert_eq!(server.get("/api/tracks/2").0, 404);
    assert_eq!(server.terminate(), Some(0));

    let read = collector.named("GET /api/tracks/{id}");
    assert_eq!(read.len(), 2, "{:?}", collector.spans.lock().unwrap());
    for (span, status, path) in [(&read[0], 200, "/api/tracks/1"), (&read[1], 404, "/api/tracks/2")] {
        assert_eq!((span.service.as_str(), span.kind), (r#"Text("soniquebay")"#, 2));
        assert_eq!(span.says("http.response.status_code"), &Value::Number(status));
        assert_eq!(span.says("http.route"), &Value::Text("/api/tracks/{id}".to_owned()));
        assert_eq!(span.says("path"), &Value::Text(path.to_owned()));
    }
    // The first was asked within somebody else's trace.
    assert_eq!(read[0].trace, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes());
    assert_eq!(read[0].parent, 0xb7ad_6b71_6920_3331_u64.to_be_bytes());
    assert!(read[1].parent.is_empty() && read[1].trace != read[0].trace);

    let [jobs, vectorize, embed, settle] = ["jobs", "vectorize", "embed", "settle"].map(|name| {
        let named = collector.named(name);
        named.into_iter().next().unwrap_or_else(|| panic!("no span {name}: {:?}", collector.spans.lock().unwrap()))
    });
    assert_eq!([&vectorize.parent, &settle.parent], [&jobs.id, &jobs.id]);
    assert_eq!((&embed.parent, &embed.trace), (&vectorize.id, &jobs.trace));
    assert_eq!(embed.says("model"), &Value::Text("all-MiniLM-L6-v2".to_owned()));
    assert_eq!(vectorize.says("tracks"), &Value::Number(1));
}

#[test]
fn a_collector_that_is_away_is_told_once_and_found_again() {
    let data = Data::without_model();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let names = [("OTEL_BSP_SCHEDULE_DELAY", "20"), ("OTEL_SERVICE_NAME", "living-room")];
    let server = serve(&data, address, &names);
    server.wait_until(|| server.get("/healthz").0 == 200 && server.log().contains("traces do not reach"));
    // Several more batches fail.
    for _ in 0..20 {
        assert_eq!(server.get("/api/stats").0, 200);
        std::thread::sleep(Duration::from_millis(25));
    }
    let collector = Collector::start(TcpListener::bind(address).unwrap());
    server.wait_until(|| server.get("/healthz").0 == 200 && server.log().contains("traces reach"));
    server.wait_until(|| !collector.named("GET /healthz").is_empty());
    assert_eq!(collector.named("GET /healthz")[0].service, r#"Text("living-room")"#);
    assert_eq!(server.log().matches("traces do not reach").count(), 1, "{}", server.log());
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn a_collector_that_hangs_holds_nobody_up() {
    let data = Data::without_model();
    // Connections are taken by the system, and nobody ever answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = serve(&data, listener.local_addr().unwrap(), &[("OTEL_BSP_SCHEDULE_DELAY", "20")]);
    let began = Instant::now();
    for _ in 0..100 {
        assert_eq!(server.get("/healthz").0, 200);
    }
    // One try takes five seconds.
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    let began = Instant::now();
    assert_eq!(server.terminate(), Some(0));
    assert!(began.elapsed() < Duration::from_millis(4500), "{:?}", began.elapsed());
}
