//! Keys, networks and slow clients, asked of the program itself.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use soniquebay_testkit::redis::free_port;

use crate::program::{Data, Server};
use crate::services::Town;

/// How long a change of the keys may take to count.
const A_SECOND: Duration = Duration::from_secs(1);

fn create_key(data: &Data, name: &str, scope: &str) -> String {
    let made = data.run(&["keys", "create", name, "--scope", scope]).expect(0);
    let key = made.out.trim().to_owned();
    assert!(key.starts_with("sb_") && key.len() == 46, "256 bits: {key}");
    assert!(!made.err.contains(&key), "{}", made.err);
    key
}

/// Until it is so, for a second at most.
fn within_a_second(mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < A_SECOND, "it took longer than a second");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn whoever_reaches_it_shows_a_key_and_no_log_shows_it() {
    let data = Data::without_model();
    let refused = data.run(&["serve", "--listen", "0.0.0.0:0"]).expect(2).err;
    for way in ["keys create", "TRUSTED_NETWORKS", "--insecure", "LET EVERYBODY IN"] {
        assert!(refused.contains(way), "{way} in {refused}");
    }
    let writer = create_key(&data, "writer", "write");
    data.run(&["keys", "create", "writer"]).expect(2);
    data.run(&["keys", "create", "two words"]).expect(2);
    data.run(&["keys", "create", "x", "--scope", "everything"]).expect(2);

    let mut command = data.command(&["serve", "--listen", "0.0.0.0:0", "--log-format", "json"]);
    command.env("RUST_LOG", "trace");
    let server = Server::start(command);
    let bearer = |key: &str| format!("Bearer {key}");
    let asked = |method: &str, path: &str, key: &str| server.ask(method, path, &[("authorization", &bearer(key))]).0;
    assert_eq!(server.ask("GET", "/api/tracks", &[]).0, 401);
    assert_eq!(server.ask("GET", "/healthz", &[]).0, 200);
    assert_eq!(asked("GET", "/api/tracks", &writer), 200);
    assert_eq!(server.ask("GET", "/api/tracks", &[("x-api-key", &writer)]).0, 200);
    assert_eq!(asked("POST", "/api/jobs/retry", &writer), 403);
    // Under any name, as a foreign page does not know the key.
    assert_eq!(server.ask("GET", "/api/tracks", &[("x-api-key", &writer), ("host", "music.example")]).0, 200);

    let reader = create_key(&data, "reader", "read");
    within_a_second(|| asked("GET", "/api/tracks", &reader) == 200);
    assert_eq!(asked("DELETE", "/api/tracks/1", &reader), 403);
    data.run(&["keys", "revoke", "reader"]).expect(0);
    within_a_second(|| asked("GET", "/api/tracks", &reader) == 401);
    data.run(&["keys", "revoke", "reader"]).expect(3);

    let listed = data.run(&["keys", "list", "--json"]).expect(0).json();
    assert_eq!((&listed[0]["name"], &listed[1]["name"]), (&json!("reader"), &json!("writer")));
    assert!(listed[0]["revoked_at"].is_string() && listed[1]["revoked_at"].is_null(), "{listed}");
    let (_, refusal) = server.ask("GET", "/api/tracks", &[("authorization", &bearer(&reader))]);
    let table = data.run(&["keys", "list"]).expect(0).out;
    let log = server.log();
    assert!(log.contains("\"caller\":\"writer\""), "the log names the key's owner");
    assert_eq!(server.terminate(), Some(0));
    let files: Vec<u8> = std::fs::read_dir(data.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .flat_map(|path| std::fs::read(path).unwrap())
        .collect();
    for key in [&writer, &reader] {
        let bare = key.trim_start_matches("sb_");
        for text in [&log, &table, &listed.to_string(), &refusal.to_string()] {
            assert!(!text.contains(bare), "a key was shown");
        }
        assert!(!files.windows(bare.len()).any(|window| window == bare.as_bytes()), "a key lies in the data folder");
    }
}

#[test]
fn at_home_nobody_needs_a_key_until_one_is_made() {
    let data = Data::without_model();
    let server = data.serve();
    assert_eq!(server.get("/api/tracks").0, 200);
    let key = create_key(&data, "first", "admin");
    within_a_second(|| server.get("/api/tracks").0 == 401);
    assert_eq!(server.ask("POST", "/api/jobs/retry", &[("x-api-key", &key)]).0, 200);
    let revoked = data.run(&["keys", "revoke", "first"]).expect(0);
    assert!(revoked.err.contains("No key is left"), "{}", revoked.err);
    within_a_second(|| server.ask("GET", "/api/tracks", &[("x-api-key", &key)]).0 == 401);
    assert_eq!(server.get("/api/tracks").0, 401, "the end of the last key opens nothing");

    let other = Data::without_model();
    let mut command = other.command(&["serve", "--listen", "0.0.0.0:0"]);
    let trusted = {
        command.env("TRUSTED_NETWORKS", "127.0.0.0/8, ::1");
        Server::start(command)
    };
    assert_eq!(trusted.get("/api/tracks").0, 200);
    assert_eq!(trusted.ask("GET", "/api/tracks", &[("x-forwarded-for", "127.0.0.1")]).0, 401, "not of its own");
    let wrong = data.run(&["serve", "--trusted-networks", "home"]).expect(2).err;
    assert!(wrong.contains("TRUSTED_NETWORKS") && wrong.contains("\"home\""), "{wrong}");
}

#[test]
fn roles_let_each_other_in_by_the_key_they_share() {
    let town = Town::new();
    let key = "a key that all roles of this town share";
    let start = |role| town.start_with(role, &[], &[("SONIQUEBAY_API_KEY", key)]);
    let (library, recommender) = (start("library"), start("recommender"));
    let (listener, worker) = (start("listener"), start("worker"));
    let with_key = [("x-api-key", key)];
    for role in [&library, &recommender, &listener, &worker] {
        role.wait_until(|| role.get("/readyz").0 == 200);
        assert_eq!(role.get("/metrics").0, 401);
        assert_eq!(role.ask("GET", "/metrics", &with_key).0, 200);
    }
    assert_eq!(library.post("/api/tracks", r#"{"title": "One"}"#).0, 401);
    let body = r#"{"title": "Two", "artist": "X"}"#;
    let headers = [("x-api-key", key), ("content-type", "application/json")];
    assert_eq!(library.send("POST", "/api/tracks", &headers, body).0, 201);
    recommender.wait_until(|| {
        let (status, spaces) = recommender.ask("GET", "/api/spaces", &with_key);
        assert_eq!(status, 200, "{spaces}");
        spaces["spaces"].as_array().unwrap().iter().any(|space| space["ready"].as_u64() >= Some(1))
    });
}

/// A connection that has sent this and then says nothing.
fn silent(server: &Server, said: &str) -> TcpStream {
    let mut stream = TcpStream::connect(&server.address).unwrap();
    stream.write_all(said.as_bytes()).unwrap();
    stream
}

/// The longest of a hundred answers, each over a new connection.
fn longest(server: &Server) -> Duration {
    let ask = || {
        let began = Instant::now();
        let mut stream = silent(server, "GET /api/tracks HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        began.elapsed()
    };
    (0..100).map(|_| ask()).max().unwrap()
}

#[test]
fn slow_and_silent_clients_hold_nobody_up() {
    let data = Data::without_model();
    let server = data.serve();
    let alone = longest(&server);
    let post = "POST /api/tracks HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let unread = "GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(20);
    let mut held: Vec<TcpStream> = Vec::new();
    held.extend((0..50).map(|_| silent(&server, &format!("{post}content-length: 1000\r\n\r\n{{"))));
    held.extend((0..50).map(|_| silent(&server, &unread)));
    held.extend((0..200).map(|_| silent(&server, "GET /api/tracks HTTP/1.1\r\nx-slow: ")));
    held.extend((0..500).map(|_| silent(&server, "")));
    let beside = longest(&server);
    println!("longest of 100 answers: {alone:?} alone, {beside:?} beside {} clients that say nothing", held.len());
    assert!(beside < Duration::from_secs(2), "{beside:?}");
    // The slow body is told off or cut, long before half a minute.
    let mut slow_body = held.remove(0);
    slow_body.set_read_timeout(Some(Duration::from_secs(25))).unwrap();
    let mut answer = Vec::new();
    let _ = slow_body.read_to_end(&mut answer);
    assert!(String::from_utf8_lossy(&answer).contains(" 400 "), "{}", String::from_utf8_lossy(&answer));
    drop(held);
    assert_eq!(server.get("/healthz").0, 200);
}

#[test]
fn a_listener_holds_as_many_connections_as_it_was_told() {
    let data = Data::without_model();
    let mut command = data.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("HTTP_CONNECTIONS", "16");
    let server = Server::start(command);
    let mut held: Vec<TcpStream> = (0..40).map(|_| silent(&server, "")).collect();
    longest(&server);
    // Those that came first gave way; a connection that is held says nothing.
    let mut is_over = |stream: &mut TcpStream| {
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        matches!(stream.read(&mut [0]), Ok(0)) || stream.take_error().unwrap().is_some()
    };
    let over = held.iter_mut().map(&mut is_over).filter(|over| *over).count();
    assert!(over >= 24, "{over} of 40 connections are over");
    let refused = data.run(&["serve", "--connections", "3"]).expect(2);
    assert!(refused.err.contains("16..=10000"), "{}", refused.err);
}

/// nginx, set up as docs/security.md says; stopped when dropped.
struct Nginx(std::process::Child);

impl Nginx {
    fn start(folder: &Path, port: u16, server: &Server) -> Self {
        let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/security.md");
        let document = std::fs::read_to_string(document).unwrap();
        let example = document.split("```nginx\n").nth(1).unwrap().split("```").next().unwrap();
        let example = example.replace("127.0.0.1:8001", &server.address);
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|what| format!("{what}_temp_path {}/{what};\n", folder.display()))
            .concat();
        let config = folder.join("nginx.conf");
        let text = format!(
            "user root;\ndaemon off;\nworker_processes 1;\npid {0}/nginx.pid;\nerror_log {0}/error.log;\n\
             events {{ worker_connections 64; }}\nhttp {{\naccess_log off;\n{temporary}\
             server {{ listen 127.0.0.1:{port};\n# Who asks is no proxy.\nproxy_bind 127.0.0.9;\n{example} }}\n}}\n",
            folder.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut nginx = Command::new("nginx");
        let path = std::env::var("PATH").unwrap_or_default();
        nginx.env("PATH", format!("{path}:/usr/sbin"));
        nginx.arg("-e").arg(folder.join("error.log")).arg("-c").arg(&config);
        let child = nginx.spawn().expect("nginx is missing: as root, apt-get install nginx-light");
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let said = std::fs::read_to_string(folder.join("error.log")).unwrap_or_default();
            assert!(began.elapsed() < Duration::from_secs(20), "nginx does not listen: {said}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self(child)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

#[test]
fn a_real_nginx_shows_it_below_a_path() {
    let data = Data::without_model();
    let key = create_key(&data, "page", "write");
    let mut command = data.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("SONIQUEBAY_BASE_PATH", "/soniquebay").env("TRUSTED_PROXIES", "127.0.0.9");
    command.env("TRUSTED_NETWORKS", "10.0.0.0/8");
    let server = Server::start(command);
    let folder = data.beside("nginx");
    std::fs::create_dir_all(&folder).unwrap();
    let port = free_port();
    let _nginx = Nginx::start(&folder, port, &server);
    let agent = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0).build().new_agent();
    let ask = |path: &str, headers: &[(&str, &str)]| {
        let request =
            ureq::http::Request::get(format!("http://127.0.0.1:{port}{path}")).header("host", "music.example");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let mut answer = agent.run(request.body(()).unwrap()).unwrap();
        let location = answer.headers().get("location").map(|value| value.to_str().unwrap().to_owned());
        (answer.status().as_u16(), location, answer.body_mut().read_to_string().unwrap_or_default())
    };
    // Links of the pages, each followed from where it stands.
    assert_eq!(ask("/soniquebay/docs", &[]).1.as_deref(), Some("/soniquebay/docs/"));
    assert!(ask("/soniquebay/docs/", &[]).2.contains("swagger-ui"));
    assert!(ask("/soniquebay/docs/swagger-initializer.js", &[]).2.contains("../openapi.json"));
    let description = ask("/soniquebay/openapi.json", &[]).2;
    assert!(description.contains(r#""servers":[{"url":"/soniquebay"}]"#), "{description}");
    assert_eq!(ask("/soniquebay/api/tracks", &[]).0, 401);
    assert_eq!(ask("/soniquebay/api/tracks", &[("x-forwarded-for", "10.1.1.1")]).0, 401, "nginx says who asks");
    assert_eq!(ask("/soniquebay/api/tracks", &[("x-api-key", &key)]).0, 200);

    let post = |path: &str, body: String| {
        let request = agent.post(format!("http://127.0.0.1:{port}{path}")).header("x-api-key", &key);
        request.header("content-type", "application/json").send(body).unwrap()
    };
    let created = post("/soniquebay/api/tracks", json!({"title": "A"}).to_string());
    assert_eq!(created.headers()["location"], "/soniquebay/api/tracks/1");
    let many: Vec<_> = (0..900).map(|n| json!({"title": format!("{n} {}", "x".repeat(1000)), "artist": "X"})).collect();
    assert_eq!(post("/soniquebay/api/tracks/batch", json!(many).to_string()).status(), 200, "more than a megabyte");
    let events = agent.get(format!("http://127.0.0.1:{port}/soniquebay/api/events")).header("x-api-key", &key);
    let mut events = BufReader::new(events.call().unwrap().into_body().into_reader());
    let mut first = String::new();
    events.read_line(&mut first).unwrap();
    assert!(first.starts_with("data:"), "an event comes through at once: {first}");
}
