//! The roles that `serve` runs together, each in a process of its own.

pub(crate) mod library;
pub(crate) mod listener;
pub(crate) mod recommender;
pub(crate) mod worker;
