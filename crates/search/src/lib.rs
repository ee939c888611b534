//! Finding: nearest neighbours in memory, blending of seeds, typed search, and why each answer is one.
//!
//! Knows the ports of `domain` and no database, model or wire format.

#[cfg(any(test, feature = "contract"))]
pub mod contract;
#[cfg(test)]
mod fakes;
mod fusion;
mod gather;
mod index;
mod kernels;
mod recommend;
mod recording;
mod seeds;
mod serving;
mod sound;
mod states;
mod typed;
mod why;
mod words;

pub use index::{IndexSize, MemoryIndex};
pub use recommend::{Answer, Found, Recommender, SearchError, SimilarOptions};
pub use seeds::{Like, Seed};
pub use serving::Serving;
pub use states::TrackStates;
pub use why::{Matched, Near, Why};
