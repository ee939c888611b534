//! The stores, asked what the ports promise.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

mod catalog;
mod embeddings;
mod files;
mod jobs;
mod vectors;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use soniquebay_domain::{
    Applied, Catalog, Change, Clock, Database, Outcome, Priority, Space, Target, Timestamp, TrackId, TrackPatch,
    TrackWrite, Vector, WriteMode,
};
use soniquebay_store::sqlite::SqliteStore;

/// A clock that stands until it is moved.
#[derive(Default)]
pub(crate) struct StandingClock(AtomicI64);

impl StandingClock {
    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for StandingClock {
    fn now(&self) -> Timestamp {
        Timestamp(1_000_000 + self.0.load(Ordering::SeqCst))
    }
}

pub(crate) struct Fixture {
    pub(crate) store: SqliteStore,
    pub(crate) clock: Arc<StandingClock>,
    pub(crate) folder: tempfile::TempDir,
}

pub(crate) fn space() -> Space {
    Space::parse("test/4/a-1").unwrap()
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(StandingClock::default());
        let store = SqliteStore::open(&folder.path().join("library.db"), clock.clone()).await.unwrap();
        store.want_spaces(vec![space()]).await.unwrap();
        Self { store, clock, folder }
    }

    pub(crate) async fn write(&self, write: TrackWrite) -> Applied {
        self.store.apply(vec![write]).await.unwrap().remove(0)
    }

    pub(crate) async fn create(&self, title: &str) -> TrackId {
        match self.write(titled(title)).await {
            Applied::Done { id, outcome: Outcome::Created } => id,
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn titled(title: &str) -> TrackWrite {
    TrackWrite {
        target: Target::Recognised { id: None },
        mode: WriteMode::Merge,
        patch: TrackPatch { title: Change::Set(title.into()), ..TrackPatch::default() },
        priority: Priority::Normal,
    }
}

pub(crate) fn change(id: TrackId, patch: TrackPatch) -> TrackWrite {
    TrackWrite {
        target: Target::Existing { id, version: None },
        mode: WriteMode::Merge,
        patch,
        priority: Priority::Interactive,
    }
}

pub(crate) fn vector(values: [f32; 4]) -> Vector {
    Vector::new(values.to_vec()).unwrap()
}
