//! A library and a recommender that are other processes, asked over HTTP.
//!
//! Ours are asked in batches. Others of the same API, such as the Python SoniqueBay, know less: what a server does not know is
//! found out from its answers, remembered until this process ends, and asked for in another way.

mod analyses;
mod library;
mod listing;
mod service;
mod vectors;

pub use library::RemoteLibrary;
pub use service::Patience;
pub use vectors::RemoteVectors;
