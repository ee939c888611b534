//! From files to what they sound like: one process, its life and its deaths.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use soniquebay_testkit::audio::{TrackTags, write_music};
use soniquebay_testkit::ollama::{Facade, Settings};
use soniquebay_testkit::postgres::PostgresServer;

use crate::program::{Data, Server};
use crate::services::{Town, ready};

fn song(path: &Path, title: &str, hz: f64, bpm: f64, seconds: f64) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let tags = TrackTags { title: title.into(), artist: "Ada".into(), seconds, ..TrackTags::default() };
    write_music(path, &tags, hz, bpm).unwrap();
}

fn fill(music: &Path, songs: u32, seconds: f64) {
    for n in 0..songs {
        let (hz, bpm) = (220.0 * 1.05f64.powi(n as i32), 80.0 + 10.0 * f64::from(n));
        song(&music.join(format!("{n}.wav")), &format!("Song {n}"), hz, bpm, seconds);
    }
}

/// The sound space as a server tells it: vectors made from what the files are now.
fn heard(server: &Server) -> u64 {
    let spaces = server.get("/api/spaces").1;
    let of_sound = spaces["spaces"].as_array().unwrap().iter().find(|space| space["model"] == "sound").cloned();
    of_sound.map_or(0, |space| space["ready"].as_u64().unwrap())
}

/// What was counted under a name, with its labels as they stand.
fn counted(server: &Server, name: &str) -> u64 {
    let page = server.get("/metrics").1;
    let line = page.as_str().unwrap().lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
    line.map_or(0, |value| value.trim().parse::<f64>().unwrap() as u64)
}

const HEARD: &str = "soniquebay_analysis_files_total{outcome=\"heard\"}";
const KNOWN: &str = "soniquebay_analysis_files_total{outcome=\"known\"}";

/// Nothing waits and nothing is under way, of any kind.
fn is_idle(server: &Server) -> bool {
    let counts = server.get("/api/jobs").1["counts"].clone();
    ["available", "scheduled", "running"].iter().all(|state| counts[*state] == 0)
}

fn by_title(server: &Server) -> BTreeMap<String, i64> {
    let tracks = server.get("/api/tracks/?limit=1000").1;
    let named = |track: &Value| (track["title"].as_str().unwrap().to_owned(), track["id"].as_i64().unwrap());
    tracks.as_array().unwrap().iter().map(named).collect()
}

#[test]
fn a_scanned_folder_is_heard_once_whatever_becomes_of_its_files() {
    let data = Data::with_model();
    let music = data.beside("music");
    fill(&music, 6, 6.0);
    // What cannot be read at all comes in by no scan.
    let broken = data.beside("broken.wav");
    std::fs::write(&broken, b"RIFF\x10\0\0\0WAVEjunkjunkjunk").unwrap();
    let line = json!({"title": "broken", "artist": "Ada", "path": broken}).to_string();
    data.run_with_input(&["import", "-"], &line).expect(0);
    let folder = music.to_str().unwrap();
    // What tracks say comes first, and a scan waits for no more.
    let scan = data.run(&["scan", folder]);
    assert!(scan.err.contains("files are still to be heard"), "{}", scan.err);
    assert_eq!(data.run(&["similar", "Ada - Song 0", "--json"]).expect(0).json()["items"].as_array().unwrap().len(), 6);

    let server = data.serve();
    server.wait_until(|| heard(&server) == 6 && is_idle(&server));
    assert_eq!((counted(&server, HEARD), counted(&server, KNOWN)), (6, 0));
    assert!(counted(&server, "soniquebay_analysis_audio_seconds_total") >= 30);
    let titles = by_title(&server);
    let first = format!("/api/tracks/{}", titles["Song 0"]);
    let track = server.get(&first).1;
    assert_eq!(track["analysis"]["status"], "ready", "{track}");
    assert!(track["measured"]["loudness"]["value"].as_f64().unwrap() < 0.0, "{track}");
    assert!(track.get("loudness").is_none(), "tags stay what they are: {track}");
    assert_eq!(track["state"]["status"], "ready", "its vector was made anew of what counts now");

    // What cannot be heard says why, and is found by what it says all the same.
    let broken = format!("/api/tracks/{}", titles["broken"]);
    let track = server.get(&broken).1;
    assert_eq!(
        (&track["analysis"]["status"], &track["state"]["status"]),
        (&"failed".into(), &"ready".into()),
        "{track}"
    );
    assert!(!track["analysis"]["reason"].as_str().unwrap().is_empty());
    let listed = data.run(&["jobs", "list", "--state", "discarded", "--json"]).expect(0).json();
    assert_eq!((&listed[0]["kind"], listed.as_array().unwrap().len()), (&"analyze_track".into(), 1), "{listed}");
    assert_eq!(server.get(&format!("{broken}/similar?sound=0.5")).0, 200, "its words answer");
    assert_ne!(server.get(&format!("{broken}/similar?sound=1")).0, 200);

    // By sound alone, and blended.
    let answer = server.get(&format!("{first}/similar?sound=1&limit=3")).1;
    assert!(answer["space"].as_str().unwrap().starts_with("sound/"), "{answer}");
    let blended = server.get(&format!("{first}/similar?sound=0.4&limit=6")).1;
    for item in blended["items"].as_array().unwrap() {
        let share = |name: &str| item["why"][name].as_f64().unwrap_or(0.0);
        let sum = share("words") + share("numbers") + share("sound");
        assert!((sum - item["score"].as_f64().unwrap()).abs() < 1e-4, "{item}");
    }
    let told = data.run(&["similar", "Ada - Song 0", "--sound", "0.4", "--json"]).expect(0).json();
    assert_eq!(told["items"][0]["track"]["id"], blended["items"][0]["track"]["id"]);

    // Tagged anew, moved, and copied: the same audio.
    song(&music.join("0.wav"), "Retitled", 220.0, 80.0, 6.0);
    std::fs::rename(music.join("1.wav"), music.join("moved.wav")).unwrap();
    std::fs::copy(music.join("2.wav"), music.join("copy.wav")).unwrap();
    data.run(&["scan", folder]);
    server.wait_until(|| heard(&server) == 7 && is_idle(&server));
    assert_eq!((counted(&server, HEARD), counted(&server, KNOWN)), (6, 2), "no file was heard twice");
    assert_eq!(server.get(&first).1["title"], "Retitled");
    assert_eq!(server.get(&first).1["measured"], track_measured(&server, &first));

    // Another model, another start: what was heard stays.
    assert_eq!(server.terminate(), Some(0));
    let mut command = data.command(&["serve", "--listen", "127.0.0.1:0", "--template", "fields"]);
    let server = Server::start({
        command.env("RUST_LOG", "info");
        command
    });
    server.wait_until(|| is_idle(&server));
    assert_eq!((heard(&server), counted(&server, HEARD), counted(&server, KNOWN)), (7, 0, 0));
    // A track that goes takes its sound along.
    let id = by_title(&server)["Song 3"];
    assert_eq!(server.delete(&format!("/api/tracks/{id}")), 204);
    assert_eq!(heard(&server), 6);
    assert_eq!(server.terminate(), Some(0));
}

