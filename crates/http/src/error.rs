/// In which way a request failed before there was an answer to judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpErrorKind {
    /// Nobody listens, or the connection broke.
    Connection,
    /// No answer in time.
    Timeout,
    /// More was answered than was asked for.
    BadAnswer,
    /// The request cannot be written as one.
    BadRequest,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{told}")]
pub struct HttpError {
    /// In which way.
    pub kind: HttpErrorKind,
    /// What went wrong, and where.
    pub told: String,
}

impl HttpError {
    pub(crate) fn new(kind: HttpErrorKind, told: impl Into<String>) -> Self {
        Self { kind, told: told.into() }
    }
}
