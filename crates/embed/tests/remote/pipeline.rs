//! Errors lead the worker to the right thing: over the real store, with the real worker.

use std::sync::Arc;

use soniquebay_domain::{
    Applied, Catalog, Change, Database, JobQueue, Priority, SystemClock, Target, TrackPatch, TrackWrite, VectorStore,
    Vectorizer, WriteMode,
};
use soniquebay_embed::remote::{Protocol, RemoteConfig, RemoteEmbedder, RemoteLimits, RemoteModel};
use soniquebay_embed::{SpaceSettings, TextAndNumbers};
use soniquebay_pipeline::{FromFields, Parts, Worker, WorkerLimits};
use soniquebay_store::sqlite::SqliteStore;
use soniquebay_testkit::ollama::{Facade, Settings};
use tokio_util::sync::CancellationToken;

use super::quick;

const BAD: &str = "unspeakable";

struct Outcome {
    vectors: usize,
    discarded: u64,
    left: u64,
    reason: Option<String>,
    requests: u64,
}

const NAN: (u16, &str) = (400, "embedding contains NaN or Inf values");

const CRASH: (u16, &str) = (400, "do embedding request: Post \"http://127.0.0.1:33417/embedding\": EOF");

/// 32 tracks of which one fails with `error`, worked on in batches of `batch`, each one request.
async fn one_bad_among_32(position: usize, batch: usize, error: (u16, &'static str)) -> Outcome {
    let facade = Facade::start(Settings::new("all-minilm", 384)).unwrap();
    facade.poison(BAD, error.0, error.1);
    let model = RemoteModel::known("all-minilm").unwrap();
    let mut config = RemoteConfig::new(Protocol::Ollama, facade.url().parse().unwrap(), model);
    config.limits = RemoteLimits { texts: batch, ..config.limits };
    config.patience = quick();
    let embedder = Arc::new(RemoteEmbedder::new(config).unwrap());
    let vectorizer = Arc::new(TextAndNumbers::new(embedder.clone(), SpaceSettings::default()).unwrap());

    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("library.db"), Arc::new(SystemClock)).await.unwrap();
    store.want_spaces(vec![vectorizer.space().clone()]).await.unwrap();
    let write = |title: String| TrackWrite {
        target: Target::Recognised { id: None },
        mode: WriteMode::Merge,
        patch: TrackPatch { title: Change::Set(title), ..TrackPatch::default() },
        priority: Priority::Normal,
    };
    let title = |i| if i == position { format!("{BAD} {i}") } else { format!("song {i}") };
    let applied = store.apply((0..32).map(title).map(write).collect()).await.unwrap();
    assert!(applied.iter().all(|applied| matches!(applied, Applied::Done { .. })));

    embedder.prepare().await.unwrap();
    let before = facade.counters().requests;
    let port = Arc::new(store.clone());
    let limits = WorkerLimits { batch, concurrency: 1, ..WorkerLimits::default() };
    let parts = Parts {
        queue: port.clone(),
        settlement: port.clone(),
        tracks: Some(port.clone()),
        vectors: port,
        makers: vec![Arc::new(FromFields::new(vectorizer.clone(), FromFields::TIME_LIMIT))],
    };
    let worker = Worker::new(parts, limits, |_| {});
    Arc::new(worker).drain(&CancellationToken::new()).await.unwrap();

    let counts = store.job_counts().await.unwrap();
    let vectors = store.vector_page(vectorizer.space(), 0, 0, 1000).await.unwrap();
    let jobs = store.jobs(None, None, 100).await.unwrap();
    Outcome {
        vectors: vectors.len(),
        discarded: counts.discarded,
        left: counts.available + counts.scheduled + counts.running,
        reason: jobs.into_iter().find_map(|job| job.reason),
        requests: facade.counters().requests - before,
    }
}

/// Contract 6.
#[tokio::test]
async fn one_bad_text_of_a_batch_is_found_and_discarded() {
    for position in [0, 13, 31] {
        let outcome = one_bad_among_32(position, 32, NAN).await;
        assert_eq!((outcome.vectors, outcome.discarded, outcome.left), (31, 1, 0), "bad one at {position}");
        assert!(outcome.reason.unwrap().contains("NaN"));
        assert!(outcome.requests <= 2 * 5 + 1, "bad one at {position}: {} requests", outcome.requests);
    }
    // As requests are by default: the batch with the bad one, and the other one.
    let outcome = one_bad_among_32(13, RemoteLimits::default().texts, NAN).await;
    assert_eq!((outcome.vectors, outcome.discarded, outcome.left), (31, 1, 0));
    assert!(outcome.requests <= 2 * 4 + 1 + 1, "{} requests", outcome.requests);
}

/// A text on which the engine crashes looks like a server that is away, and must not hold the others back for ever.
#[tokio::test]
async fn a_text_that_crashes_the_engine_does_not_hold_the_others_back() {
    let outcome = one_bad_among_32(13, 16, CRASH).await;
    assert_eq!((outcome.vectors, outcome.discarded, outcome.left), (31, 0, 1), "it is tried later, and costs attempts");
    assert!(outcome.reason.unwrap().contains("EOF"));
}
