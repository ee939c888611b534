//! The built-in engine for `bench/engine.py`: loads a model, then does what standard input asks for, line by line.
//!
//! `cargo run --release -p soniquebay-embed --example engine -- MODEL_FOLDER TEXT_FILE fp32|int8 [ISA]`
//!
//! It answers each line with one of JSON. `embed N`: all texts of the file by N workers, in `seconds`. `single N`: N texts of
//! the file one after another on one thread, each in `milliseconds`. `vectors FILE`: the vectors of all texts, as f32. At
//! the start it says what it took from the first instruction of the program to the first vector.

#![allow(clippy::print_stdout, reason = "it speaks to another program by standard output")]

use std::io::BufRead;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use soniquebay_domain::{Embedder, Purpose};
use soniquebay_embed::local::{ALL_MINILM_L6_V2, Isa, LocalEmbedder, LocalModel, Precision, Scratch};

const USAGE: &str = "usage: engine MODEL_FOLDER TEXT_FILE fp32|int8 [ISA]";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let start = Instant::now();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (folder, file, precision, isa) = match arguments.as_slice() {
        [folder, file, precision] => (folder, file, precision, None),
        [folder, file, precision, isa] => (folder, file, precision, Some(isa)),
        _ => bail!(USAGE),
    };
    let precision = Precision::ALL.into_iter().find(|known| known.name() == precision).context(USAGE)?;
    let isa = match isa {
        None => Isa::detect(),
        Some(name) => {
            let known = || Isa::available().iter().map(|isa| isa.name()).collect::<Vec<_>>().join(", ");
            let found = Isa::available().into_iter().find(|isa| isa.name() == name);
            found.with_context(|| format!("this processor has {}, and no {name}", known()))?
        }
    };
    let model = Arc::new(LocalModel::load_with(Path::new(folder), ALL_MINILM_L6_V2, precision, isa)?);
    let loaded = start.elapsed();
    model.encode(&mut Scratch::default(), &["Title: Golden River | Artist: Nina Redding | Genre: Soul"])?;
    let first = start.elapsed();
    let milliseconds = |time: std::time::Duration| time.as_secs_f64() * 1e3;
    println!(
        "{}",
        json!({ "isa": isa.name(), "loaded_ms": milliseconds(loaded), "first_vector_ms": milliseconds(first) })
    );

    let texts = std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
    let texts: Vec<String> = texts.lines().map(str::to_owned).collect();
    for line in std::io::stdin().lock().lines() {
        println!("{}", answer(&model, &texts, &line?).await?);
    }
    Ok(())
}

async fn answer(model: &Arc<LocalModel>, texts: &[String], line: &str) -> Result<Value> {
    match line.split_once(' ') {
        Some(("embed", workers)) => {
            let embedder = LocalEmbedder::start(model.clone(), workers.parse::<NonZeroUsize>()?)?;
            let start = Instant::now();
            embedder.embed(texts.to_vec(), Purpose::Document).await?;
            Ok(json!({ "seconds": start.elapsed().as_secs_f64() }))
        }
        Some(("single", count)) => {
            let mut scratch = Scratch::default();
            let mut times = Vec::new();
            for text in texts.iter().take(count.parse()?) {
                let start = Instant::now();
                model.encode(&mut scratch, &[text])?;
                times.push(start.elapsed().as_secs_f64() * 1e3);
            }
            Ok(json!({ "milliseconds": times }))
        }
        Some(("vectors", file)) => {
            let vectors = model.encode(&mut Scratch::default(), texts)?;
            let bytes: Vec<u8> = vectors.concat().into_iter().flat_map(f32::to_le_bytes).collect();
            std::fs::write(file, bytes).with_context(|| format!("cannot write {file}"))?;
            Ok(json!({ "vectors": vectors.len() }))
        }
        _ => bail!("no such request: {line}"),
    }
}
