use std::sync::Arc;

use async_trait::async_trait;
use axum::http::StatusCode;
use serde_json::json;
use soniquebay_api::{combined_router, index_check};
use soniquebay_domain::{
    Facts, Filter, Fingerprint, Space, SpaceCoverage, SpaceSize, StoreError, StoredVector, TrackId, TrackState, Vector,
    VectorChanges, VectorStore, VectorWrite, Vectors,
};
use soniquebay_search::{MemoryIndex, Recommender, Serving};
use tokio::sync::{Semaphore, mpsc};

use crate::app::{App, space};

/// Changes in the log.
const CHANGES: i64 = 3000;

/// A log of changes that is read only as far as it is let: it tells of each reading, and waits.
struct HeldBack {
    read: mpsc::UnboundedSender<i64>,
    let_through: Semaphore,
}

#[async_trait]
impl Vectors for HeldBack {
    async fn put(&self, _: Vec<VectorWrite>) -> Result<(), StoreError> {
        Ok(())
    }

    async fn vectors(&self, _: &Space, _: Vec<TrackId>) -> Result<Vec<StoredVector>, StoreError> {
        Ok(Vec::new())
    }

    async fn spaces(&self) -> Result<Vec<SpaceSize>, StoreError> {
        Ok(Vec::new())
    }

    async fn vector_fingerprints(&self, _: &Space, _: i64, _: usize) -> Result<Vec<Fingerprint>, StoreError> {
        Ok(Vec::new())
    }

    async fn forget(&self, _: Vec<TrackId>) -> Result<usize, StoreError> {
        Ok(0)
    }
}

#[async_trait]
impl VectorStore for HeldBack {
    async fn vector_page(&self, _: &Space, _: i64, _: usize, _: usize) -> Result<Vec<StoredVector>, StoreError> {
        Ok(Vec::new())
    }

    async fn coverage(&self) -> Result<Vec<SpaceCoverage>, StoreError> {
        Ok(Vec::new())
    }

    async fn remove_vector(&self, _: &Space, _: TrackId) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn drop_space(&self, _: &Space) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn states(&self, _: &Space, _: Vec<TrackId>) -> Result<Vec<(TrackId, TrackState)>, StoreError> {
        Ok(Vec::new())
    }

    async fn changes(&self, _: &Space, sequence: i64, limit: usize) -> Result<VectorChanges, StoreError> {
        self.read.send(sequence).unwrap();
        self.let_through.acquire().await.unwrap().forget();
        let mut changes = VectorChanges::default();
        for sequence in (sequence + 1..=CHANGES).take(limit) {
            changes.stored(sequence, TrackId::new(sequence).unwrap(), [1.0, 0.0, 0.0], Facts::default()).unwrap();
        }
        Ok(changes)
    }
}

#[tokio::test]
async fn while_the_index_is_loaded_the_service_is_not_ready_and_says_how_far_it_is() {
    let (read, mut readings) = mpsc::unbounded_channel();
    let log = Arc::new(HeldBack { read, let_through: Semaphore::new(0) });
    let index = Arc::new(MemoryIndex::new(log.clone()));
    let app = App::new().await.behind(|mut services| {
        let recommender = Arc::new(Recommender {
            catalog: services.catalog.clone(),
            vectors: services.vectors.clone(),
            index: index.clone(),
            vectorizers: Vec::new(),
            serving: Serving::new(services.vectors.clone(), space(), Vec::new()),
            sound: None,
        });
        services.operations.checks = Arc::new([index_check(recommender.clone())]);
        services.recommender = recommender;
        combined_router(services)
    });
    let loading = tokio::spawn(async move {
        let query = Vector::new(vec![1.0, 0.0, 0.0]).unwrap();
        soniquebay_domain::VectorIndex::search(&*index, &space(), &query, 1, &Filter::default()).await.unwrap()
    });
    // Whether there is anything, then the first changes; the third reading begins when those are known to be read.
    log.let_through.add_permits(2);
    let mut from = 0;
    while from == 0 {
        from = readings.recv().await.unwrap();
    }
    let waits = app.get("/readyz").await;
    assert_eq!(waits.status, StatusCode::SERVICE_UNAVAILABLE, "{waits:?}");
    let check = &waits.json()["checks"]["index"];
    assert_eq!(check["status"], "unavailable");
    let detail = check["detail"].as_str().unwrap();
    assert!(detail.contains(&format!("{from} vectors")), "{detail}");
    assert_eq!(app.get("/healthz").await.json(), json!({"status": "ok"}), "it lives");

    log.let_through.add_permits(100);
    assert_eq!(loading.await.unwrap().len(), 1);
    assert_eq!(app.get("/readyz").await.status, StatusCode::OK);
}
