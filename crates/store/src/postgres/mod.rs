//! PostgreSQL with pgvector: catalogue, vectors, jobs and names to search, shared by any number of processes and machines.

mod analyses;
mod cache;
mod catalog;
mod changes;
mod check;
mod clock;
mod connection;
mod error;
mod examine;
mod hnsw;
mod index;
mod jobs;
mod keys;
mod listen;
mod migrate;
mod predicate;
mod restore;
mod row;
mod settle;
mod spaces;
mod text;
mod upkeep;
mod vectors;

use std::sync::Arc;

use async_trait::async_trait;
use soniquebay_domain::{Clock, Database, EmbeddingCache, Space, StoreError, SystemClock, VectorIndex};

pub use cache::PostgresCache;
use connection::{Manner, Server, read, transaction};
use error::SqlError;
pub use examine::PostgresStanding;
pub use index::PgVectorIndex;
use listen::Listener;
pub use upkeep::Alone;

use crate::{Counted, Duty};

/// The catalogue, the queue and the vectors in one PostgreSQL database.
///
/// Any number of processes on any number of machines may share it. Clones share their connections.
#[derive(Clone)]
pub struct PostgresStore {
    server: Server,
    clock: Arc<dyn Clock>,
    duty: Duty,
    heard: Arc<Listener>,
    /// What the spaces held, and which transactions were seen then.
    counted: Counted<String>,
}

impl PostgresStore {
    /// Connects to `postgres://user:password@host:port/database`, checks that server and pgvector are new enough, makes what
    /// is missing and brings the database's format up to date.
    ///
    /// # Errors
    /// Where the server cannot be reached or is too old, the extension cannot be made, or the database is a newer
    /// SoniqueBay's or another program's. The message says what to do, and never holds the password.
    pub async fn connect(url: &str, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let store = Self::over(Server::new(url, Manner::Beside)?, clock).await?;
        upkeep::refuse_half(&store.server).await?;
        upkeep::refuse_while_kept(&store.server).await?;
        Ok(store)
    }

    /// The same, by the server's time: leases are compared across machines.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_by_its_time(url: &str) -> Result<Self, StoreError> {
        let store = Self::connect(url, Arc::new(SystemClock)).await?;
        let clock = Arc::new(clock::ServerClock::start(store.server.clone()).await?);
        Ok(Self { clock, ..store })
    }

    /// The same for what reads or writes the whole library, without bounds of time.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_for_upkeep(url: &str, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let store = Self::connect_unfinished(url, clock).await?;
        upkeep::refuse_half(&store.server).await?;
        Ok(store)
    }

    /// The same for whoever moves a library into the database.
    ///
    /// # Errors
    /// As [`connect`](Self::connect), but for half a library.
    pub async fn connect_unfinished(url: &str, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        Self::over(Server::new(url, Manner::Upkeep)?, clock).await
    }

    /// The library as it is at this moment, whatever others write afterwards: for reading only, on one connection.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn snapshot(url: &str, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        drop(Self::connect_for_upkeep(url, clock.clone()).await?);
        let server = Server::new(url, Manner::Snapshot)?;
        let heard = Arc::new(Listener::start(server.clone()));
        Ok(Self { server, clock, duty: Duty::Queue, heard, counted: Arc::default() })
    }

    /// Brings the database's format up to date and says from which, if it was ours, to which.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn migrate(url: &str) -> Result<(Option<i64>, i64), StoreError> {
        migrate::migrate(&Server::new(url, Manner::Upkeep)?).await
    }

    async fn over(server: Server, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        migrate::migrate(&server).await?;
        let heard = Arc::new(Listener::start(server.clone()));
        Ok(Self { server, clock, duty: Duty::Queue, heard, counted: Arc::default() })
    }

    /// Where the database is: host, port and name, without user and password.
    pub fn address(&self) -> &str {
        self.server.address()
    }

    /// The same, where writes of tracks queue no jobs: somebody else hears of them.
    #[must_use]
    pub fn without_queue(self) -> Self {
        Self { duty: Duty::Catalog, ..self }
    }

    /// The same, as a recommender's own database: its tracks are copies of a library's elsewhere, which come with the
    /// vectors.
    #[must_use]
    pub fn mirror(self) -> Self {
        Self { duty: Duty::Mirror, ..self }
    }

    /// The index over this database's vectors.
    pub fn pgvector_index(&self) -> PgVectorIndex {
        PgVectorIndex::new(self.clone())
    }
}

#[async_trait]
impl Database for PostgresStore {
    async fn want_spaces(&self, wanted: Vec<Space>) -> Result<(), StoreError> {
        transaction!(self.server, |tx| spaces::want(tx, &wanted))
    }

    async fn wanted_spaces(&self) -> Result<Vec<Space>, StoreError> {
        read!(self.server, |client| spaces::wanted(client))
    }

    /// None: other processes may be running them. What a process that is gone held comes back when its leases end.
    async fn release_orphans(&self) -> Result<usize, StoreError> {
        Ok(0)
    }

    fn embedding_cache(&self, entries: usize) -> Arc<dyn EmbeddingCache> {
        Arc::new(PostgresCache::new(self.clone(), entries))
    }

    fn stored_index(&self) -> Arc<dyn VectorIndex> {
        Arc::new(self.pgvector_index())
    }
}
