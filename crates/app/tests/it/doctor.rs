//! Faults that owners of music servers have, and what the doctor says of each.

use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use soniquebay_testkit::ollama::{Facade, Settings};
use soniquebay_testkit::postgres::PostgresServer;
use soniquebay_testkit::redis::{RedisServer, free_port};

use crate::program::{Data, Ran, Server};
use crate::services::Town;

const NOMIC: (&str, &str) = ("EMBEDDING_MODEL", "nomic-embed-text");

/// What is said, with the exit code that goes with it.
fn doctor(data: &Data, environment: &[(&str, &str)]) -> Value {
    let mut command = data.command(&["doctor", "--json"]);
    // Other tests' servers may have the usual ports.
    let listen = format!("127.0.0.1:{}", free_port());
    command.env("SONIQUEBAY_LISTEN", listen).envs(environment.iter().copied());
    let began = Instant::now();
    let ran = Ran::from(command.output().unwrap());
    assert!(began.elapsed() < Duration::from_secs(30), "it is bounded in time: {:?}", began.elapsed());
    let report = ran.json();
    let worst = report["status"].as_str().unwrap();
    assert_eq!(ran.code, i32::from(worst == "fail"), "{report:#}\n{}", ran.err);
    report
}

/// Status, text and fix of a check, of several the worst.
fn finding(report: &Value, check: &str) -> (String, String, String) {
    let found = report["findings"].as_array().unwrap().iter().filter(|finding| finding["check"] == check);
    let rank = |finding: &&Value| ["ok", "warn", "fail"].iter().position(|status| finding["status"] == *status);
    let worst = found.max_by_key(rank).unwrap_or_else(|| panic!("{check}: {report:#}"));
    let text = |name: &str| worst[name].as_str().unwrap_or_default().to_owned();
    (text("status"), text("found"), text("fix"))
}

#[track_caller]
fn expect(report: &Value, check: &str, status: &str, found: &str, fix: &str) {
    let said = finding(report, check);
    assert!(said.0 == status && said.1.contains(found) && said.2.contains(fix), "{said:?}\n{report:#}");
}

/// What is said to explain a question.
fn because(report: &Value, question: &str) -> String {
    let answers = report["questions"].as_array().unwrap();
    answers.iter().find(|answer| answer["question"] == question).unwrap()["because"].to_string()
}

fn facade(settings: Settings) -> Facade {
    Facade::start(settings).unwrap()
}

fn redis_cli(redis: &RedisServer, arguments: &[&str]) {
    let port = redis.port().to_string();
    assert!(Command::new("redis-cli").args(["-p", &port]).args(arguments).output().unwrap().status.success());
}

