//! A server that dies in the middle of its work and comes back.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use soniquebay_domain::{EmbedError, Embedder};
use soniquebay_embed::remote::{BreakerState, Protocol, RemoteConfig, RemoteEmbedder, RemoteModel};
use soniquebay_testkit::llama_server::LlamaServer;
use soniquebay_testkit::ollama::{Facade, Settings};
use tokio::sync::watch;

use super::{cosine, embed, nomic, quick, texts};

const TEXTS: usize = 300;

const BATCH: usize = 10;

/// How long the server stays away.
const AWAY: Duration = Duration::from_millis(500);

/// What a worker does with its queue: asks for health before it takes a batch, and gives the batch back when the server is away.
/// `done` hears how many vectors there are; the breaker's states are told at the end.
async fn work(embedder: Arc<RemoteEmbedder>, done: watch::Sender<usize>) -> (BTreeMap<String, Vec<f32>>, u32) {
    let mut queue: VecDeque<Vec<String>> = texts(TEXTS).chunks(BATCH).map(<[String]>::to_vec).collect();
    let (mut vectors, mut unhealthy) = (BTreeMap::new(), 0);
    while !queue.is_empty() {
        if embedder.health().await.is_err() {
            unhealthy += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        }
        let batch = queue.pop_front().unwrap();
        match embed(&embedder, batch.clone()).await {
            Ok(answer) => {
                assert_eq!(answer.len(), batch.len());
                for (text, vector) in batch.into_iter().zip(answer) {
                    assert!(vectors.insert(text, vector).is_none(), "no vector comes twice");
                }
                done.send_replace(vectors.len());
            }
            Err(EmbedError::Unavailable(_)) => queue.push_back(batch),
            Err(error) => panic!("a server that dies is no text's fault: {error}"),
        }
    }
    (vectors, unhealthy)
}

async fn survives(config: RemoteConfig, kill: impl FnOnce(), restart: impl FnOnce()) {
    let embedder = Arc::new(RemoteEmbedder::new(config.clone()).unwrap());
    let (sender, mut done) = watch::channel(0);
    let worker = tokio::spawn(work(Arc::clone(&embedder), sender));
    done.wait_for(|done| *done >= TEXTS / 3).await.unwrap();
    kill();
    // It dies for the time that a person needs to start it again.
    tokio::time::sleep(AWAY).await;
    let away = embedder.counters();
    assert!(away.breaker != BreakerState::Closed && away.breaker_opened >= 1, "{away:?}");
    let before = *done.borrow();
    restart();
    let (vectors, unhealthy) = worker.await.unwrap();
    assert!(before < TEXTS, "it was killed in the middle");
    assert_eq!(vectors.len(), TEXTS, "no vector is lost");
    assert!(unhealthy > 0, "nothing was taken from the queue meanwhile");
    assert_eq!(embedder.counters().breaker, BreakerState::Closed);
    assert_eq!(embedder.counters().texts as usize, TEXTS, "no vector was made twice");
    let alone = RemoteEmbedder::new(config).unwrap();
    for (text, vector) in vectors.iter().step_by(37) {
        let again = embed(&alone, vec![text.clone()]).await.unwrap();
        assert!(cosine(vector, &again[0]) >= 0.9999, "{text}");
    }
}

/// Contract 8, at the client's side, over Ollama's API. What the queue does with it is the pipeline's part.
#[tokio::test]
async fn ollama_may_die_and_come_back() {
    let a_text = Duration::from_millis(2);
    let facade = Facade::start(Settings { a_text, ..Settings::new("nomic-embed-text", 768) }).unwrap();
    let config = nomic(&facade.url());
    let facade = std::cell::RefCell::new(facade);
    survives(config, || facade.borrow_mut().stop(), || facade.borrow_mut().restart().unwrap()).await;
}

/// Contract 8, at the client's side, with SIGKILL for a real server.
#[tokio::test]
async fn a_real_server_may_die_and_come_back() {
    let server = LlamaServer::start().unwrap();
    let model = RemoteModel::known("nomic-embed-text").unwrap();
    let mut config = RemoteConfig::new(Protocol::OpenAi, server.url().parse().unwrap(), model);
    config.patience = quick();
    let server = std::cell::RefCell::new(server);
    survives(config, || server.borrow_mut().kill().unwrap(), || server.borrow_mut().restart().unwrap()).await;
}
