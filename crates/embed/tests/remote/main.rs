//! Embedding by a server: the contract that any client of Ollama should keep, numbered, against a façade that fails on demand and a real llama-server
//! with a tiny model.
//!
//! Needs llama-server: `scripts/llama_server.sh` fetches it. Times are scaled down, with their ratios kept.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    reason = "a failed precondition of a test should be loud"
)]

mod answers;
mod faults;
mod load;
mod pipeline;
mod preparation;
mod restart;
mod truncation;

use std::time::Duration;

use soniquebay_domain::{EmbedError, Embedder, Purpose};
use soniquebay_embed::remote::{Patience, Protocol, RemoteConfig, RemoteEmbedder, RemoteModel};
use soniquebay_testkit::ollama::{Facade, Settings};

/// Two-hundredths of the usual waits; as much time as usual for an answer.
fn quick() -> Patience {
    Patience {
        first_delay: Duration::from_millis(2),
        longest_delay: Duration::from_millis(75),
        first_rest: Duration::from_millis(25),
        longest_rest: Duration::from_millis(300),
        ..Patience::default()
    }
}

/// A façade of nomic-embed-text.
fn facade() -> Facade {
    Facade::start(Settings::new("nomic-embed-text", 768)).unwrap()
}

fn nomic(url: &str) -> RemoteConfig {
    let model = RemoteModel::known("nomic-embed-text").unwrap();
    let mut config = RemoteConfig::new(Protocol::Ollama, url.parse().unwrap(), model);
    config.patience = quick();
    config
}

fn embedder(facade: &Facade) -> RemoteEmbedder {
    RemoteEmbedder::new(nomic(&facade.url())).unwrap()
}

fn texts(count: usize) -> Vec<String> {
    let genres = ["rock", "pop", "jazz", "metal", "electronic", "dance"];
    (0..count).map(|i| format!("{} song {i} of the year {}", genres[i % genres.len()], 1950 + i)).collect()
}

async fn embed(embedder: &RemoteEmbedder, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
    embedder.embed(texts, Purpose::Document).await
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
