//! How many messages a second the Celery queue takes and gives, on an empty Redis of its own.
//!
//!     cargo run --release -p soniquebay-broker --example celery_rates [JOBS]

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement ends where it fails")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use soniquebay_broker::celery::{CeleryConfig, CeleryQueue, CelerySettlement};
use soniquebay_domain::{
    Fingerprint, JobKind, JobQueue, NewJob, Priority, SettledJob, Settlement, Space, SpaceSize, StoreError,
    StoredVector, SystemClock, TrackFields, TrackId, Vector, VectorWrite, Vectors,
};
use soniquebay_testkit::redis::RedisServer;

const BATCH: usize = 64;

/// Takes vectors and keeps none: only the queue is measured.
struct Nowhere;

#[async_trait]
impl Vectors for Nowhere {
    async fn put(&self, _: Vec<VectorWrite>) -> Result<(), StoreError> {
        Ok(())
    }

    async fn vectors(&self, _: &Space, _: Vec<TrackId>) -> Result<Vec<StoredVector>, StoreError> {
        Ok(Vec::new())
    }

    async fn vector_fingerprints(&self, _: &Space, _: i64, _: usize) -> Result<Vec<Fingerprint>, StoreError> {
        Ok(Vec::new())
    }

    async fn spaces(&self) -> Result<Vec<SpaceSize>, StoreError> {
        Ok(Vec::new())
    }

    async fn forget(&self, _: Vec<TrackId>) -> Result<usize, StoreError> {
        Ok(0)
    }
}

#[tokio::main]
async fn main() {
    let jobs: i64 = std::env::args().nth(1).map_or(20_000, |jobs| jobs.parse().unwrap());
    let redis = RedisServer::start();
    let space = Space::parse("test/4/a-1").unwrap();
    let config = CeleryConfig::new(&redis.url(), None, space.clone()).unwrap();
    let queue = CeleryQueue::connect(config, Arc::new(SystemClock)).unwrap();
    let settlement = CelerySettlement::new(queue.clone(), Arc::new(Nowhere));
    let told = TrackFields {
        title: Some("Teardrop".into()),
        artist: Some("Massive Attack".into()),
        album: Some("Mezzanine".into()),
        genre: Some("Trip Hop".into()),
        year: Some(1998),
        ..TrackFields::default()
    };
    let job = |id| NewJob {
        kind: JobKind::EmbedTrack,
        track_id: TrackId::new(id).unwrap(),
        space: space.clone(),
        priority: Priority::Normal,
        delay: Duration::ZERO,
        told: Some(Box::new(told.clone())),
    };
    let rate = |what: &str, begun: Instant| {
        println!("{what:<28} {:>8.0} jobs/s", jobs as f64 / begun.elapsed().as_secs_f64());
    };

    let begun = Instant::now();
    for from in (1..=jobs).step_by(BATCH) {
        queue.enqueue((from..(from + BATCH as i64).min(jobs + 1)).map(job).collect()).await.unwrap();
    }
    rate("enqueue, 64 at once", begun);

    let begun = Instant::now();
    let mut held = Vec::new();
    while held.len() < jobs as usize {
        held.extend(queue.claim(&space, BATCH, Duration::from_secs(600)).await.unwrap());
    }
    rate("claim, 64 at once", begun);

    let vector = Vector::new(vec![1.0, 0.0, 0.0, 0.0]).unwrap();
    let begun = Instant::now();
    for leases in held.chunks(BATCH) {
        let done = leases.iter().map(|lease| SettledJob {
            lease: lease.clone(),
            result: Ok(Some(VectorWrite::new(lease.job.track_id, space.clone(), vector.clone(), None))),
            analysis: None,
        });
        settlement.settle(done.collect()).await.unwrap();
    }
    rate("settle, 64 at once", begun);

    let begun = Instant::now();
    for id in 1..=jobs {
        queue.enqueue(vec![job(id)]).await.unwrap();
    }
    rate("enqueue, one by one", begun);

    let begun = Instant::now();
    let mut done = 0;
    while done < jobs as usize {
        let leases = queue.claim(&space, BATCH, Duration::from_secs(600)).await.unwrap();
        done += leases.len();
        settlement
            .settle(leases.into_iter().map(|lease| SettledJob { lease, result: Ok(None), analysis: None }).collect())
            .await
            .unwrap();
    }
    rate("claim and settle, in turn", begun);
}
