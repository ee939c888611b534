//! What can be wrong with a model on disk or with one run of it.

use std::io;
use std::path::PathBuf;

/// A model that cannot be loaded, or a text it cannot encode.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A model file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said; `NotFound` means that no model is installed.
        source: io::Error,
    },
    /// There is not enough memory for the weights.
    #[error("there is no memory for {bytes} bytes of weights")]
    Memory {
        /// How much was asked for.
        bytes: usize,
        /// What the operating system said.
        source: io::Error,
    },
    /// A weights file whose header is not valid safetensors, or which does not have the
    /// length that its header announces.
    #[error("{} is not a valid safetensors file: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A weights file of another model: a tensor is absent.
    #[error("the weights have no tensor `{name}`")]
    TensorMissing {
        /// The tensor's name.
        name: String,
    },
    /// A weights file of another model: a tensor has another shape.
    #[error("tensor `{name}` has shape {found:?}, expected {expected:?}")]
    TensorShape {
        /// The tensor's name.
        name: String,
        /// The shape that the model's configuration asks for.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },
    /// A tensor is not stored in 32-bit floating point.
    #[error("tensor `{name}` holds {found} values, expected F32")]
    TensorType {
        /// The tensor's name.
        name: String,
        /// The element type in the file, as safetensors spells it.
        found: String,
    },
    /// `tokenizer.json` is not a tokenizer.
    #[error("{} is not a valid tokenizer", path.display())]
    InvalidTokenizer {
        /// The file.
        path: PathBuf,
        /// What the tokenizer library said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The tokenizer refused a text.
    #[error("cannot tokenise a text")]
    Tokenise {
        /// What the tokenizer library said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The tokenizer knows a token that the weights do not: the two files do not belong
    /// together.
    #[error("token {token} is outside the vocabulary of {vocabulary} tokens")]
    UnknownToken {
        /// The token's number.
        token: u32,
        /// Tokens that the weights know.
        vocabulary: usize,
    },
    /// A result that is not a number: the weights are damaged.
    #[error(
        "the model computed a vector that is not finite; if it does so again, remove packed-*.bin from its folder: they are made anew"
    )]
    NotFinite,
}
