//! How many vectors a second go through `RemoteVectors::put` over loopback into a real server with a mirror as its store,
//! and what the parts of the way cost.
//!
//! `cargo run --release -p soniquebay-store --example remote_put`

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, run by hand")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use soniquebay_api::{Access, Limits, Operations, Services, coverage};
use soniquebay_broker::bus::LocalBus;
use soniquebay_domain::{
    ContentHash, EmbedError, Space, SystemClock, TrackFields, TrackId, Vector, VectorWrite, Vectorizer, Vectors,
};
use soniquebay_http::BaseUrl;
use soniquebay_search::{MemoryIndex, Recommender, Serving, TrackStates};
use soniquebay_store::remote::{Patience, RemoteVectors};
use soniquebay_store::sqlite::SqliteStore;
use soniquebay_wire::{VectorInput, VectorOutput};
use tokio_util::sync::CancellationToken;

const DIMS: usize = 396;
const VECTORS: i64 = 8192;

struct NoModel(Space);

#[async_trait]
impl Vectorizer for NoModel {
    fn space(&self) -> &Space {
        &self.0
    }

    fn text_dims(&self) -> usize {
        DIMS
    }

    async fn vectorize(&self, _tracks: Vec<TrackFields>) -> Result<Vec<Vector>, EmbedError> {
        Err(EmbedError::ModelMissing { model: "none".into() })
    }

    async fn vectorize_query(&self, _words: String) -> Result<Vector, EmbedError> {
        Err(EmbedError::ModelMissing { model: "none".into() })
    }

    async fn health(&self) -> Result<(), EmbedError> {
        Ok(())
    }
}

fn write(n: i64, space: &Space) -> VectorWrite {
    let fields = TrackFields {
        title: Some(format!("Track {n}")),
        artist: Some(format!("Artist {}", n % 500)),
        album: Some(format!("Album {}", n % 900)),
        genre: Some("Electronic".into()),
        tags: vec!["strings".into(), "live".into()],
        year: Some(1997),
        duration: Some(305.2),
        ..TrackFields::default()
    };
    // Numbers with all their digits, as a model makes them.
    let numbers = (0..DIMS).map(|i| ((n * 7919 + i as i64 * 104_729) % 10_007) as f32 / 50_000.0 - 0.1).collect();
    VectorWrite {
        content_hash: Some(ContentHash::of(&fields)),
        version: Some(1),
        told: Some(Arc::new(fields)),
        ..VectorWrite::new(TrackId::new(n).unwrap(), space.clone(), Vector::new(numbers).unwrap(), None)
    }
}

async fn mirror(folder: &std::path::Path, name: &str) -> Arc<SqliteStore> {
    Arc::new(SqliteStore::open(&folder.join(name), Arc::new(SystemClock)).await.unwrap().mirror())
}

fn report(what: &str, started: Instant) {
    let seconds = started.elapsed().as_secs_f64();
    println!("{what:<44} {:>8.0} vectors/s {:>8.1} us each", VECTORS as f64 / seconds, seconds * 1e6 / VECTORS as f64);
}

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir().unwrap();
    let space = Space::new("all-MiniLM-L6-v2", DIMS, "parts-1").unwrap();
    let writes: Vec<VectorWrite> = (1..=VECTORS).map(|n| write(n, &space)).collect();

    let started = Instant::now();
    let texts: Vec<String> =
        writes.iter().map(|write| serde_json::to_string(&VectorOutput::from(write)).unwrap()).collect();
    report("written as JSON", started);
    println!("{:<44} {:>8} bytes", "one vector with its track", texts[0].len());
    let started = Instant::now();
    for text in &texts {
        black_box(serde_json::from_str::<VectorInput>(text).unwrap().check().unwrap());
    }
    report("read from JSON and checked", started);

    for batch in [1, 64, 256] {
        let direct = mirror(folder.path(), &format!("direct-{batch}.db")).await;
        let started = Instant::now();
        for writes in writes.chunks(batch) {
            direct.put(writes.to_vec()).await.unwrap();
        }
        report(&format!("the store itself, {batch} at a time"), started);

        let store = mirror(folder.path(), &format!("served-{batch}.db")).await;
        let remote = serve(store, &space).await;
        remote.put(writes[..1].to_vec()).await.unwrap();
        let started = Instant::now();
        for writes in writes.chunks(batch) {
            remote.put(writes.to_vec()).await.unwrap();
        }
        report(&format!("over HTTP, {batch} at a time"), started);
    }
}

async fn serve(store: Arc<SqliteStore>, space: &Space) -> RemoteVectors {
    let recommender = Recommender {
        catalog: store.clone(),
        vectors: store.clone(),
        index: Arc::new(MemoryIndex::new(store.clone())),
        vectorizers: vec![Arc::new(NoModel(space.clone()))],
        serving: Serving::new(store.clone(), space.clone(), Vec::new()),
        sound: None,
    };
    let operations = Operations {
        queue: store.clone(),
        bus: Arc::new(LocalBus::default()),
        standing: coverage(store.clone(), store.clone(), space.clone()),
        checks: Arc::new([]),
        counters: Arc::new(String::new),
        shutdown: CancellationToken::new(),
        access: Access::loopback(),
        version: "measured",
    };
    let services = Services {
        catalog: store.clone(),
        vectors: store.clone(),
        mirror: true,
        library: None,
        recommender: Arc::new(recommender),
        states: Some(Arc::new(TrackStates { vectors: store.clone(), queue: store.clone(), space: space.clone() })),
        sound_states: None,
        analyses: store,
        operations,
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = BaseUrl::parse(&listener.local_addr().unwrap().to_string(), 8002).unwrap();
    let router = soniquebay_api::recommender_router(services);
    tokio::spawn(soniquebay_api::serve(listener, router, Limits::default(), std::future::pending()));
    RemoteVectors::new(server, None, Patience::default())
}
