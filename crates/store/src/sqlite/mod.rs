//! One SQLite file: catalogue, vectors, jobs, full text and the sqlite-vec index.

mod analyses;
mod backup;
mod cache;
mod catalog;
mod check;
mod connection;
mod error;
mod examine;
mod jobs;
mod keys;
mod migrate;
mod restore;
mod row;
mod settle;
mod spaces;
mod text;
mod vacuum;
mod vec0;
mod vectors;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use soniquebay_domain::{Clock, Database, EmbeddingCache, Space, StoreError, VectorIndex};
use tokio::sync::Notify;

pub use backup::{Contents, NotACopy, copy, inspect, is_in_use};
pub use cache::SqliteCache;
use connection::Pool;
pub use examine::SqliteStanding;
pub use vec0::Vec0Index;

use crate::{Counted, Duty, transfer};

/// How many readers work at once. SQLite's readers do not block each other; each keeps its own page cache.
const READERS: usize = 4;

/// The catalogue, the queue and the vectors in one SQLite file.
///
/// Any number of processes may open the same file. Clones share their connections.
#[derive(Clone)]
pub struct SqliteStore {
    writer: Arc<Pool>,
    readers: Arc<Pool>,
    /// One connection that notices whether anything was written, and what it counted then.
    watcher: Arc<Pool>,
    counted: Counted<i64>,
    path: Arc<Path>,
    clock: Arc<dyn Clock>,
    duty: Duty,
    /// Told when this process wrote jobs; other processes are noticed by polling.
    jobs_written: Arc<Notify>,
}

impl SqliteStore {
    /// Opens the file, creates it where it is missing, and brings its format up to date.
    ///
    /// # Errors
    /// Where the folder cannot be written, the disk is full, the file is no SoniqueBay database, a newer one's, or half of a
    /// library that is being moved.
    pub async fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let store = Self::open_unfinished(path, clock).await?;
        match store.readers.read(restore::unfinished).await? {
            Some(source) => {
                let reason = StoreError::Unavailable(transfer::half_moved(&source));
                Err(error::in_file(path, reason))
            }
            None => Ok(store),
        }
    }

    /// The same for whoever moves a library into the file.
    ///
    /// # Errors
    /// As [`open`](Self::open), but for half a library.
    pub async fn open_unfinished(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let file = path.to_owned();
        let (writer, mut readers) = blocking(move || {
            let mut writer = connection::open(&file)?;
            migrate::migrate(&mut writer)?;
            let readers = (0..=READERS).map(|_| connection::open(&file)).collect::<Result<Vec<_>, _>>()?;
            Ok((writer, readers))
        })
        .await?;
        let watcher = readers.split_off(READERS);
        Ok(Self {
            writer: Arc::new(Pool::new(vec![writer])),
            readers: Arc::new(Pool::new(readers)),
            watcher: Arc::new(Pool::new(watcher)),
            counted: Arc::default(),
            path: path.into(),
            clock,
            duty: Duty::Queue,
            jobs_written: Arc::new(Notify::new()),
        })
    }

    /// Brings the file's format up to date and says from which to which; `None` of a file that was not there.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn migrate(path: &Path) -> Result<(Option<i64>, i64), StoreError> {
        let file = path.to_owned();
        blocking(move || {
            let is_new = !file.exists();
            let steps = migrate::migrate(&mut connection::open(&file)?)?;
            Ok((Some(steps.0).filter(|_| !is_new), steps.1))
        })
        .await
    }

    /// The same, where writes of tracks queue no jobs: somebody else hears of them.
    pub fn without_queue(self) -> Self {
        Self { duty: Duty::Catalog, ..self }
    }

    /// The same, as a recommender's own file: its tracks are copies of a library's elsewhere, which come with the vectors.
    pub fn mirror(self) -> Self {
        Self { duty: Duty::Mirror, ..self }
    }

    /// Wakes whoever waits for jobs: which of them can do the new one is not known here. One that is about to wait looks again.
    fn tell_workers(&self) {
        self.jobs_written.notify_waiters();
        self.jobs_written.notify_one();
    }

    /// The exact index over this file's sqlite-vec tables.
    pub fn vec0_index(&self) -> Vec0Index {
        Vec0Index::new(self.clone())
    }
}

/// Work on a file, on a thread that may wait for the disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|panic| StoreError::Unavailable(panic.to_string()))?
}

#[async_trait]
impl Database for SqliteStore {
    /// `track_vectors_virtual` holds the first.
    async fn want_spaces(&self, wanted: Vec<Space>) -> Result<(), StoreError> {
        self.writer.transaction(move |tx| spaces::want(tx, &wanted)).await
    }

    async fn wanted_spaces(&self) -> Result<Vec<Space>, StoreError> {
        self.readers.read(spaces::wanted).await
    }

    async fn release_orphans(&self) -> Result<usize, StoreError> {
        self.writer.transaction(jobs::release_all).await
    }

    fn embedding_cache(&self, entries: usize) -> Arc<dyn EmbeddingCache> {
        Arc::new(SqliteCache::new(self.clone(), entries))
    }

    fn stored_index(&self) -> Arc<dyn VectorIndex> {
        Arc::new(self.vec0_index())
    }
}
