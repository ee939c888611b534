//! Strings per second of the built-in engine, over the lines of a text file, with one worker and with two.
//!
//! `cargo run --release -p soniquebay-embed --example throughput -- MODEL_FOLDER TEXT_FILE`

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use soniquebay_domain::{Embedder, Purpose};
use soniquebay_embed::local::{Isa, LocalEmbedder, LocalModel, Scratch};

/// Runs per setting; the median counts.
const ROUNDS: usize = 5;

#[allow(clippy::print_stdout)] // Printing is what this program is for.
#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: throughput MODEL_FOLDER TEXT_FILE";
    let folder = arguments.next().context(usage)?;
    let lines: Vec<String> =
        std::fs::read_to_string(arguments.next().context(usage)?)?.lines().map(str::to_owned).collect();

    let start = Instant::now();
    let model = Arc::new(LocalModel::load(Path::new(&folder))?);
    model.encode(&mut Scratch::default(), &lines[..1])?;
    println!("{}, first vector after {} ms", Isa::detect().name(), start.elapsed().as_millis());

    for workers in [NonZeroUsize::MIN, NonZeroUsize::MIN.saturating_add(1)] {
        let embedder = LocalEmbedder::start(model.clone(), workers)?;
        let mut rates = Vec::new();
        for _ in 0..ROUNDS {
            let start = Instant::now();
            embedder.embed(lines.clone(), Purpose::Document).await?;
            rates.push(lines.len() as f64 / start.elapsed().as_secs_f64());
        }
        rates.sort_by(f64::total_cmp);
        let (least, most) = (rates[0], rates[ROUNDS - 1]);
        println!("{workers} worker(s): {:.1} strings/s ({least:.1} to {most:.1})", rates[ROUNDS / 2]);
    }
    Ok(())
}
