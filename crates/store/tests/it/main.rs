//! The stores, asked what the ports promise.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

mod analyses;
mod backup;
mod catalog;
mod check;
mod embeddings;
mod files;
mod jobs;
mod keys;
mod overlap;
mod postgres;
mod remote;
mod transfer;
mod upgrade;
mod vectors;

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use soniquebay_domain::{
    Applied, Change, Clock, Database, Outcome, Priority, Space, Target, Timestamp, TrackId, TrackPatch, TrackWrite,
    Vector, WriteMode,
};
use soniquebay_store::check::Maintained;
use soniquebay_store::postgres::PostgresStore;
use soniquebay_store::sqlite::SqliteStore;
use soniquebay_testkit::postgres::PostgresServer;

/// Asks the same of every store: one test a store for each of these functions.
macro_rules! on_each_store {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() { super::$name(crate::Fixture::sqlite().await).await; })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() { super::$name(crate::Fixture::postgres().await).await; })*
        }
    };
}
pub(crate) use on_each_store;

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

/// An empty store of any kind, with one wanted space.
pub(crate) struct Fixture {
    pub(crate) store: Arc<dyn Maintained>,
    /// How to reach what lies below it: a file's path, or a server's address.
    pub(crate) below: String,
    /// The same, as a recommender's own.
    pub(crate) mirror: Arc<dyn Database>,
    pub(crate) clock: Arc<StandingClock>,
    /// What the store lies in.
    _kept: Box<dyn Any + Send + Sync>,
}

pub(crate) fn space() -> Space {
    Space::parse("test/4/a-1").unwrap()
}

impl Fixture {
    pub(crate) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(StandingClock::default());
        let path = folder.path().join("library.db");
        let store = SqliteStore::open(&path, clock.clone()).await.unwrap();
        let below = path.to_str().unwrap().to_owned();
        Self::over(Arc::new(store.clone()), Arc::new(store.mirror()), below, clock, Box::new(folder)).await
    }

    pub(crate) async fn postgres() -> Self {
        let clock = Arc::new(StandingClock::default());
        let url = PostgresServer::shared().new_database();
        let store = PostgresStore::connect(&url, clock.clone()).await.unwrap();
        Self::over(Arc::new(store.clone()), Arc::new(store.mirror()), url, clock, Box::new(())).await
    }

    async fn over(
        store: Arc<dyn Maintained>,
        mirror: Arc<dyn Database>,
        below: String,
        clock: Arc<StandingClock>,
        kept: Box<dyn Any + Send + Sync>,
    ) -> Self {
        store.want_spaces(vec![space()]).await.unwrap();
        Self { store, below, mirror, clock, _kept: kept }
    }

    /// The same library, opened once more as another process would.
    pub(crate) async fn another(&self) -> Arc<dyn Maintained> {
        match self.below.starts_with("postgres:") {
            true => Arc::new(PostgresStore::connect(&self.below, self.clock.clone()).await.unwrap()),
            false => Arc::new(SqliteStore::open(self.below.as_ref(), self.clock.clone()).await.unwrap()),
        }
    }

    /// A statement past the store, as whoever damages a library would run it.
    pub(crate) fn sql(&self, statement: &str) {
        if self.below.starts_with("postgres:") {
            PostgresServer::shared().sql(&self.below, statement);
        } else {
            rusqlite::Connection::open(&self.below).unwrap().execute_batch(statement).unwrap();
        }
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
