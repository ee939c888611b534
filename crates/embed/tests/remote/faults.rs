//! What is tried again, and what never is.

use std::time::{Duration, Instant};

use soniquebay_domain::{EmbedError, Embedder};
use soniquebay_embed::remote::{BreakerState, FaultKind, RemoteEmbedder};
use soniquebay_testkit::ollama::Fault;

use super::{embed, embedder, facade, nomic, texts};

const BUSY: Fault = Fault::Error(503, "server busy, please try again.  maximum pending requests exceeded");

/// Contract 3. That the waits have full jitter is tested where they are made.
#[tokio::test]
async fn a_busy_server_is_asked_again_later() {
    let facade = facade();
    let embedder = embedder(&facade);
    embedder.prepare().await.unwrap();
    facade.fail([BUSY, BUSY, BUSY]);
    let started = Instant::now();
    assert_eq!(embed(&embedder, texts(16)).await.unwrap().len(), 16);
    let counters = embedder.counters();
    assert!(counters.retries >= 3, "{counters:?}");
    assert_eq!((counters.faults.get(&FaultKind::Busy), counters.breaker), (Some(&3), BreakerState::Closed));
    assert!(started.elapsed() < embedder.config().patience.retry_budget);
}

#[tokio::test]
async fn a_server_that_stays_busy_is_left_alone_and_found_again() {
    let facade = facade();
    let mut config = nomic(&facade.url());
    config.patience.first_rest = Duration::from_secs(1);
    config.patience.longest_rest = Duration::from_secs(1);
    let embedder = RemoteEmbedder::new(config).unwrap();
    embedder.prepare().await.unwrap();
    facade.fail(vec![BUSY; 7]);
    let error = embed(&embedder, texts(16)).await.unwrap_err();
    assert!(matches!(&error, EmbedError::Unavailable(reason) if reason.contains("server busy")), "{error}");
    assert_eq!(embedder.counters().breaker, BreakerState::Open);
    let left = facade.faults_left();
    assert_eq!(left, 7 - 5, "five failures in a row are enough");
    assert!(embedder.health().await.is_err() && embed(&embedder, texts(1)).await.is_err());
    assert_eq!(facade.faults_left(), left, "nothing is asked of a server that rests");

    // After each rest one request is made, until one goes well.
    while embedder.health().await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let counters = embedder.counters();
    assert_eq!((facade.faults_left(), counters.breaker_opened), (0, 1 + left as u64), "{counters:?}");
    assert_eq!(embed(&embedder, texts(16)).await.unwrap().len(), 16);
    assert_eq!(embedder.counters().breaker, BreakerState::Closed);
}

/// Contract 4: a model that is not there.
#[tokio::test]
async fn a_missing_model_is_not_asked_for_again() {
    let facade = facade();
    let mut config = nomic(&facade.url());
    config.patience.first_rest = Duration::from_secs(60);
    config.model.name = "mxbai-embed-large".to_owned();
    let missing = RemoteEmbedder::new(config).unwrap();
    let error = embed(&missing, texts(1)).await.unwrap_err();
    assert!(
        matches!(&error, EmbedError::Unavailable(reason) if reason.contains("ollama pull mxbai-embed-large")),
        "{error}"
    );
    let counters = missing.counters();
    assert_eq!((counters.retries, counters.faults.get(&FaultKind::ModelMissing)), (0, Some(&1)));
    assert_eq!(counters.breaker, BreakerState::Open);
    assert!(missing.health().await.is_err() && embed(&missing, texts(1)).await.is_err());
    let seen = facade.counters();
    assert_eq!((seen.by_path.get("/api/show"), seen.requests), (Some(&1), 0));
    // Another model on the same server is not concerned.
    let there = embedder(&facade);
    assert_eq!(embed(&there, texts(1)).await.unwrap().len(), 1);
    assert_eq!((there.counters().breaker, missing.counters().breaker), (BreakerState::Closed, BreakerState::Open));
}

