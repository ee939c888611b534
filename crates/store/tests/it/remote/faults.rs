use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect};
use soniquebay_domain::{StoreError, TrackId, Tracks, Vectors};
use soniquebay_http::ApiKey;
use soniquebay_store::remote::{Patience, RemoteLibrary};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{Served, id, ids, library, patience, url, write};
use crate::space;

/// A server that says this and closes, or goes on saying `more` without end; of nothing more, without closing.
async fn saying(head: &'static str, more: Option<&'static [u8]>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(head.as_bytes()).await;
                while let Some(more) = more {
                    if more.is_empty() {
                        std::future::pending::<()>().await;
                    }
                    if stream.write_all(more).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

async fn answering<R: IntoResponse>(answer: impl Fn() -> R + Clone + Send + Sync + 'static) -> Served {
    Served::new(Router::new().fallback(move || std::future::ready(answer().into_response()))).await
}

async fn told(library: &RemoteLibrary) -> String {
    let by_id = library.tracks(vec![id(1)]).await;
    let Err(StoreError::Unavailable(told)) = by_id else { panic!("{by_id:?}") };
    let listed = library.fingerprints(0, 10).await;
    assert!(matches!(listed, Err(StoreError::Unavailable(_))), "{listed:?}");
    told
}

#[tokio::test]
async fn what_goes_wrong_is_told_with_the_address() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let text = told(&library(nobody)).await;
    assert!(text.starts_with(&format!("the library at http://{nobody}: client error (Connect)")), "{text}");
    assert_eq!(text.matches("http://").count(), 1, "{text}");

    let json = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    for (head, more, said) in [
        (format!("{json}content-length: 1000\r\n\r\n[{{\"id\": 1"), None, "end of file before message length"),
        (format!("{json}transfer-encoding: chunked\r\n\r\n"), Some(&b"10000\r\n"[..]), "error"),
        (format!("{json}content-length: 99999999999\r\n\r\n"), Some(&[b' '; 65536][..]), "more than 33554432 bytes"),
        ("not http at all\r\n\r\n".to_owned(), None, "invalid HTTP version"),
    ] {
        let address = saying(head.leak(), more).await;
        let text = told(&library(address)).await;
        assert!(text.contains(said) && text.contains(&address.to_string()), "{said}: {text}");
    }

    let failing = answering(|| (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")).await;
    let text = told(&failing.library()).await;
    assert!(text.ends_with("/api/tracks/ was answered 500: Internal Server Error"), "{text}");
    let page = answering(|| Html(format!("<html>{}</html>", "x".repeat(100_000)))).await;
    let text = told(&page.library()).await;
    assert!(text.contains("/api/tracks/ is answered with what cannot be read") && text.len() < 300, "{text}");
    let proxy = answering(|| (StatusCode::NOT_FOUND, Html("<html>nginx</html>"))).await;
    assert!(told(&proxy.library()).await.contains("answered 404: <html>nginx</html>"));
    let elsewhere = answering(|| Redirect::temporary("http://example.org/api/tracks/")).await;
    assert!(told(&elsewhere.library()).await.contains("answered 307"));
    let circle = answering(|| Redirect::temporary("/api/tracks/")).await;
    assert!(told(&circle.library()).await.contains("answered 307"));
    let closed = answering(|| (StatusCode::UNAUTHORIZED, "who are you?")).await;
    let key = ApiKey::new("sesame").unwrap();
    let text = told(&RemoteLibrary::new(url(closed.address), Some(key), patience())).await;
    assert!(text.contains("answered 401: who are you?") && !text.contains("sesame"), "{text}");
}

#[tokio::test]
async fn a_recommender_that_fails_is_told_too() {
    let failing = answering(|| (StatusCode::BAD_GATEWAY, Html("<html></html>"))).await;
    let remote = failing.vectors();
    let errors = [
        remote.put(vec![write(1, [1.0; 4])]).await.unwrap_err(),
        remote.vectors(&space(), ids(1..=2)).await.unwrap_err(),
        remote.vector_fingerprints(&space(), 0, 1).await.unwrap_err(),
        remote.spaces().await.unwrap_err(),
        remote.forget(ids(1..=2)).await.unwrap_err(),
    ];
    for error in errors {
        let StoreError::Unavailable(told) = error else { panic!("{error:?}") };
        assert!(told.starts_with("the recommender at http://127.0.0.1:") && told.contains("answered 502"), "{told}");
    }
}

#[tokio::test]
async fn nobody_is_waited_for_without_end() {
    let silent = saying("", Some(&[])).await;
    let patience = Patience { request: Duration::from_millis(100), ..patience() };
    let text = told(&RemoteLibrary::new(url(silent), None, patience)).await;
    assert!(text.contains("no answer within 100.0ms"), "{text}");
}

#[tokio::test]
async fn a_busy_server_is_asked_again_when_it_says_and_not_for_ever() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&asked);
    let busy_twice = answering(move || match counting.fetch_add(1, Ordering::SeqCst) {
        0 => (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "1")], "{}"),
        1 => (StatusCode::TOO_MANY_REQUESTS, [("x-nothing", "")], "{}"),
        _ => (StatusCode::OK, [("x-nothing", "")], "[]"),
    })
    .await;
    let started = Instant::now();
    assert!(busy_twice.library().tracks(vec![id(1)]).await.unwrap().is_empty());
    assert!(started.elapsed() >= Duration::from_secs(1), "as long as it said");
    assert_eq!(asked.load(Ordering::SeqCst), 3);

    let counting = Arc::clone(&asked);
    asked.store(0, Ordering::SeqCst);
    let busy = answering(move || {
        counting.fetch_add(1, Ordering::SeqCst);
        (StatusCode::TOO_MANY_REQUESTS, "later")
    })
    .await;
    let error = busy.library().tracks(vec![id(1)]).await.unwrap_err().to_string();
    assert!(error.contains("answered 429: later"), "{error}");
    assert_eq!(asked.load(Ordering::SeqCst), 3, "as often as patience allows");

    let away = answering(|| (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "3600")], "maintenance")).await;
    let started = Instant::now();
    let error = away.library().tracks(vec![TrackId::new(1).unwrap()]).await.unwrap_err().to_string();
    assert!(error.contains("answered 503: maintenance") && started.elapsed() < Duration::from_secs(5), "{error}");
}
