use std::io;
use std::time::Duration;

/// Why there is nothing to hear.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AudioError {
    /// A format or codec that is not decoded here.
    #[error("{what} cannot be decoded")]
    Unsupported {
        /// "HE-AAC", "Windows Media Audio".
        what: String,
    },
    /// The file is of a kind that is decoded, but broken.
    #[error("the file is damaged: {what}")]
    Damaged {
        /// What was wrong, and where.
        what: String,
    },
    /// A file without a single sample.
    #[error("there is no audio in the file")]
    Empty,
    /// More than the limits allow.
    #[error("{what}")]
    OverLimit {
        /// What was too much, and how much would have been allowed.
        what: String,
    },
    /// It took longer than the limits allow.
    #[error("it took longer than {} s", limit.as_secs_f64())]
    TimedOut {
        /// The time that was allowed.
        limit: Duration,
    },
    /// The caller said stop.
    #[error("interrupted")]
    Interrupted,
    /// The file cannot be read.
    #[error("the file cannot be read: {0}")]
    Io(#[from] io::Error),
}

impl AudioError {
    /// Whether the same file would fail again, however often it is tried.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Unsupported { .. } | Self::Damaged { .. } | Self::Empty | Self::OverLimit { .. } => true,
            Self::TimedOut { .. } | Self::Interrupted | Self::Io(_) => false,
        }
    }
}
