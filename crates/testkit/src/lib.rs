//! What tests of several crates need: audio files made on the spot, and servers of their own, some of which fail on demand.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what a test needs and does not get fails it")]

pub mod audio;
pub mod celery;
mod gguf;
pub mod job_queue;
pub mod llama_server;
pub mod mutate;
pub mod ollama;
pub mod postgres;
pub mod redis;
