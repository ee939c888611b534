//! The database looked after: backups, moves, checks, on the real program.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use soniquebay_testkit::postgres::PostgresServer;

use crate::program::{Data, Ran, Server};

/// Tracks with numbers from `first` on, as NDJSON.
fn lines(first: usize, count: usize) -> String {
    let track = |n: usize| json!({"title": format!("Title {n}"), "artist": "Somebody", "path": format!("/m/{n}.flac"), "year": 1990});
    (first..first + count).map(|n| format!("{}\n", track(n))).collect()
}

/// A library of so many tracks, each hundredth with a vector of a client's.
fn filled(data: &Data, count: usize) {
    data.run_with_input(&["import", "-", "--no-wait"], &lines(0, count)).expect(0);
    let server = data.serve();
    let vectors: Vec<Value> =
        (1..=count).step_by(100).map(|id| json!({"track_id": id, "embedding": [id, 1.0, -0.5]})).collect();
    assert_eq!(server.post("/api/track-vectors/batch", &json!(vectors).to_string()).0, 201);
    assert_eq!(server.terminate(), Some(0));
}

/// What a library answers of itself.
fn contents(server: &Server) -> (Value, Value) {
    let spaces = server.get("/api/spaces").1["spaces"].as_array().unwrap().clone();
    let held = spaces.iter().map(|space| json!([space["space"], space["ready"], space["stale"]])).collect();
    (server.get("/api/stats").1["tracks"].clone(), held)
}

fn db(data: &Data, arguments: &[&str]) -> Ran {
    data.run(&[&["db"], arguments].concat())
}

fn sql(path: &Path, statement: &str) -> i64 {
    rusqlite::Connection::open(path).unwrap().query_row(statement, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_backup_is_taken_while_the_library_is_served_and_written() {
    let data = Data::without_model();
    filled(&data, 3_000);
    let (server, file) = (data.serve(), data.beside("backup.db"));
    let backup = file.to_str().unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut written = 0;
            while !done.load(Ordering::SeqCst) {
                assert_eq!(
                    server.post("/api/tracks", &json!({"title": format!("Meanwhile {written}")}).to_string()).0,
                    201
                );
                written += 1;
            }
            written
        });
        for _ in 0..3 {
            let ran = db(&data, &["backup", backup, "--force"]).expect(0);
            assert!(ran.out.contains("30 vectors") && ran.out.contains("checked"), "{}", ran.out);
        }
        done.store(true, Ordering::SeqCst);
        assert!(writing.join().unwrap() > 0);
    });
    let refused = db(&data, &["backup", backup]).expect(1);
    assert!(refused.err.contains("--force"), "{}", refused.err);
    let library = data.path().join("soniquebay.db");
    db(&data, &["backup", library.to_str().unwrap(), "--force"]).expect(1);
    let left: Vec<_> =
        std::fs::read_dir(file.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["backup.db"], "one file and nothing beside it");
    let tracks = sql(&file, "SELECT count(*) FROM tracks");
    assert!(tracks >= 3_000);

    let elsewhere = Data::without_model();
    let restored = db(&elsewhere, &["restore", backup]).expect(0);
    assert!(restored.out.contains(&format!("{tracks} tracks")), "{}", restored.out);
    let there = elsewhere.serve();
    assert_eq!(contents(&there).0, tracks);
    assert_eq!(there.get("/api/track-vectors/101?space=external/3").1["embedding"], json!([101.0, 1.0, -0.5]));
    assert_eq!(there.get("/api/search?q=title+77").0, 503, "without a model, as before");
}

#[test]
fn a_restore_keeps_what_was_there_and_believes_no_damaged_file() {
    let (old, new) = (Data::without_model(), Data::without_model());
    filled(&old, 5);
    filled(&new, 200);
    let library = old.path().join("soniquebay.db");
    let file = new.beside("new.db");
    let file = file.to_str().unwrap();
    db(&new, &["backup", file]).expect(0);

    assert!(db(&old, &["restore", file]).expect(1).err.contains("5 tracks"));
    let server = old.serve();
    assert!(db(&old, &["restore", file, "--force"]).expect(1).err.contains("serve"), "a role runs");
    assert_eq!(server.terminate(), Some(0));

    let (damaged, newer) = (new.beside("damaged.db"), new.beside("newer.db"));
    let mut bytes = std::fs::read(file).unwrap();
    let half = bytes.len() / 2;
    bytes[half..half + 20_000].fill(0xA5);
    std::fs::write(&damaged, &bytes).unwrap();
    std::fs::copy(file, &newer).unwrap();
    rusqlite::Connection::open(&newer).unwrap().pragma_update(None, "user_version", 99).unwrap();
    for (wrong, says) in [(&damaged, "damaged"), (&newer, "newer SoniqueBay"), (&new.beside("absent.db"), "absent.db")]
    {
        let refused = db(&old, &["restore", wrong.to_str().unwrap(), "--force"]).expect(1);
        assert!(refused.err.contains(says), "{}", refused.err);
        assert_eq!(sql(&library, "SELECT count(*) FROM tracks"), 5, "it is as it was");
    }

    let restored = db(&old, &["restore", file, "--force"]).expect(0);
    assert!(restored.out.contains("before-restore"), "{}", restored.out);
    assert_eq!(sql(&library, "SELECT count(*) FROM tracks"), 200);
    assert_eq!(sql(&old.path().join("soniquebay.db.before-restore"), "SELECT count(*) FROM tracks"), 5);
    // A library that cannot be opened at all is what a backup is for.
    std::fs::write(&library, "This is no database any more. ".repeat(1000)).unwrap();
    assert!(db(&old, &["restore", file]).expect(1).err.contains("--force"));
    db(&old, &["restore", file, "--force"]).expect(0);
    assert_eq!(sql(&library, "SELECT count(*) FROM tracks"), 200);
    assert!(old.path().join("soniquebay.db.before-restore-2").exists());
}

