//! The mean vector of made-up tracks' texts, which is taken off every text: one file for each template.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::thread;

use anyhow::{Context, anyhow, bail};
use soniquebay_domain::TrackFields;
use soniquebay_embed::Template;
use soniquebay_embed::local::{LocalModel, Precision, Scratch};
use soniquebay_wire::parse_track;

use crate::repository::Repository;

/// Made by `tools/neutral_tracks.py`.
const TRACKS: &str = "crates/embed/data/neutral-tracks.jsonl";

/// Instruction sets round differently, which moves a mean by far less; another template or model moves it by far more.
const TOLERANCE: f32 = 1e-5;

/// Writes the means that are wrong. One that differs by rounding alone stays as it is: vectors were made with it.
pub(crate) fn write(repository: &Repository, model: &Path) -> anyhow::Result<()> {
    for Mean { file, values } in means(repository, model)? {
        if stored(repository, &file).is_ok_and(|stored| is_same(&stored, &values)) {
            println!("{file}: right as it is");
            continue;
        }
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        fs::write(repository.root().join(&file), bytes).with_context(|| format!("{file} cannot be written"))?;
        println!("{file}: written");
    }
    Ok(())
}

/// Compares the means with the files that ship.
pub(crate) fn check(repository: &Repository, model: &Path) -> anyhow::Result<()> {
    let mut wrong = Vec::new();
    for Mean { file, values } in means(repository, model)? {
        let stored = stored(repository, &file)?;
        println!("{file}: off by {:.1e} at most", furthest(&stored, &values));
        if !is_same(&stored, &values) {
            wrong.push(file);
        }
    }
    if !wrong.is_empty() {
        bail!(
            "{}: off by more than {TOLERANCE:.0e} from what template, model and neutral tracks give. Where that is meant, \
             `cargo xtask mean` writes it, and the revision in crates/embed must be raised",
            wrong.join(" and ")
        );
    }
    Ok(())
}

fn stored(repository: &Repository, file: &str) -> anyhow::Result<Vec<f32>> {
    let bytes = fs::read(repository.root().join(file)).with_context(|| format!("{file} cannot be read"))?;
    Ok(bytes.as_chunks().0.iter().map(|&value| f32::from_le_bytes(value)).collect())
}

fn is_same(stored: &[f32], computed: &[f32]) -> bool {
    stored.len() == computed.len() && furthest(stored, computed) <= TOLERANCE
}

/// The largest difference; one that is no number is larger than all others.
fn furthest(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).max_by(f32::total_cmp).unwrap_or(0.0)
}

/// The mean of one template.
struct Mean {
    /// Where it lies.
    file: String,
    values: Vec<f32>,
}

fn means(repository: &Repository, model: &Path) -> anyhow::Result<Vec<Mean>> {
    let tracks = neutral_tracks(repository)?;
    let model = LocalModel::load(model, Precision::Fp32)
        .with_context(|| format!("the model in {} cannot be loaded; `./check` fetches it", model.display()))?;
    Template::ALL
        .into_iter()
        .map(|template| {
            let texts: Vec<String> =
                tracks.iter().flat_map(|track| template.describe(track)).flat_map(|part| part.texts).collect();
            let file = format!("crates/embed/data/mean-{}-1.f32", template.name());
            Ok(Mean { file, values: mean(&encode(&model, &texts)?) })
        })
        .collect()
}

fn neutral_tracks(repository: &Repository) -> anyhow::Result<Vec<TrackFields>> {
    (1..)
        .zip(repository.read(TRACKS)?.lines())
        .map(|(number, line)| track(line).with_context(|| format!("{TRACKS}:{number}")))
        .collect()
}

fn track(line: &str) -> anyhow::Result<TrackFields> {
    let record = parse_track(serde_json::from_str(line)?).map_err(|errors| {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        anyhow!("{}", errors.join("; "))
    })?;
    Ok(record.patch.apply(&TrackFields::default())?)
}

/// One unit vector a text, on all processors.
fn encode(model: &LocalModel, texts: &[String]) -> anyhow::Result<Vec<Vec<f32>>> {
    let workers = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let share = texts.len().div_ceil(workers).max(1);
    thread::scope(|scope| {
        let running: Vec<_> = texts
            .chunks(share)
            .map(|texts| scope.spawn(move || model.encode(&mut Scratch::default(), texts)))
            .collect();
        let mut vectors = Vec::with_capacity(texts.len());
        for worker in running {
            vectors.extend(worker.join().map_err(|_| anyhow!("the engine panicked"))??);
        }
        Ok(vectors)
    })
}

/// The mean, not made unit, summed in double precision.
fn mean(vectors: &[Vec<f32>]) -> Vec<f32> {
    let mut sums = vec![0.0; vectors.first().map_or(0, Vec::len)];
    for vector in vectors {
        for (sum, value) in sums.iter_mut().zip(vector) {
            *sum += f64::from(*value);
        }
    }
    sums.into_iter().map(|sum| (sum / vectors.len() as f64) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::{is_same, mean};

    #[test]
    fn a_mean_is_taken_value_by_value_and_keeps_its_length() {
        assert_eq!(mean(&[vec![1.0, 0.0], vec![0.0, 1.0]]), [0.5, 0.5]);
        assert!(mean(&[]).is_empty());
    }

    #[test]
    fn means_are_the_same_but_for_rounding() {
        assert!(is_same(&[1.0, 2.0], &[1.0, 2.000_001]));
        for other in [&[1.0, 2.001][..], &[1.0], &[1.0, 2.0, 3.0], &[f32::NAN, 2.0]] {
            assert!(!is_same(other, &[1.0, 2.0]), "{other:?}");
        }
    }
}
