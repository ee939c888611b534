//! Where tracks, jobs and vectors lie.
//!
//! [`sqlite::SqliteStore`] keeps all of them in one file, so that a track and its job, and a vector and the end of its
//! job, are each one transaction. [`postgres::PostgresStore`] does the same for any number of processes. [`remote`] asks a
//! library and a recommender that are other processes.

pub mod check;
mod counting;
mod numbers;
pub mod postgres;
pub mod redis;
pub mod remote;
pub mod sqlite;
mod text_match;
pub mod transfer;

/// Tries before a job is discarded.
const MAX_ATTEMPTS: u32 = 8;

/// Two recordings of one name are the same track where their lengths differ by no more than this, in seconds.
const SAME_DURATION: f64 = 2.0;

/// The switch that pauses the analysis of files.
const PAUSED: &str = "analysis_paused";

/// How full the spaces were when something was last written, with what tells whether that was the last write.
type Counted<Written> = std::sync::Arc<std::sync::Mutex<Option<(Written, Vec<soniquebay_domain::SpaceCoverage>)>>>;

/// What a store does beside keeping tracks and vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Duty {
    /// A write of a track queues its jobs.
    Queue,
    /// Jobs are queued elsewhere, told by events.
    Catalog,
    /// Its tracks are copies of a library's elsewhere: what filters and searches by name need of them.
    Mirror,
}
