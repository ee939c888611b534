//! The seams between the parts. Each trait has at least two real implementations or stands for a remote service.

mod catalog;
mod database;
mod embedding;
mod error;
mod events;
mod jobs;
mod keys;
mod making;
mod vectors;

pub use catalog::{
    Applied, Catalog, CatalogCounts, FileState, Fingerprint, Outcome, Target, TextHit, TrackWrite, Tracks, WriteMode,
};
pub use database::Database;
pub use embedding::{EmbedError, Embedder, EmbeddingCache, Purpose, TextKey, Vectorizer};
pub use error::StoreError;
pub use events::{BusError, Event, EventBus, Happening, Heard, Progress, TrackEvent};
pub use jobs::{Backlog, JobCounts, JobQueue, QueueCounts, Reconcile, SettledJob, Settlement};
pub use keys::Keys;
pub use making::{Analyses, Made, MakeError, Maker, Subject};
pub use vectors::{
    Hit, SpaceCoverage, SpaceSize, StoredVector, TrackState, VectorChange, VectorChanges, VectorIndex, VectorStore,
    VectorWrite, Vectors,
};