#[test]
fn a_library_moves_to_postgres_and_back() {
    let data = Data::without_model();
    filled(&data, 1_200);
    let url = PostgresServer::shared().new_database();
    let server = data.serve();
    let before = contents(&server);
    let nothing = db(&data, &["move", "--to", "-"]).expect(2);
    assert!(nothing.err.contains("no address came"), "{}", nothing.err);
    let refused = db(&data, &["move", "--to", &url]).expect(1);
    assert!(refused.err.contains("serve") && refused.err.contains("stop it first"), "{}", refused.err);
    assert_eq!(server.terminate(), Some(0));
    // Its password would stand in the list of processes.
    let moved = data.run_with_input(&["db", "move", "--to", "-"], &format!("{url}\n")).expect(0);
    assert!(
        moved.out.contains("1200 tracks, 12 vectors, 2400 jobs") && moved.out.contains("DATABASE_URL"),
        "{}",
        moved.out
    );

    let on_postgres = |arguments: &[&str]| {
        let mut command = data.command(arguments);
        command.env("DATABASE_URL", &url);
        command
    };
    let server = Server::start(on_postgres(&["serve", "--listen", "127.0.0.1:0"]));
    assert_eq!(contents(&server), before);
    let back = Data::without_model();
    let to = format!("sqlite://{}", back.path().join("soniquebay.db").display());
    let refused = Ran::from(on_postgres(&["db", "move", "--to", &to]).output().unwrap()).expect(1);
    assert!(refused.err.contains("stop that first"), "{}", refused.err);
    // A backup needs nobody to stop.
    let file = data.beside("from-postgres.db");
    let backup = Ran::from(on_postgres(&["db", "backup", file.to_str().unwrap()]).output().unwrap()).expect(0);
    assert!(backup.out.contains("1200 tracks, 12 vectors"), "{}", backup.out);
    assert_eq!(server.terminate(), Some(0));
    for arguments in [&["db", "check"][..], &["db", "vacuum"], &["db", "migrate"]] {
        Ran::from(on_postgres(arguments).output().unwrap()).expect(0);
    }
    Ran::from(on_postgres(&["db", "move", "--to", &to]).output().unwrap()).expect(0);
    db(&back, &["check"]).expect(0);
    let server = back.serve();
    assert_eq!(contents(&server), before);
    drop(server);

    // Over PostgreSQL a restore keeps what was there in a file.
    let small = Data::without_model();
    filled(&small, 3);
    let smaller = small.beside("small.db");
    db(&small, &["backup", smaller.to_str().unwrap()]).expect(0);
    let restore = ["db", "restore", smaller.to_str().unwrap()];
    assert!(Ran::from(on_postgres(&restore).output().unwrap()).expect(1).err.contains("1200 tracks"));
    let restored = Ran::from(on_postgres(&[&restore[..], &["--force"]].concat()).output().unwrap()).expect(0);
    assert!(restored.out.contains("before-restore-1.db"), "{}", restored.out);
    assert_eq!(sql(&data.path().join("before-restore-1.db"), "SELECT count(*) FROM tracks"), 1200);
    assert_eq!(PostgresServer::shared().sql(&url, "SELECT count(*) FROM tracks"), "3");
}

