//! What goes on for long: events, imports in many parts, answers that nobody reads.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Method, Request, StatusCode};
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use soniquebay_api::{Limits, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

use crate::app::App;

fn lines(range: std::ops::Range<usize>) -> Bytes {
    range.map(|n| format!("{{\"title\": \"t{n}\", \"path\": \"/m/{n}\"}}\n")).collect::<String>().into()
}

async fn listen(app: &App) -> axum::response::Response {
    let request = Request::get("/api/events").body(Body::empty()).unwrap();
    app.router.clone().oneshot(request).await.unwrap()
}

#[tokio::test]
async fn only_so_many_listen_at_one_time() {
    let app = App::new().await;
    let mut listening = Vec::new();
    for _ in 0..64 {
        let response = listen(&app).await;
        assert_eq!(response.status(), StatusCode::OK);
        listening.push(response);
    }
    let refused = app.get("/api/events").await;
    refused.problem(429, "overloaded");
    assert_eq!(refused.header("connection"), "close", "it makes room for others");
    assert_eq!(app.get("/api/stats").await.status, StatusCode::OK, "others are served");
    listening.pop();
    assert_eq!(listen(&app).await.status(), StatusCode::OK, "the place of one that left is free");
}

#[tokio::test]
async fn streams_end_at_shutdown() {
    let app = App::new().await;
    let body = listen(&app).await.into_body();
    app.services.operations.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(5), body.collect()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_listener_does_not_hold_the_server_up() {
    let app = App::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = app.services.operations.shutdown.clone();
    let server =
        tokio::spawn(serve(listener, app.router.clone(), Limits::default(), shutdown.clone().cancelled_owned()));
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET /api/events HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    assert!(client.read(&mut [0; 1000]).await.unwrap() > 0);
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(5), server).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_import_that_breaks_off_keeps_what_had_come() {
    let app = App::new().await;
    let broken = Err(io::Error::other("reset"));
    let parts = [Ok(lines(0..300)), Ok(lines(300..700)), Ok("no json\n{\"title\": \"cut off".into()), broken];
    let body = Body::from_stream(stream::iter(parts));
    let problem = app.send_text(Method::POST, "/api/tracks/batch", "application/x-ndjson", body).await;
    let problem = problem.problem(400, "invalid_json");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("700 created") && detail.contains("1 refused"), "{detail}");
    assert_eq!(app.get("/api/stats").await.json()["tracks"], 700);
}

#[tokio::test]
async fn an_import_takes_no_more_than_it_writes() {
    let app = App::new().await;
    let catalog = app.services.catalog.clone();
    let furthest = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let seen = std::sync::Arc::clone(&furthest);
    // What is asked for before it can be written has to be held somewhere.
    let parts = stream::iter(0..60usize).then(move |part| {
        let (catalog, seen) = (catalog.clone(), seen.clone());
        async move {
            let written = catalog.counts().await.unwrap().tracks;
            seen.fetch_max((part as u64 * 500).saturating_sub(written), std::sync::atomic::Ordering::SeqCst);
            Ok::<_, Infallible>(lines(part * 500..(part + 1) * 500))
        }
    });
    let report =
        app.send_text(Method::POST, "/api/tracks/batch", "application/x-ndjson", Body::from_stream(parts)).await;
    assert_eq!(report.json()["created"], 30_000);
    let ahead = furthest.load(std::sync::atomic::Ordering::SeqCst);
    assert!(ahead <= 1_000, "{ahead} tracks were taken before they could be written");
}

#[tokio::test]
async fn an_array_that_breaks_off_is_told_from_one_that_is_too_large() {
    let app = App::new().await;
    let post = |body| app.send_text(Method::POST, "/api/tracks/batch", "application/json", body);
    let whole = Bytes::from_static(b"[{\"title\": \"A\"}, {\"title\"");
    let broken: [Result<Bytes, io::Error>; 2] = [Ok(whole.clone()), Err(io::ErrorKind::ConnectionReset.into())];
    let problem = post(Body::from_stream(stream::iter(broken))).await.problem(400, "invalid_json");
    assert_eq!(problem["detail"], "The body ended before it was complete.");
    // Whoever sent it thought that this is all.
    post(Body::from(whole)).await.problem(400, "invalid_json");
    let endless = stream::repeat(Ok::<_, Infallible>(Bytes::from(vec![b' '; 64 * 1024])));
    post(Body::from_stream(endless)).await.problem(413, "too_large");
    assert_eq!(app.get("/api/stats").await.json()["tracks"], 0);
}

#[tokio::test]
async fn lines_have_several_names() {
    let app = App::new().await;
    for (index, kind) in ["application/x-ndjson", "application/ndjson", "application/jsonl"].into_iter().enumerate() {
        let report = app.send_text(Method::POST, "/api/tracks/batch", kind, lines(index..index + 1)).await;
        assert_eq!(report.json()["created"], 1, "{kind}");
    }
}

/// Half a minute of waiting is what this is about: the bound is real time, and the body comes from a client.
#[tokio::test]
async fn only_imports_and_events_may_take_long() {
    let app = App::new().await;
    let slowly = || {
        let pause = |part: Bytes| async move {
            // Shorter than a body may pause, and together longer than a request may take.
            tokio::time::sleep(Duration::from_secs(8)).await;
            Ok::<_, Infallible>(part)
        };
        Body::from_stream(stream::iter([lines(0..1), lines(1..2), lines(2..3), lines(3..4)]).then(pause))
    };
    let post = |path, kind| app.send_text(Method::POST, path, kind, slowly());
    let (lines, array, elsewhere) = tokio::join!(
        post("/api/tracks/batch", "application/jsonl"),
        post("/api/tracks/batch", "application/json"),
        post("/api/tracks", "application/vnd.ndjson+json"),
    );
    assert_eq!(lines.json()["created"], 4);
    array.problem(503, "unavailable");
    elsewhere.problem(503, "unavailable");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_let_go() {
    let app = App::new().await;
    let note = "y".repeat(15_000);
    let tracks: String = (0..400).map(|n| format!("{{\"title\": \"t{n}\", \"note\": \"{note}\"}}\n")).collect();
    app.send_text(Method::POST, "/api/tracks/batch", "application/x-ndjson", tracks).await;

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let limits = Limits { write_time: Duration::from_secs(1), ..Limits::default() };
    let shutdown = app.services.operations.shutdown.clone();
    tokio::spawn(serve(listener, app.router.clone(), limits, shutdown.cancelled_owned()));
    let ask = async |pause| {
        let mut client = TcpStream::connect(address).await.unwrap();
        let request = b"GET /api/tracks?limit=1000 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        client.write_all(request).await.unwrap();
        tokio::time::sleep(pause).await;
        let mut answer = Vec::new();
        // The connection may be reset rather than closed.
        client.read_to_end(&mut answer).await.ok();
        answer.len()
    };
    let whole = ask(Duration::ZERO).await;
    assert!(whole > 400 * note.len());
    let cut = ask(Duration::from_secs(4)).await;
    assert!(cut < whole, "{cut} of {whole} bytes");
}
