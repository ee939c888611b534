use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use soniquebay_broker::celery::{CeleryConfig, CeleryQueue, CelerySettlement};
use soniquebay_domain::{
    Clock, Fingerprint, JobKind, JobQueue, Lease, NewJob, Priority, Space, SpaceSize, StoreError, StoredVector,
    SystemClock, Timestamp, TrackFields, TrackId, Vector, VectorWrite, Vectors,
};
use soniquebay_testkit::redis::RedisServer;

pub const LEASE: Duration = Duration::from_secs(60);

/// A clock that stands until it is moved.
#[derive(Default)]
pub struct StandingClock(AtomicI64);

impl StandingClock {
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for StandingClock {
    fn now(&self) -> Timestamp {
        Timestamp(1_000_000 + self.0.load(Ordering::SeqCst))
    }
}

/// Vectors kept in memory; some tracks are gone, some are newer.
#[derive(Default)]
pub struct Shelf {
    pub vectors: Mutex<HashMap<(TrackId, Space), Vector>>,
    /// How often a vector of each track was stored.
    pub puts: Mutex<HashMap<TrackId, usize>>,
    pub gone: Mutex<HashSet<TrackId>>,
    pub newer: Mutex<HashSet<TrackId>>,
}

#[async_trait]
impl Vectors for Shelf {
    async fn put(&self, writes: Vec<VectorWrite>) -> Result<(), StoreError> {
        for write in &writes {
            if self.gone.lock().unwrap().contains(&write.track_id) {
                return Err(StoreError::NoTrack(write.track_id));
            }
            if self.newer.lock().unwrap().contains(&write.track_id) {
                return Err(StoreError::Outdated(write.track_id));
            }
        }
        for write in writes {
            *self.puts.lock().unwrap().entry(write.track_id).or_default() += 1;
            self.vectors.lock().unwrap().insert((write.track_id, write.space), write.vector);
        }
        Ok(())
    }

    async fn vectors(&self, space: &Space, ids: Vec<TrackId>) -> Result<Vec<StoredVector>, StoreError> {
        let vectors = self.vectors.lock().unwrap();
        let stored = |track_id: TrackId| {
            let vector = vectors.get(&(track_id, space.clone()))?.clone();
            let nothing = TrackFields::default();
            Some(StoredVector {
                track_id,
                space: space.clone(),
                vector,
                content_hash: soniquebay_domain::ContentHash::of(&nothing),
                metadata_hash: soniquebay_domain::MetadataHash::of(&nothing),
                updated_at: Timestamp::default(),
            })
        };
        Ok(ids.into_iter().filter_map(stored).collect())
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

/// A queue on a Redis of its own.
pub struct Rig {
    pub redis: RedisServer,
    pub clock: Arc<StandingClock>,
    pub queue: CeleryQueue,
    pub settlement: CelerySettlement,
    pub shelf: Arc<Shelf>,
}

pub fn space() -> Space {
    Space::parse("test/4/a-1").unwrap()
}

pub fn track(id: i64) -> TrackId {
    TrackId::new(id).unwrap()
}

pub fn config(url: &str) -> CeleryConfig {
    CeleryConfig::new(url, None, space()).unwrap()
}

pub fn job(id: i64, priority: Priority) -> NewJob {
    NewJob {
        kind: JobKind::EmbedTrack,
        track_id: track(id),
        space: space(),
        priority,
        delay: Duration::ZERO,
        told: None,
    }
}

pub fn write(lease: &Lease) -> VectorWrite {
    let vector = Vector::new(vec![1.0, 0.0, 0.0, 0.0]).unwrap();
    VectorWrite::new(lease.job.track_id, lease.job.space.clone(), vector, None)
}

impl Rig {
    /// One whose clock stands.
    pub fn new() -> Self {
        Self::with(|_| ())
    }

    pub fn with(change: impl FnOnce(&mut CeleryConfig)) -> Self {
        let redis = RedisServer::start();
        let mut settings = config(&redis.url());
        change(&mut settings);
        Self::on(redis, settings)
    }

    pub fn on(redis: RedisServer, settings: CeleryConfig) -> Self {
        let clock = Arc::new(StandingClock::default());
        let queue = CeleryQueue::connect(settings, clock.clone()).unwrap();
        let shelf = Arc::new(Shelf::default());
        let settlement = CelerySettlement::new(queue.clone(), shelf.clone());
        Self { redis, clock, queue, settlement, shelf }
    }

    /// Another process on the same Redis, by the real clock.
    pub fn beside(&self) -> CeleryQueue {
        CeleryQueue::connect(config(&self.redis.url()), Arc::new(SystemClock)).unwrap()
    }

    pub async fn claim(&self, limit: usize) -> Vec<Lease> {
        self.queue.claim(&space(), limit, LEASE).await.unwrap()
    }

    /// What a plain client of Redis is answered.
    pub fn ask<T: redis::FromRedisValue>(&self, command: &[&[u8]]) -> T {
        let mut connection = redis::Client::open(self.redis.url()).unwrap().get_connection().unwrap();
        let mut words = command.iter();
        let mut asked = redis::cmd(std::str::from_utf8(words.next().unwrap()).unwrap());
        for word in words {
            asked.arg(*word);
        }
        asked.query(&mut connection).unwrap()
    }

    /// The result that a task's caller is given.
    pub fn meta(&self, id: &str) -> serde_json::Value {
        let meta: Option<String> = self.ask(&[b"GET", format!("celery-task-meta-{id}").as_bytes()]);
        meta.map_or(serde_json::Value::Null, |meta| serde_json::from_str(&meta).unwrap())
    }

    pub fn length(&self, list: &str) -> usize {
        self.ask(&[b"LLEN", list.as_bytes()])
    }
}
