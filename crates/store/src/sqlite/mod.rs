//! One SQLite file: catalogue, vectors, jobs, full text and the sqlite-vec index.

mod cache;
mod catalog;
mod connection;
mod error;
mod jobs;
mod migrate;
mod row;
mod settle;
mod spaces;
mod text;
mod vec0;
mod vectors;

use std::path::Path;
use std::sync::Arc;

use soniquebay_domain::{Clock, Space, StoreError};
use tokio::sync::Notify;

pub use cache::SqliteCache;
use connection::Pool;
pub use vec0::Vec0Index;

/// How many readers work at once. SQLite's readers do not block each other; each keeps its own page cache.
const READERS: usize = 4;

/// The catalogue, the queue and the vectors in one SQLite file.
///
/// Any number of processes may open the same file. Clones share their connections.
#[derive(Clone)]
pub struct SqliteStore {
    writer: Arc<Pool>,
    readers: Arc<Pool>,
    clock: Arc<dyn Clock>,
    /// Told when this process wrote jobs; other processes are noticed by polling.
    jobs_written: Arc<Notify>,
}

impl SqliteStore {
    /// Opens the file, creates it where it is missing, and brings its format up to date.
    ///
    /// # Errors
    /// Where the folder cannot be written, the disk is full, the file is no SoniqueBay database or a newer one's.
    pub async fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let path = path.to_owned();
        let (writer, readers) = tokio::task::spawn_blocking(move || {
            let mut writer = connection::open(&path)?;
            migrate::migrate(&mut writer)?;
            let readers = (0..READERS).map(|_| connection::open(&path)).collect::<Result<Vec<_>, _>>()?;
            Ok::<_, StoreError>((writer, readers))
        })
        .await
        .map_err(|error| StoreError::Unavailable(error.to_string()))??;
        Ok(Self {
            writer: Arc::new(Pool::new(vec![writer])),
            readers: Arc::new(Pool::new(readers)),
            clock,
            jobs_written: Arc::new(Notify::new()),
        })
    }

    /// The exact index over this file's sqlite-vec tables.
    pub fn vec0_index(&self) -> Vec0Index {
        Vec0Index::new(self.clone())
    }

    /// Makes these the spaces that jobs fill; `track_vectors_virtual` holds the first.
    /// Vectors of other spaces stay. The reconciler then makes the jobs.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub async fn want_spaces(&self, wanted: Vec<Space>) -> Result<(), StoreError> {
        self.writer.transaction(move |tx| spaces::want(tx, &wanted)).await
    }

    /// Whether jobs fill any space yet: not so in a file that has just been made.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub async fn wanted_space(&self) -> Result<Option<Space>, StoreError> {
        self.readers.read(|conn| Ok(spaces::wanted(conn)?.into_iter().next())).await
    }
}
