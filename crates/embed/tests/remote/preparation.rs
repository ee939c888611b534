//! What happens before the first request.

use std::sync::Arc;
use std::time::Duration;

use soniquebay_domain::{EmbedError, Embedder};
use soniquebay_embed::remote::{
    ApiKey, BreakerState, Protocol, RemoteConfig, RemoteEmbedder, RemoteModel, ServerModel,
};
use soniquebay_testkit::llama_server::LlamaServer;
use soniquebay_testkit::ollama::{Facade, Fault, Settings};

use super::{embed, embedder, facade, nomic, quick, texts};

/// Contract 2, ten times as fast: loading takes four times as long as a request may, and a fifteenth of what a warm-up may.
#[tokio::test]
async fn a_cold_start_is_waited_for_by_all_and_happens_once() {
    let cold_start = Duration::from_secs(2);
    let facade = Facade::start(Settings { cold_start, ..Settings::new("nomic-embed-text", 768) }).unwrap();
    let mut config = nomic(&facade.url());
    config.patience.request = Duration::from_millis(500);
    config.patience.per_character = Duration::ZERO;
    config.patience.warm_up = Duration::from_secs(30);
    let embedder = Arc::new(RemoteEmbedder::new(config).unwrap());
    embedder.health().await.unwrap();

    // Whoever leaves while the model loads does not end the loading.
    let leaves = tokio::spawn({
        let embedder = Arc::clone(&embedder);
        async move { embed(&embedder, texts(1)).await }
    });
    facade.reached(|counters| counters.loads == 1).await;
    leaves.abort();
    assert!(leaves.await.unwrap_err().is_cancelled());

    let callers: Vec<_> = (0..8)
        .map(|_| {
            let embedder = Arc::clone(&embedder);
            tokio::spawn(async move { embed(&embedder, texts(3)).await })
        })
        .collect();
    embedder.health().await.expect("a server that loads its model is asked for more");
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap().len(), 3);
    }
    let seen = facade.counters();
    assert_eq!((seen.loads, seen.aborted_loads), (1, 0));
    let counters = embedder.counters();
    assert_eq!((counters.retries, counters.preparations, counters.requests), (0, 1, 1 + 8));
}

/// A model that was unloaded behind our back costs one request that is given up, and then is waited for.
#[tokio::test]
async fn a_model_that_was_unloaded_is_loaded_again_without_a_loop() {
    let cold_start = Duration::from_millis(800);
    let mut facade = Facade::start(Settings { cold_start, ..Settings::new("nomic-embed-text", 768) }).unwrap();
    let mut config = nomic(&facade.url());
    config.patience.request = Duration::from_millis(200);
    config.patience.per_character = Duration::ZERO;
    let embedder = RemoteEmbedder::new(config).unwrap();
    embedder.prepare().await.unwrap();
    facade.restart().unwrap();
    assert_eq!(embed(&embedder, texts(3)).await.unwrap().len(), 3);
    let seen = facade.counters();
    assert!(seen.loads <= 3 && seen.aborted_loads <= 1, "{seen:?}");
}

#[tokio::test]
async fn what_the_server_says_of_itself_is_known() {
    let facade = facade();
    let embedder = embedder(&facade);
    assert_eq!(embedder.server_model(), None);
    embedder.prepare().await.unwrap();
    let told =
        ServerModel { version: Some("0.33.0".to_owned()), digest: Some("sha256:0a1".to_owned()), context: Some(2048) };
    assert_eq!(embedder.server_model(), Some(told));
    assert_eq!((embedder.model(), embedder.dims()), ("nomic-embed-text", 768));
}

#[tokio::test]
async fn another_model_under_the_same_name_is_noticed() {
    let mut facade = facade();
    let embedder = embedder(&facade);
    embed(&embedder, texts(1)).await.unwrap();
    facade.set_digest("sha256:0b2");
    facade.restart().unwrap();
    // Kept connections are broken: the server is prepared again, and looked at.
    facade.fail([Fault::Reset]);
    embed(&embedder, texts(1)).await.unwrap();
    assert_eq!(embedder.counters().model_changes, 1);
    assert_eq!(embedder.server_model().unwrap().digest.as_deref(), Some("sha256:0b2"));
}