#[test]
fn a_library_that_works_is_said_to_work() {
    let data = Data::with_model();
    let server = data.serve();
    server.post("/api/tracks/", r#"{"title": "A", "artist": "B"}"#);
    server.wait_until_vectorized();
    let report = doctor(&data, &[]);
    assert_ne!(report["status"], "fail", "{report:#}");
    for check in ["data folder", "disk", "database", "model", "port", "vectors", "given up", "worker", "machine"] {
        assert_ne!(finding(&report, check).0, "fail", "{report:#}");
    }
    expect(&report, "database", "ok", "sqlite-vec", "");
    expect(&report, "model", "ok", "hashes right", "");
    expect(&report, "vectors", "ok", "1 of 1 tracks have their vector", "");
    expect(&report, "worker", "ok", "soniquebay serve, process", "");
    assert_eq!(because(&report, "nothing_is_vectorized"), "[]");
    assert_eq!(because(&report, "calculation_fails"), "[]");
    // The address of our own server is not another program's.
    let report = doctor(&data, &[("SONIQUEBAY_LISTEN", &server.address)]);
    expect(&report, "port", "ok", "SoniqueBay answers there", "");
    let text = data.run(&["doctor", "--listen", &server.address]).expect(0).out;
    assert!(text.contains("Nothing is vectorized?\n  Nothing here explains it: 1 of 1 tracks"), "{text}");
}

#[test]
fn nothing_is_vectorized_as_nobody_works() {
    let data = Data::without_model();
    let report = doctor(&data, &[]);
    expect(&report, "model", "fail", "is not installed", "model pull");
    expect(&report, "database", "ok", "not there yet", "");
    assert!(!data.path().join("soniquebay.db").exists(), "it changes nothing");
    data.install_model();
    data.run_with_input(&["import", "-", "--no-wait"], r#"{"title": "A", "path": "/no/such/file.flac"}"#).expect(0);
    let report = doctor(&data, &[]);
    expect(&report, "worker", "fail", "2 jobs wait, and nobody works on them", "soniquebay serve");
    expect(&report, "music", "warn", "/no/such/file.flac", "mounted");
    assert!(because(&report, "nothing_is_vectorized").contains("nobody works"), "{report:#}");
    let text = data.run(&["doctor"]).expect(1).out;
    assert!(
        text.contains("Nothing is vectorized?\n  worker: 2 jobs wait, and nobody works on them → soniquebay serve"),
        "{text}"
    );
}

#[test]
fn calculation_fails_for_a_reason() {
    let (data, ollama) = (Data::without_model(), facade(Settings::new(NOMIC.1, 768)));
    ollama.poison("poisoned", 400, "embedding contains NaN or Inf values");
    let mut command = data.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.envs([NOMIC, ("OLLAMA_HOST", &ollama.url())]);
    let server = Server::start(command);
    server.post("/api/tracks/", r#"{"title": "A poisoned title"}"#);
    server.wait_until(|| server.get("/api/stats").1["jobs"]["discarded"] == 1);
    let report = doctor(&data, &[NOMIC, ("OLLAMA_HOST", &ollama.url())]);
    expect(&report, "model", "ok", "length 768", "");
    expect(&report, "given up", "warn", "NaN", "jobs retry --all");
    assert!(because(&report, "calculation_fails").contains("NaN"), "{report:#}");
}

#[test]
fn the_embedding_server_is_slow_silent_lacks_the_model_or_is_away() {
    let data = Data::without_model();
    let say = |ollama: &str| doctor(&data, &[NOMIC, ("OLLAMA_HOST", ollama)]);
    let slow = facade(Settings { a_text: Duration::from_millis(1200), ..Settings::new(NOMIC.1, 768) });
    let report = say(&slow.url());
    expect(&report, "model", "warn", "ms a text", "EMBEDDING_MODEL=all-MiniLM-L6-v2-int8");
    assert!(because(&report, "it_is_slow").contains("ms a text"), "{report:#}");

    let silent = facade(Settings { a_text: Duration::from_secs(3600), ..Settings::new(NOMIC.1, 768) });
    let report = say(&silent.url());
    expect(&report, "model", "warn", "no vector of nomic-embed-text within 5 s", "try again");

    let without = facade(Settings { installed: false, ..Settings::new(NOMIC.1, 768) });
    let report = say(&without.url());
    expect(&report, "model", "fail", "not found", "ollama pull nomic-embed-text");
    assert!(because(&report, "nothing_is_vectorized").contains("ollama pull"), "{report:#}");

    let shorter = facade(Settings::new(NOMIC.1, 384));
    expect(&say(&shorter.url()), "model", "fail", "384", "");

    let report = say(&format!("127.0.0.1:{}", free_port()));
    expect(&report, "model", "fail", "Ollama at 127.0.0.1", "is Ollama at 127.0.0.1");
}

#[test]
fn redis_that_forgets_and_roles_that_are_away() {
    let town = Town::new();
    let (_library, _recommender) = (town.start("library"), town.start("recommender"));
    let data = Data::without_model();
    let settings = town.settings();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    redis_cli(&town.redis, &["config", "set", "maxmemory-policy", "allkeys-lru"]);
    redis_cli(&town.redis, &["config", "set", "maxmemory", "100mb"]);
    let report = doctor(&data, &settings);
    expect(&report, "Redis eviction", "fail", "allkeys-lru", "maxmemory-policy noeviction");
    expect(&report, "Redis disk", "warn", "nothing is written to disk", "appendonly yes");
    expect(&report, "listener", "fail", "nobody listens", "soniquebay listener");
    expect(&report, "worker", "fail", "no worker", "soniquebay worker");
    expect(&report, "library", "ok", "is ready", "");
    expect(&report, "clock", "ok", "Redis", "");
    let why = because(&report, "nothing_is_vectorized");
    assert!(why.contains("nobody listens") && why.contains("no worker") && why.contains("allkeys-lru"), "{why}");

    redis_cli(&town.redis, &["config", "set", "maxmemory-policy", "noeviction"]);
    redis_cli(&town.redis, &["config", "set", "maxmemory", "1"]);
    expect(&doctor(&data, &settings), "Redis memory", "warn", "nearly full", "maxmemory");
    redis_cli(&town.redis, &["config", "set", "maxmemory", "0"]);
    // Long after the test.
    redis_cli(&town.redis, &["config", "set", "save", "86400 1"]);
    let (listener, worker) = (town.start("listener"), town.start("worker"));
    for role in [&listener, &worker] {
        role.wait_until(|| role.get("/readyz").0 == 200);
    }
    listener.wait_until(|| finding(&doctor(&data, &settings), "worker").0 == "ok");
    let report = doctor(&data, &settings);
    expect(&report, "listener", "ok", "1 listen to events", "");
    expect(&report, "worker", "ok", "1 work on jobs", "");
    expect(&report, "Redis disk", "ok", "", "");
    expect(&report, "vectors", "ok", "0 of 0 tracks", "");
    assert_eq!(because(&report, "nothing_is_vectorized"), "[]", "{report:#}");
}

#[test]
fn servers_that_are_away_or_silent_are_named_in_bounded_time() {
    let data = Data::with_model();
    // Takes connections and says nothing.
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let hanging = held.local_addr().unwrap().to_string();
    for address in [format!("127.0.0.1:{}", free_port()), hanging.clone()] {
        let report = doctor(
            &data,
            &[
                ("REDIS_URL", &format!("redis://:hunter2@{address}/0")),
                ("DATABASE_URL", &format!("postgres://me:hunter2@{address}/name")),
                ("LIBRARY_API_URL", &format!("http://{address}")),
                ("RECOMMENDER_API_URL", &format!("http://{address}")),
            ],
        );
        for check in ["Redis", "PostgreSQL", "library", "recommender"] {
            assert_eq!(finding(&report, check).0, "fail", "{report:#}");
        }
        assert!(!report.to_string().contains("hunter2"), "{report:#}");
    }
    let report = doctor(&data, &[("SONIQUEBAY_LISTEN", &hanging)]);
    expect(&report, "port", "fail", "taken by another program", "--listen");
}

#[test]
fn databases_that_are_damaged_newer_or_another_programs() {
    let data = Data::with_model();
    let path = data.path().join("soniquebay.db");
    data.run_with_input(&["import", "-"], r#"{"title": "A"}"#).expect(0);
    expect(&doctor(&data, &[]), "database", "ok", "nothing is damaged", "");
    let whole = std::fs::read(&path).unwrap();
    let set = |pragma: &str| rusqlite::Connection::open(&path).unwrap().execute_batch(pragma).unwrap();
    set("PRAGMA user_version = 99");
    expect(&doctor(&data, &[]), "database", "fail", "format 99", "newer");
    set("PRAGMA application_id = 7");
    expect(&doctor(&data, &[]), "database", "fail", "another program's", "--data");
    // All pages but the first.
    let mut damaged = whole;
    damaged[4096..].fill(0x55);
    std::fs::write(&path, damaged).unwrap();
    assert_eq!(finding(&doctor(&data, &[]), "database").0, "fail");
    std::fs::write(&path, "no database at all, but a letter to somebody").unwrap();
    assert_eq!(finding(&doctor(&data, &[]), "database").0, "fail");
}

#[test]
fn folders_that_are_missing_or_read_only() {
    let data = Data::without_model();
    let gone = data.beside("gone");
    let mut command = Command::new(crate::program::BINARY);
    let report = Ran::from(command.arg("--data").arg(&gone).args(["doctor", "--json"]).output().unwrap()).json();
    expect(&report, "data folder", "fail", "is not there", "mkdir -p");
    assert!(!gone.exists(), "it changes nothing");
    let script = r#"mount -t tmpfs -o size=1m,ro tmpfs "$DIR"; exec "$BIN" --data "$DIR" doctor --json"#;
    let folder = tempfile::tempdir().unwrap();
    let ran = crate::bad_input::where_we_may_mount(script, folder.path()).output().unwrap();
    let report = Ran::from(ran).json();
    expect(&report, "data folder", "fail", "cannot be written", "mount it writable");
    expect(&report, "disk", "fail", "of 1 MB", "free some space");
}

#[test]
fn postgres_is_told_with_its_extension() {
    let postgres = PostgresServer::shared().new_database();
    let data = Data::with_model();
    let report = doctor(&data, &[("DATABASE_URL", &postgres)]);
    expect(&report, "PostgreSQL", "ok", "version 1", "");
    assert_eq!(finding(&report, "pgvector").0, "ok", "{report:#}");
    expect(&report, "clock", "ok", "PostgreSQL", "");
    let mut import = data.command(&["import", "-"]);
    import.env("DATABASE_URL", &postgres).stdin(std::process::Stdio::null());
    Ran::from(import.output().unwrap()).expect(0);
    expect(&doctor(&data, &[("DATABASE_URL", &postgres)]), "pgvector", "ok", "version 0.8", "");
    let absent = postgres.rsplit_once('/').unwrap().0.to_owned() + "/absent";
    expect(&doctor(&data, &[("DATABASE_URL", &absent)]), "PostgreSQL", "fail", "absent", "DATABASE_URL");
}

#[test]
fn a_clock_that_is_wrong_is_told() {
    let redis = RedisServer::start();
    let data = Data::with_model();
    let mut command = data.command(&["doctor", "--json"]);
    command.env("REDIS_URL", redis.url()).env("LD_PRELOAD", crate::faults::faketime()).env("FAKETIME", "-2h");
    command.env("SONIQUEBAY_LISTEN", format!("127.0.0.1:{}", free_port()));
    let report = Ran::from(command.output().unwrap()).json();
    expect(&report, "clock", "warn", "s behind Redis", "timedatectl");
}