#[test]
fn a_move_that_was_killed_or_interrupted_goes_on() {
    let data = Data::without_model();
    filled(&data, 12_000);
    let url = PostgresServer::shared().new_database();
    let begin = |until: &str, signal: &str| {
        let mut child = data.command(&["db", "move", "--to", &url]).stderr(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut said = said.inspect(|line| println!("{line}"));
        assert!(said.any(|line| line.starts_with(until)), "it was done before");
        Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        said.for_each(drop);
        child.wait().unwrap().code()
    };
    assert_eq!(begin("tracks: 4", "-KILL"), None);
    let there = || PostgresServer::shared().sql(&url, "SELECT count(*) FROM tracks").parse::<u64>().unwrap();
    let first = there();
    assert!((1..12_000).contains(&first), "{first} tracks");
    // Half a library is not served; the one that is moved still is.
    let mut serve = data.command(&["serve", "--listen", "127.0.0.1:0"]);
    let refused = Ran::from(serve.env("DATABASE_URL", &url).output().unwrap()).expect(1);
    assert!(refused.err.contains("not whole yet"), "{}", refused.err);
    let server = data.serve();
    let patched = server.patch("/api/tracks/7", r#"{"title": "Changed meanwhile"}"#);
    assert_eq!((patched.0, server.delete("/api/tracks/8")), (200, 204));
    assert_eq!(server.terminate(), Some(0));

    assert_eq!(begin("tracks: 8", "-INT"), Some(130));
    assert!(there() > first);
    let moved = db(&data, &["move", "--to", &url]).expect(0);
    assert!(moved.out.contains("11999 tracks, 120 vectors"), "{}", moved.out);
    assert_eq!(PostgresServer::shared().sql(&url, "SELECT title FROM tracks WHERE id IN (7, 8)"), "Changed meanwhile");
}

#[test]
fn check_tells_what_is_wrong_and_repair_mends_it() {
    let data = Data::without_model();
    filled(&data, 300);
    let library = data.path().join("soniquebay.db");
    assert!(db(&data, &["check"]).expect(0).out.contains("nothing is wrong with 300 tracks"));
    let damage = "UPDATE tracks SET name_folded = 'x' WHERE id = 9; DELETE FROM vector_changes WHERE track_id = 101;";
    rusqlite::Connection::open(&library).unwrap().execute_batch(damage).unwrap();
    let found = db(&data, &["check"]).expect(1);
    for word in ["track_names", "change_log", "(tracks 9)", "--repair"] {
        assert!(found.out.contains(word), "{word} in {}", found.out);
    }
    let json = db(&data, &["check", "--json"]).expect(1).json();
    assert!(json.as_array().unwrap().iter().all(|fault| fault["open"] == true && fault["fix"].is_string()), "{json}");
    assert!(db(&data, &["check", "--repair"]).expect(0).out.contains("put right"));
    assert_eq!(db(&data, &["check", "--json"]).expect(0).json(), json!([]));
    assert!(db(&Data::without_model(), &["check"]).expect(1).err.contains("there is no library"));
}

#[test]
fn vacuum_gives_room_back_and_migrate_says_the_format() {
    let data = Data::without_model();
    filled(&data, 900);
    let library = data.path().join("soniquebay.db");
    let size = || std::fs::metadata(&library).unwrap().len();
    let server = data.serve();
    assert!(db(&data, &["vacuum"]).expect(1).err.contains("serve"), "it would wait for a long time");
    for id in 1..=800 {
        assert_eq!(server.delete(&format!("/api/tracks/{id}")), 204);
    }
    assert_eq!(server.terminate(), Some(0));
    let before = size();
    let said = db(&data, &["vacuum"]).expect(0).out;
    assert!(
        said.contains("before") && said.contains("after") && size() < before * 9 / 10,
        "{said}: {before} to {}",
        size()
    );
    db(&data, &["check"]).expect(0);
    assert!(db(&data, &["migrate"]).expect(0).out.contains("which is this version's"));
    let new = Data::without_model();
    assert!(db(&new, &["migrate"]).expect(0).out.contains("made, in format"));
}

#[test]
fn a_data_folder_can_be_moved() {
    let data = Data::without_model();
    filled(&data, 50);
    let before = contents(&data.serve());
    let elsewhere = Data::without_model();
    let folder = elsewhere.path().join("somewhere else");
    // As a file manager or `mv` would.
    std::fs::create_dir(&folder).unwrap();
    for name in ["soniquebay.db", "soniquebay.db-wal", "soniquebay.db-shm", "soniquebay.lock"] {
        let from = data.path().join(name);
        if from.exists() {
            std::fs::rename(from, folder.join(name)).unwrap();
        }
    }
    let mut command = Command::new(crate::program::BINARY);
    command.arg("--data").arg(&folder).args(["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(contents(&Server::start(command)), before);
}

#[test]
fn processes_that_start_at_once_migrate_once() {
    let (data, url) = (Data::without_model(), PostgresServer::shared().new_database());
    let start = |_| {
        let mut command = data.command(&["db", "migrate"]);
        command.env("DATABASE_URL", &url).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let started: Vec<_> = (0..6).map(start).collect();
    let said: Vec<String> =
        started.into_iter().map(|child| Ran::from(child.wait_with_output().unwrap()).expect(0).out).collect();
    assert_eq!(said.iter().filter(|said| said.contains("made, in format")).count(), 1, "{said:?}");
    assert_eq!(said.iter().filter(|said| said.contains("which is this version's")).count(), 5, "{said:?}");
}
