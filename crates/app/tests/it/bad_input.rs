//! Whatever comes in, the answer says what is wrong, and nothing is lost.

use std::process::{Command, Stdio};

use soniquebay_testkit::audio::{AudioFormat, TrackTags, write_track};

use crate::program::{BINARY, Data, Ran, Server};

#[test]
fn bad_requests_get_answers_that_help() {
    let data = Data::with_model();
    let server = data.serve();
    assert_eq!(server.post("/api/tracks/", r#"{"title":"Kept"}"#).0, 201);
    let large = format!(r#"{{"title":"{}"}}"#, "x".repeat(10 << 20));
    for (path, body, status, code) in [
        ("/api/tracks/", "this is not json", 400, "invalid_json"),
        ("/api/tracks/", r#"{"title": 5, "year": "soon"}"#, 422, "invalid_track"),
        ("/api/tracks/", r#"{"title":"A","bpm":NaN}"#, 400, "invalid_json"),
        ("/api/tracks/", "[]", 422, "invalid_track"),
        ("/api/tracks/", r#"{"id":0,"title":"A"}"#, 422, "invalid_track"),
        ("/api/tracks/", r#"{"id":-3,"title":"A"}"#, 422, "invalid_track"),
        ("/api/tracks/", r#"{"id":9223372036854775807,"title":"A"}"#, 422, "invalid_track"),
        ("/api/tracks/", large.as_str(), 413, "too_large"),
        ("/api/track-vectors/", r#"{"track_id":1,"embedding":[0,0,0]}"#, 422, "invalid_vector"),
        ("/api/track-vectors/", r#"{"track_id":1,"embedding":[NaN]}"#, 400, "invalid_json"),
        ("/api/track-vectors/", r#"{"track_id":1,"embedding":[1e39]}"#, 422, "invalid_vector"),
        ("/api/track-vectors/", r#"{"track_id":99,"embedding":[1,2]}"#, 404, "no_track"),
        ("/api/track-vectors/search", r#"{"embedding":[1,2,3]}"#, 422, "invalid_vector"),
        ("/api/similar", r#"{"seeds":[{"track_id":99}]}"#, 404, "no_track"),
        ("/api/similar", r#"{"seeds":[{"track_id":1}],"filters":{"moon":"full"}}"#, 422, "invalid_filter"),
    ] {
        // A server may answer before it has read ten megabytes; then the client may see the closed pipe instead.
        let Ok((found, problem)) = server.try_post(path, body) else {
            assert_eq!(code, "too_large");
            continue;
        };
        let shown: String = body.chars().take(60).collect();
        assert_eq!((found, problem["code"].as_str()), (status, Some(code)), "{path} {shown}: {problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{problem}");
    }
    for (path, status) in [
        ("/api/tracks/99", 404),
        ("/api/tracks/0", 422),
        ("/api/tracks/-1", 422),
        ("/api/tracks/abc", 422),
        ("/api/tracks/99/similar", 404),
        ("/api/track-vectors/99", 404),
        ("/nowhere", 404),
    ] {
        let (found, problem) = server.get(path);
        assert_eq!(found, status, "{path}: {problem}");
        assert!(problem["code"].is_string(), "{path}: {problem}");
    }
    assert_eq!(server.patch("/api/tracks/1", r#"{"title":""}"#).0, 422);
    assert_eq!(server.get("/api/tracks/1").1["title"], "Kept");
    assert_eq!(server.delete("/api/tracks/1"), 204);
    assert_eq!(server.delete("/api/tracks/1"), 404);
}

#[test]
fn folders_and_files_that_are_not_what_they_seem() {
    let data = Data::with_model();
    let missing = data.run(&["scan", "/no/such/folder"]).expect(1);
    assert!(missing.err.contains("/no/such/folder"), "{}", missing.err);
    let missing = data.run(&["import", "/no/such/file.jsonl"]).expect(1);
    assert!(missing.err.contains("/no/such/file.jsonl"), "{}", missing.err);

    let music = data.beside("music");
    std::fs::create_dir_all(&music).unwrap();
    let tags = |title: &str| TrackTags { title: title.into(), artist: "Artist".into(), ..TrackTags::default() };
    write_track(&music.join("good.mp3"), AudioFormat::Mp3, &tags("Good")).unwrap();
    let truncated = music.join("truncated.flac");
    write_track(&truncated, AudioFormat::Flac, &TrackTags { seconds: 20.0, ..tags("Truncated") }).unwrap();
    let bytes = std::fs::read(&truncated).unwrap();
    std::fs::write(&truncated, &bytes[..bytes.len() / 2]).unwrap();
    std::fs::write(music.join("letter.mp3"), "Dear reader, this is a letter. ".repeat(50)).unwrap();
    std::fs::write(music.join("empty.ogg"), "").unwrap();
    std::os::unix::fs::symlink("/no/such/target.flac", music.join("dangling.flac")).unwrap();
    let report = data.run(&["scan", music.to_str().unwrap(), "--json"]).expect(4).json();
    assert_eq!(report["created"], 2, "the truncated one still has its tags: {report}");
    let failed = report["failed"].as_array().unwrap();
    for name in ["letter.mp3", "empty.ogg", "dangling.flac"] {
        let failure = failed.iter().find(|failure| failure["path"].as_str().unwrap().ends_with(name));
        assert!(failure.is_some_and(|failure| !failure["reason"].as_str().unwrap().is_empty()), "{name}: {report}");
    }
    data.run(&["similar", "Truncated"]).expect(0);
}

#[test]
fn a_second_server_on_the_same_data_is_refused() {
    let data = Data::with_model();
    let server = data.serve();
    let refused = data.run(&["serve", "--listen", "127.0.0.1:0"]).expect(1);
    assert!(refused.err.contains("serve, process") && refused.err.contains("--data"), "{}", refused.err);
    let (port, other) = (server.address.clone(), Data::with_model());
    let refused = other.run(&["serve", "--listen", &port]).expect(1);
    assert!(refused.err.contains("cannot be listened on"), "{}", refused.err);
    server.terminate();
    data.serve().terminate();
}

/// Runs `script` where it may mount: as root of its own name space. `$BIN` is the program, `$DIR` an empty folder.
pub(crate) fn where_we_may_mount(script: &str, folder: &std::path::Path) -> Command {
    let mut command = Command::new("unshare");
    command
        .args(["--map-root-user", "--mount", "sh", "-euc", script])
        .env("BIN", BINARY)
        .env("DIR", folder)
        .stdin(Stdio::null());
    command
}

#[test]
fn a_read_only_data_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let script = r#"mount -t tmpfs -o size=1m,ro tmpfs "$DIR"; exec "$BIN" --data "$DIR" similar 1"#;
    let ran = Ran::from(where_we_may_mount(script, folder.path()).output().unwrap()).expect(1);
    let named = ran.err.contains(folder.path().to_str().unwrap());
    assert!(named && ran.err.contains("cannot be"), "{}", ran.err);
}

#[test]
fn a_full_disk_is_said_and_what_was_answered_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let script = r#"mount -t tmpfs -o size=2m tmpfs "$DIR"; exec "$BIN" --data "$DIR" serve --listen 127.0.0.1:0"#;
    let server = Server::start(where_we_may_mount(script, folder.path()));
    let mut answered = 0;
    let problem = loop {
        let body = format!(r#"{{"title":"{answered} {}"}}"#, "x".repeat(900));
        match server.post("/api/tracks/", &body) {
            (201, _) => answered += 1,
            other => break other,
        }
        assert!(answered < 5_000, "two megabytes are full long before");
    };
    assert_eq!((problem.0, problem.1["code"].as_str()), (503, Some("unavailable")), "{}", problem.1);
    assert!(answered > 10);
    // Reading goes on.
    let (status, tracks) = server.get("/api/tracks/?limit=1000");
    assert_eq!((status, tracks.as_array().unwrap().len()), (200, answered.min(1000)));
    assert_eq!(server.terminate(), Some(0));
}
