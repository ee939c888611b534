//! The words of SoniqueBay: tracks, vectors, spaces, jobs, filters, and the ports that its parts talk through.
//!
//! Nothing here does IO or knows an async runtime. Every other crate depends on this one and on few others.

mod access;
mod analysis;
mod audio_file;
mod clock;
mod fact;
mod filter;
mod fold;
mod genre;
mod hash;
mod job;
mod key;
mod patch;
mod ports;
mod space;
mod track;
mod vector;
mod waiting;

pub use access::{KeyHash, Scope, StoredKey};
pub use analysis::{Analysis, Aspect, AudioHash, FILLABLE, Measure, Measured, TRUSTED, key_number, tagged};
pub use audio_file::audio_type;
pub use clock::{Clock, SystemClock, Timestamp};
pub use fact::Facts;
pub use filter::{Condition, Filter, Range};
pub use fold::fold;
pub use genre::with_subgenres;
pub use hash::{ContentHash, MetadataHash};
pub use job::{
    Attempts, Discarded, Job, JobId, JobKind, JobState, JobSummary, Lease, LeaseToken, NewJob, Priority, Setback,
};
pub use key::{Key, Mode, PitchClass};
pub use patch::{Change, FieldError, TrackPatch, bounds};
pub use ports::{
    Analyses, Applied, Backlog, BusError, Catalog, CatalogCounts, Database, EmbedError, Embedder, EmbeddingCache,
    Event, EventBus, FileState, Fingerprint, Happening, Heard, Hit, JobCounts, JobQueue, Keys, Made, MakeError, Maker,
    Outcome, Progress, Purpose, QueueCounts, Reconcile, SettledJob, Settlement, SpaceCoverage, SpaceSize, StoreError,
    StoredVector, Subject, Target, TextHit, TextKey, TrackEvent, TrackState, TrackWrite, Tracks, VectorChange,
    VectorChanges, VectorIndex, VectorStore, VectorWrite, Vectorizer, Vectors, WriteMode,
};
pub use space::{Space, SpaceError};
pub use track::{Features, Identity, Track, TrackFields, TrackId};
pub use vector::{Vector, VectorError, cosine, dot, scale_to_unit};
pub use waiting::{may_wait, where_it_may_wait};