#[tokio::test]
async fn a_missing_model_is_fetched_where_that_is_wanted() {
    let facade = Facade::start(Settings { installed: false, ..Settings::new("nomic-embed-text", 768) }).unwrap();
    assert!(matches!(embed(&embedder(&facade), texts(1)).await, Err(EmbedError::Unavailable(_))));
    assert_eq!(facade.counters().by_path.get("/api/pull"), None, "nobody asked for it");

    let mut config = nomic(&facade.url());
    config.pull = true;
    let embedder = RemoteEmbedder::new(config).unwrap();
    assert_eq!(embed(&embedder, texts(3)).await.unwrap().len(), 3);
    assert_eq!(facade.counters().by_path["/api/pull"], 1);
}

#[tokio::test]
async fn a_model_that_cannot_be_fetched_is_told() {
    let facade = facade();
    let mut config = nomic(&facade.url());
    config.pull = true;
    config.model = RemoteModel::new("unheard-of", 4);
    let embedder = RemoteEmbedder::new(config).unwrap();
    let error = embed(&embedder, texts(1)).await.unwrap_err();
    assert!(error.to_string().contains("file does not exist"), "an error in the stream is seen: {error}");
    assert_eq!(embedder.counters().breaker_opened, 1);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_said_soon_and_found_later() {
    let mut facade = facade();
    facade.stop();
    let embedder = embedder(&facade);
    let error = embedder.health().await.unwrap_err();
    assert!(matches!(&error, EmbedError::Unavailable(reason) if reason.contains("refused")), "{error}");
    assert_eq!(embedder.counters().preparations, 0, "nobody is there to be prepared");
    while embedder.counters().breaker != BreakerState::Open {
        assert!(embedder.health().await.is_err());
    }
    facade.restart().unwrap();
    while embedder.health().await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(embed(&embedder, texts(2)).await.unwrap().len(), 2);
    assert_eq!(embedder.counters().breaker, BreakerState::Closed);
}

#[tokio::test]
async fn health_costs_a_healthy_server_nothing() {
    let facade = facade();
    let embedder = embedder(&facade);
    embedder.prepare().await.unwrap();
    let before: u64 = facade.counters().by_path.values().sum();
    for _ in 0..100 {
        embedder.health().await.unwrap();
    }
    assert_eq!(facade.counters().by_path.values().sum::<u64>(), before);
}

#[tokio::test]
async fn health_does_not_load_the_model() {
    let facade = facade();
    let embedder = embedder(&facade);
    embedder.health().await.unwrap();
    assert_eq!((facade.counters().loads, embedder.counters().preparations), (0, 0));
}

#[tokio::test]
async fn the_key_is_sent_and_its_refusal_told() {
    let facade = facade();
    let mut config = nomic(&facade.url());
    config.api_key = Some(ApiKey::new("sesame").unwrap());
    let embedder = RemoteEmbedder::new(config).unwrap();
    embedder.prepare().await.unwrap();
    assert_eq!(facade.counters().authorization.as_deref(), Some("Bearer sesame"));
    facade.fail([Fault::Error(401, "unauthorized")]);
    let error = embed(&embedder, texts(1)).await.unwrap_err().to_string();
    assert!(error.contains("another API key") && !error.contains("sesame"), "{error}");
}

#[tokio::test]
async fn tls_towards_a_server_without_it_is_a_fault_like_others() {
    let facade = facade();
    let embedder = RemoteEmbedder::new(nomic(&facade.url().replace("http", "https"))).unwrap();
    assert!(matches!(embedder.health().await, Err(EmbedError::Unavailable(_))));
}

/// llama-server has no `/api` at all, and this is not taken for a missing model.
#[tokio::test]
async fn a_server_of_another_kind_is_told_as_such() {
    let server = LlamaServer::start().unwrap();
    let model = RemoteModel::known("nomic-embed-text").unwrap();
    let mut config = RemoteConfig::new(Protocol::Ollama, server.url().parse().unwrap(), model);
    config.patience = quick();
    let error = embed(&RemoteEmbedder::new(config).unwrap(), texts(1)).await.unwrap_err();
    assert!(error.to_string().contains("another kind of server"), "{error}");
}
