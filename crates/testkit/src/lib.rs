//! What tests of several crates need: audio files, made on the spot, and servers of their own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what a test needs and does not get fails it")]

pub mod audio;
pub mod redis;