/// Contract 4: a server that has no such call, such as an Ollama older than `/api/embed`.
#[tokio::test]
async fn a_missing_call_is_another_fault_than_a_missing_model() {
    let facade = facade();
    let mut config = nomic(&facade.url());
    config.patience.first_rest = Duration::from_secs(60);
    let embedder = RemoteEmbedder::new(config).unwrap();
    embedder.prepare().await.unwrap();
    let before = facade.counters().requests;
    facade.fail([Fault::Page(404, "text/plain", "404 page not found".into())]);
    let error = embed(&embedder, texts(1)).await.unwrap_err();
    assert!(matches!(&error, EmbedError::Unavailable(reason) if reason.contains("no such call")), "{error}");
    assert_eq!(facade.counters().requests - before, 1);
    let counters = embedder.counters();
    assert_eq!((counters.retries, counters.breaker), (0, BreakerState::Open));
    assert_eq!(counters.faults.keys().collect::<Vec<_>>(), [&FaultKind::WrongPath]);
}

/// Contract 5: the same status means both.
#[tokio::test]
async fn a_crashed_engine_is_asked_again_and_a_long_text_is_not() {
    let facade = facade();
    let embedder = embedder(&facade);
    embedder.prepare().await.unwrap();
    let crash = Fault::Error(400, "do embedding request: Post \"http://127.0.0.1:33417/embedding\": EOF");
    facade.fail([crash.clone(), crash]);
    assert_eq!(embed(&embedder, texts(1)).await.unwrap().len(), 1);
    assert_eq!((embedder.counters().retries, embedder.counters().faults[&FaultKind::Server]), (2, 2));

    let before = facade.counters().requests;
    facade.fail([Fault::Error(400, "the input length exceeds the context length")]);
    let error = embed(&embedder, texts(1)).await.unwrap_err();
    assert!(matches!(&error, EmbedError::Refused(reason) if reason.contains("exceeds the context length")), "{error}");
    assert_eq!(facade.counters().requests - before, 1);
    assert_eq!(embedder.counters().retries, 2);
    assert_eq!(embedder.counters().breaker, BreakerState::Closed, "a text says nothing against the server");
}

/// Contract 11: the deadline is three drops long.
#[tokio::test]
async fn connections_that_went_wrong_are_left() {
    for (fault, kind) in [
        (Fault::Drip(Duration::from_millis(333)), FaultKind::Timeout),
        (Fault::Reset, FaultKind::Connection),
        (Fault::Page(502, "text/html", "<html><h1>502 Bad Gateway</h1></html>".into()), FaultKind::Server),
    ] {
        let facade = facade();
        let mut config = nomic(&facade.url());
        if matches!(fault, Fault::Drip(_)) {
            config.patience.request = Duration::from_secs(1);
            config.patience.per_character = Duration::ZERO;
        }
        let embedder = RemoteEmbedder::new(config).unwrap();
        embedder.prepare().await.unwrap();
        let before = facade.counters().connections;
        facade.fail([fault.clone()]);
        assert_eq!(embed(&embedder, texts(16)).await.unwrap().len(), 16, "{fault:?}");
        let counters = embedder.counters();
        assert_eq!((counters.faults.get(&kind), counters.retries), (Some(&1), 1), "{fault:?}: {counters:?}");
        assert!(facade.counters().connections > before, "{fault:?} takes another connection");
    }
}

#[tokio::test]
async fn a_slow_server_gets_smaller_requests() {
    let facade = facade();
    let mut config = nomic(&facade.url());
    config.patience.request = Duration::from_secs(1);
    config.patience.per_character = Duration::ZERO;
    let embedder = RemoteEmbedder::new(config).unwrap();
    embedder.prepare().await.unwrap();
    facade.fail([Fault::Drip(Duration::from_secs(1))]);
    embed(&embedder, texts(16)).await.unwrap();
    let seen = facade.counters();
    assert_eq!((seen.most_texts, seen.latest.len()), (16, 8), "sixteen, then eight and eight");
}
