//! From texts to vectors.

use async_trait::async_trait;

use crate::{Space, StoreError, TrackFields, Vector};

/// What a text is embedded for: some models embed queries and documents differently, and queries go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A track that is stored.
    Document,
    /// Words that somebody typed and waits for.
    Query,
}

/// Why texts were not embedded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmbedError {
    /// The model's files are not there.
    #[error("the model {model} is not installed; fetch it with `soniquebay model pull`")]
    ModelMissing {
        /// Which model.
        model: String,
    },
    /// The service or the engine is away.
    #[error("the embedding service is not available: {0}")]
    Unavailable(String),
    /// More is asked at once than is done.
    #[error("too many texts wait to be embedded; try again in a moment")]
    Overloaded,
    /// This batch cannot be embedded; another may.
    #[error("the embedding failed: {0}")]
    Failed(String),
    /// This text, which was alone, will never be embedded.
    #[error("the text cannot be embedded: {0}")]
    Refused(String),
}

/// Turns texts into unit vectors of one model.
///
/// Invariant: one vector a text, in input order, all of `dims()` and of length 1.
#[async_trait]
pub trait Embedder: Send + Sync {
    /// The model, as EMBEDDING_MODEL spells it.
    fn model(&self) -> &str;

    /// Length of its vectors.
    fn dims(&self) -> usize;

    /// Whether it can work now. Always so where nothing says otherwise.
    async fn health(&self) -> Result<(), EmbedError> {
        Ok(())
    }

    /// How many texts it takes on together; more are asked for bit by bit. A caller that remembers what it was answered so
    /// loses less when one text spoils the rest.
    fn texts_at_once(&self) -> usize {
        usize::MAX
    }

    /// One unit vector a text.
    async fn embed(&self, texts: Vec<String>, purpose: Purpose) -> Result<Vec<Vec<f32>>, EmbedError>;
}

/// What a text's vector is kept by: SHA-256 over all that decides it.
pub type TextKey = [u8; 32];

/// Vectors of texts that were embedded before. Bounded; may forget anything at any time.
#[async_trait]
pub trait EmbeddingCache: Send + Sync {
    /// What is known, one answer a key, in order.
    async fn get(&self, keys: Vec<TextKey>) -> Result<Vec<Option<Vec<f32>>>, StoreError>;

    /// Remembers, as long as there is room.
    async fn put(&self, entries: Vec<(TextKey, Vec<f32>)>) -> Result<(), StoreError>;
}

/// Makes the vectors of one space, from tracks and from typed words.
#[async_trait]
pub trait Vectorizer: Send + Sync {
    /// The space its vectors lie in.
    fn space(&self) -> &Space;

    /// How many leading numbers of a vector come from words; the rest are measured numbers.
    fn text_dims(&self) -> usize;

    /// A track's measured numbers as they are compared: each with its name, about −3 to 3, 0 where unknown.
    fn numbers(&self, _track: &TrackFields) -> Vec<(&'static str, f32)> {
        Vec::new()
    }

    /// One vector a track, in order.
    async fn vectorize(&self, tracks: Vec<TrackFields>) -> Result<Vec<Vector>, EmbedError>;

    /// The vector of typed words.
    async fn vectorize_query(&self, words: String) -> Result<Vector, EmbedError>;

    /// Whether it can work now.
    async fn health(&self) -> Result<(), EmbedError>;
}