fn track_measured(server: &Server, path: &str) -> Value {
    server.get(path).1["measured"].clone()
}

#[test]
fn kills_while_files_are_heard_lose_nothing() {
    let data = Data::with_model();
    let music = data.beside("music");
    fill(&music, 8, 20.0);
    data.run(&["scan", music.to_str().unwrap()]).expect(0);
    let database = rusqlite::Connection::open(data.path().join("soniquebay.db")).unwrap();
    let count = |sql: &str| -> i64 { database.query_row(sql, [], |row| row.get(0)).unwrap() };
    let running = "SELECT count(*) FROM jobs WHERE kind = 'analyze_track' AND state = 'running'";
    for _ in 0..4 {
        let server = data.serve();
        server.wait_until(|| count(running) > 0 || count("SELECT count(*) FROM jobs") == 0);
        server.kill();
    }
    let server = data.serve();
    server.wait_until(|| heard(&server) == 8 && is_idle(&server));
    assert_eq!(count("SELECT count(*) FROM track_vectors WHERE space LIKE 'sound/%'"), 8);
    assert_eq!(count("SELECT count(*) FROM tracks WHERE measured IS NOT NULL"), 8);
}

#[test]
fn a_pause_holds_over_restarts_until_it_is_taken_back() {
    let data = Data::with_model();
    let music = data.beside("music");
    fill(&music, 3, 3.0);
    data.run(&["analysis", "pause"]).expect(0);
    data.run(&["scan", music.to_str().unwrap()]).expect(0);
    let server = data.serve();
    assert_eq!(
        server.get("/api/analysis").1,
        json!({
            "paused": true,
            "jobs": {"available": 3, "scheduled": 0, "running": 0, "discarded": 0},
        })
    );
    // What waits there is told from vectors that wait.
    let stats = server.get("/api/stats").1;
    let available = |jobs: &str| stats[jobs]["available"].as_u64().unwrap();
    assert_eq!((available("analysis_jobs"), available("embedding_jobs"), available("jobs")), (3, 0, 3), "{stats}");
    assert_eq!((&stats["tracks"], &stats["artists"]), (&json!(3), &json!(1)));
    assert_eq!(counted(&server, "soniquebay_jobs{kind=\"analyze_track\",state=\"available\"}"), 3);
    let status = data.run(&["analysis", "status", "--json"]).expect(0).json();
    assert_eq!((&status["paused"], &status["heard"]), (&true.into(), &0.into()));
    assert_eq!(server.terminate(), Some(0));
    let server = data.serve();
    server.post("/api/tracks/", r#"{"title": "Meanwhile", "artist": "Ada"}"#);
    server.wait_until(|| server.get("/api/tracks/4").1["state"]["status"] == "ready");
    assert_eq!(heard(&server), 0, "it is paused still");
    assert_eq!(server.post("/api/analysis/resume", "").1["paused"], false);
    server.wait_until(|| heard(&server) == 3);
}

#[test]
fn a_scan_can_wait_for_sound_and_files_can_be_left_unheard() {
    let data = Data::with_model();
    let music = data.beside("music");
    fill(&music, 3, 3.0);
    let folder = music.to_str().unwrap();
    data.run(&["--analysis", "off", "scan", folder]).expect(0);
    let database = rusqlite::Connection::open(data.path().join("soniquebay.db")).unwrap();
    let count = |sql: &str| -> i64 { database.query_row(sql, [], |row| row.get(0)).unwrap() };
    assert_eq!(count("SELECT count(*) FROM jobs"), 0);
    let scan = data.run(&["scan", folder, "--wait-for-sound"]).expect(0);
    assert!(!scan.err.contains("still to be heard"), "{}", scan.err);
    assert_eq!(count("SELECT count(*) FROM track_vectors WHERE space LIKE 'sound/%'"), 3);
    assert_eq!(count("SELECT count(*) FROM jobs"), 0, "what follows from it is done too");
    let refused = data.run(&["--analysis-hours", "noon", "scan", folder]);
    assert_eq!(refused.code, 2, "{}", refused.err);
}

/// Where each process finds the file of its own working folder, or does not.
const HERE: &str = "/proc/self/cwd/song.wav";

#[test]
fn services_hear_files_that_only_the_library_has() {
    let town = Town::new();
    let (home, away) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    song(&home.path().join("song.wav"), "At home", 220.0, 100.0, 5.0);
    let library = town.start_in("library", home.path());
    let recommender = town.start_in("recommender", away.path());
    let _listener = town.start_in("listener", away.path());
    // A worker of Python's listens to `vectorization` alone: it must not see what is to be heard.
    let worker = town.start_in("worker", away.path());
    let track = json!({"title": "At home", "artist": "Ada", "path": HERE, "file_size": 1, "file_mtime": 1});
    let id = library.post("/api/tracks/", &track.to_string()).1["id"].as_i64().unwrap();
    recommender.wait_until(|| heard(&recommender) == 1);
    assert_eq!(counted(&worker, HEARD), 1, "it was fetched from the library");
    let path = format!("/api/tracks/{id}");
    library.wait_until(|| library.get(&path).1["analysis"]["status"] == "ready");
    let told = library.get(&path).1;
    assert!(told["measured"]["duration"]["value"].as_f64().unwrap() > 4.0, "{told}");
    // What was measured counts in the recommender too, and by no second hearing.
    recommender.wait_until(|| {
        let vector = recommender.get(&format!("/api/track-vectors/{id}")).1;
        vector["content_hash"] == library.get(&path).1["content_hash"]
    });
    library.patch(&path, r#"{"genre": "Jazz", "file_mtime": 2}"#);
    recommender.wait_until(|| counted(&worker, KNOWN) == 1);
    assert_eq!(counted(&worker, HEARD), 1);
    // Paused at the library, paused for all.
    assert_eq!(library.post("/api/analysis/pause", "").1["paused"], true);
    let other = json!({"title": "Later", "path": "/proc/self/cwd/gone.wav", "file_size": 1, "file_mtime": 1});
    library.post("/api/tracks/", &other.to_string());
    recommender.wait_until(|| ready(&recommender) == 2);
    assert_eq!(library.get("/api/analysis").1["jobs"]["available"], 1);
}

#[test]
fn machines_on_postgres_hear_the_files_they_can_read() {
    let postgres = PostgresServer::shared().new_database();
    let ollama = Facade::start(Settings::new("nomic-embed-text", 768)).unwrap();
    let folders = [Data::without_model(), Data::without_model()];
    let settings =
        [("DATABASE_URL", postgres.as_str()), ("EMBEDDING_MODEL", "nomic-embed-text"), ("OLLAMA_HOST", &ollama.url())];
    let music = folders[0].beside("music");
    fill(&music, 4, 3.0);
    let mut scan = folders[0].command(&["scan", music.to_str().unwrap(), "--no-wait"]);
    assert!(scan.envs(settings).output().unwrap().status.success());
    let start = |role: &str, folder: &Data| {
        let mut command = folder.command(&[role, "--listen", "127.0.0.1:0"]);
        command.envs(settings);
        Server::start(command)
    };
    let (all, worker) = (start("recommender", &folders[0]), start("worker", &folders[1]));
    all.wait_until(|| heard(&all) == 4);
    assert_eq!(counted(&worker, HEARD), 4);
    let answer = all.get("/api/tracks/1/similar?sound=1&limit=3").1;
    assert_eq!(answer["items"].as_array().unwrap().len(), 3, "{answer}");
}
