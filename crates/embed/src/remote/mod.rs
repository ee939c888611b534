//! Embedding by a server: Ollama, or any that speaks `/v1/embeddings`.
//!
//! The server is not ours. It may be away, start slowly, be swapped for another, crash on one text, or answer nonsense. So before the
//! first request it is checked and its model is loaded, once for all callers ([`RemoteEmbedder::prepare`]); requests are bounded in texts, bytes,
//! number and time; each answer is looked at before it is believed; what may pass is tried again, later each time; and when nothing helps, the server rests
//! and [`health`](soniquebay_domain::Embedder::health) says so, that no job is claimed in vain.
//!
//! What an error means for the caller:
//!
//! | error | the fault is |
//! |---|---|
//! | `Unavailable` | the server's: the same texts may go well later, and nothing is known against any of them |
//! | `Failed` | most likely that of one of these texts: ask for fewer, to learn which. Batches are not halved here, as the caller knows what a text is |
//! | `Refused` | this text's, which was alone: asking again is of no use |
//! | `Overloaded` | nobody's: too many callers wait already |

mod address;
mod answer;
mod batch;
mod breaker;
mod client;
mod config;
mod counters;
mod embedder;
mod fault;
mod matryoshka;
mod model;
mod ollama;
mod openai;
mod prepare;
mod retry;

pub use address::{ServerUrl, ServerUrlError};
pub use breaker::BreakerState;
pub use config::{Patience, Protocol, RemoteConfig, RemoteConfigError, RemoteLimits};
pub use counters::RemoteCounters;
pub use embedder::RemoteEmbedder;
pub use fault::FaultKind;
pub use matryoshka::matryoshka;
pub use model::RemoteModel;
pub use soniquebay_http::ApiKey;

/// What a server said of a model. When `digest` changes, the vectors that were made before are another model's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerModel {
    /// Version of Ollama.
    pub version: Option<String>,
    /// SHA-256 of the model's files, as Ollama tells it.
    pub digest: Option<String>,
    /// Tokens that it reads of a text.
    pub context: Option<usize>,
}
