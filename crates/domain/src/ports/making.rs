//! From jobs to vectors, and what is known of tracks' audio.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{Analysis, AudioHash, ContentHash, EmbedError, Space, StoreError, Track, TrackFields, TrackId, Vector};

/// What a vector is to be made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// Whose it is.
    pub track_id: TrackId,
    /// What counts of the track, [`Track::counts`].
    pub fields: Arc<TrackFields>,
    /// Fingerprint of what the vector is made from, [`Track::made_from`].
    pub made_from: ContentHash,
}

/// What came of a subject.
#[derive(Clone, Debug, PartialEq)]
pub struct Made {
    /// The vector, or why there is none.
    pub vector: Result<Vector, MakeError>,
    /// What was found out about its audio.
    pub analysis: Option<Analysis>,
}

/// Why no vector was made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MakeError {
    /// What is needed is away, for all subjects: spends no attempt.
    #[error("{0}")]
    Away(String),
    /// It went wrong, and may go well next time.
    #[error("{0}")]
    Failed(String),
    /// It never will.
    #[error("{0}")]
    Refused(String),
}

impl From<EmbedError> for MakeError {
    fn from(error: EmbedError) -> Self {
        match error {
            EmbedError::ModelMissing { .. } | EmbedError::Unavailable(_) | EmbedError::Overloaded => {
                Self::Away(error.to_string())
            }
            EmbedError::Failed(reason) => Self::Failed(reason),
            EmbedError::Refused(reason) => Self::Refused(reason),
        }
    }
}

/// Turns jobs of one space into vectors: what a worker runs.
#[async_trait]
pub trait Maker: Send + Sync {
    /// The space that it fills.
    fn space(&self) -> &Space;

    /// Whether it can work now; where not, no job is claimed for it.
    async fn health(&self) -> Result<(), MakeError>;

    /// What came of each subject, in order.
    async fn make(&self, subjects: &[Subject]) -> Vec<Made>;
}

/// What is known of tracks' audio, and whether more is to be found out.
#[async_trait]
pub trait Analyses: Send + Sync {
    /// A track that has this audio and was analysed under this revision, with what was found.
    async fn analysis_of(&self, audio: &AudioHash, revision: &str) -> Result<Option<(TrackId, Analysis)>, StoreError>;

    /// Keeps what was found of tracks whose files are still those that were analysed, and queues what follows from it; the
    /// tracks as they are now, those that are gone left out.
    async fn keep_analyses(&self, analyses: Vec<(TrackId, Analysis)>) -> Result<Vec<Track>, StoreError>;

    /// Whether a person paused the analysis.
    async fn analysis_paused(&self) -> Result<bool, StoreError>;

    /// Pauses the analysis for all workers, until it is resumed.
    async fn pause_analysis(&self, paused: bool) -> Result<(), StoreError>;
}
