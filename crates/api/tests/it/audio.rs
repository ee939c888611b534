//! Tracks' files over HTTP, and what is known of their audio.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::json;

use crate::app::App;

async fn with_file(app: &App, name: &str, bytes: &[u8]) -> (tempfile::TempDir, i64) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let track = json!({"title": name, "path": path, "file_size": bytes.len(), "file_mtime": 7});
    let id = app.post("/api/tracks", &track).await.json()["id"].as_i64().unwrap();
    (folder, id)
}

async fn ask(app: &App, method: Method, id: i64, range: Option<&str>) -> crate::app::Answer {
    let mut request = Request::builder().method(method).uri(format!("/api/tracks/{id}/audio"));
    if let Some(range) = range {
        request = request.header("range", range);
    }
    app.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_file_is_answered_whole_or_in_parts() {
    let app = App::new().await;
    let bytes: Vec<u8> = (0..200_000u32).map(|n| (n % 251) as u8).collect();
    let (_folder, id) = with_file(&app, "song.FLAC", &bytes).await;
    let whole = ask(&app, Method::GET, id, None).await;
    assert_eq!((whole.status.as_u16(), whole.header("content-type")), (200, "audio/flac"));
    assert_eq!((whole.header("accept-ranges"), whole.header("content-length")), ("bytes", "200000"));
    assert_eq!(whole.bytes, bytes);
    let head = ask(&app, Method::HEAD, id, None).await;
    assert_eq!((head.status.as_u16(), head.header("content-length"), head.bytes.len()), (200, "200000", 0));
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=1000-1999", 1000, 2000),
        ("bytes=199990-", 199_990, 200_000),
        ("bytes=-5", 199_995, 200_000),
    ] {
        let part = ask(&app, Method::GET, id, Some(range)).await;
        assert_eq!(part.status.as_u16(), 206, "{range}");
        assert_eq!(part.header("content-range"), format!("bytes {from}-{}/200000", to - 1));
        assert_eq!(part.bytes, bytes[from..to], "{range}");
    }
    for whole in
        ["items=0-1", "bytes=0-1,3-4", "bytes=-", "bytes=0-18446744073709551616", "bytes=-99999999999999999999", "x"]
    {
        let all = ask(&app, Method::GET, id, Some(whole)).await;
        assert_eq!((all.status.as_u16(), all.bytes.len()), (200, 200_000), "{whole}");
    }
    let beyond = ask(&app, Method::GET, id, Some("bytes=200000-")).await;
    assert_eq!(beyond.header("content-range"), "bytes */200000");
    beyond.problem(416, "invalid_range");
}

#[tokio::test]
async fn only_audio_files_that_the_catalogue_names_are_answered() {
    let app = App::new().await;
    ask(&app, Method::GET, 99, None).await.problem(404, "no_track");
    let id = app.post("/api/tracks", &json!({"title": "no file"})).await.json()["id"].as_i64().unwrap();
    ask(&app, Method::GET, id, None).await.problem(404, "no_file");
    let (folder, id) = with_file(&app, "secret.txt", b"s3cret").await;
    let secret = folder.path().join("secret.txt");
    std::os::unix::fs::symlink(&secret, folder.path().join("link.mp3")).unwrap();
    std::fs::create_dir(folder.path().join("folder.mp3")).unwrap();
    for path in [
        secret.to_str().unwrap().to_owned(),
        folder.path().join("link.mp3").to_str().unwrap().to_owned(),
        folder.path().join("folder.mp3").to_str().unwrap().to_owned(),
        folder.path().join("gone.mp3").to_str().unwrap().to_owned(),
        "relative.mp3".into(),
        "/dev/zero".into(),
    ] {
        app.send_json(Method::PATCH, &format!("/api/tracks/{id}"), &json!({"path": path})).await;
        let answer = ask(&app, Method::GET, id, None).await;
        answer.problem(404, "no_file");
        assert!(!answer.text().contains("s3cret"), "{path}");
    }
}

#[tokio::test]
async fn what_a_worker_heard_is_kept_and_found_again() {
    let app = App::new().await;
    let (_folder, id) = with_file(&app, "song.flac", b"x").await;
    let track = app.get(&format!("/api/tracks/{id}")).await.json();
    assert_eq!(track["analysis"], json!({"status": "pending"}));
    let mut analysis = json!({
        "audio_hash": "ab".repeat(16), "revision": "ears-1", "file_hash": track["file_hash"],
        "measured": {"tempo": {"value": 128.5, "confidence": 0.9}, "key": {"value": "A minor", "confidence": 0.8},
                     "energy": {"value": 7, "confidence": 0.9}, "colour": {"value": 1, "confidence": 1}},
    });
    let path = format!("/api/tracks/{id}/analysis");
    let kept = app.send_json(Method::PUT, &path, &analysis).await.json();
    assert_eq!(
        kept["measured"],
        json!({
            "tempo": {"value": 128.5, "confidence": 0.9}, "key": {"value": "A minor", "confidence": 0.8},
        })
    );
    assert!(kept.get("bpm").is_none() && kept["content_hash"] != track["content_hash"]);
    let found = app.get(&format!("/api/analysis/audio/{}?revision=ears-1", "AB".repeat(16))).await.json();
    assert_eq!((&found["id"], &found["analysis"]["file_hash"]), (&id.into(), &track["file_hash"]));
    app.get(&format!("/api/analysis/audio/{}?revision=ears-2", "ab".repeat(16))).await.problem(404, "no_track");
    app.get("/api/analysis/audio/nonsense?revision=ears-1").await.problem(422, "invalid_filter");
    app.get(&format!("/api/analysis/audio/{}", "ab".repeat(16))).await.problem(422, "invalid_filter");

    for (field, wrong) in [("audio_hash", "xyz"), ("revision", "a/b"), ("file_hash", "0")] {
        let mut broken = analysis.clone();
        broken[field] = wrong.into();
        let problem = app.send_json(Method::PUT, &path, &broken).await.problem(422, "invalid_track");
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
    analysis["file_hash"] = "0".repeat(32).into();
    analysis["measured"] = json!({});
    let other = app.send_json(Method::PUT, &path, &analysis).await.json();
    assert_eq!(other["measured"], kept["measured"], "another file was heard");
    app.send_json(Method::PUT, "/api/tracks/99/analysis", &analysis).await.problem(404, "no_track");
    // Sent back as it came, a track is what it was.
    let again = app.send_json(Method::PUT, &format!("/api/tracks/{id}"), &kept).await.json();
    assert_eq!((&again["measured"], &again["extra"]), (&kept["measured"], &json!({})));

    assert_eq!(app.post("/api/analysis/pause", &json!({})).await.json()["paused"], true);
    assert_eq!(app.get("/api/analysis").await.json()["paused"], true);
    assert_eq!(app.post("/api/analysis/resume", &json!({})).await.json()["paused"], false);
}
