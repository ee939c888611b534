//! Where tracks, jobs and vectors lie.
//!
//! [`sqlite::SqliteStore`] keeps all of them in one file, so that a track and its job, and a vector and the end of its
//! job, are each one transaction.

mod numbers;
pub mod redis;
pub mod sqlite;
mod text_match;
