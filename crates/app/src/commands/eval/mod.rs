//! `soniquebay eval`: precision at k on labelled tracks, and with `--search` what typed queries find, each with what is simpler
//! beside it. What it means: docs/quality.md.

mod baselines;
mod embedding;
mod input;
mod metric;
mod queries;
mod report;
mod typed;
mod typed_report;

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use soniquebay_domain::{Embedder, Features, TrackFields, Vectorizer, dot, fold};
use soniquebay_embed::{Template, TextAndNumbers};
use tokio_util::sync::CancellationToken;

use crate::cli::{Cli, EvalArgs};
use crate::data_folder::DataFolder;
use crate::exit::End;
use crate::models::Models;
use crate::output;
use crate::vectorize::bar;

use embedding::{Remembering, model_error};
use metric::Judge;
use report::{Report, Row};

/// The tracks of one column of the table, with the vectors that a model made of them.
struct Column {
    tracks: Vec<TrackFields>,
    /// The model's own vectors of the fields template: what the Python system compares.
    written: Vec<Vec<f32>>,
    /// Vectors by the settings that are measured.
    current: Vec<Vec<f32>>,
}

pub(crate) async fn run(cli: &Cli, args: &EvalArgs, stop: &CancellationToken) -> anyhow::Result<()> {
    match &args.file {
        Some(file) if !args.search => neighbours(cli, args, file, stop).await,
        library => typed::run(cli, args, library.as_deref(), stop).await,
    }
}

/// Precision at k of a file of labelled tracks.
async fn neighbours(cli: &Cli, args: &EvalArgs, path: &Path, stop: &CancellationToken) -> anyhow::Result<()> {
    let models = Models::new(DataFolder::open(cli.data.as_deref())?.model(), &cli.embedding, None, None);
    let (model, settings) = models.measured()?;
    let file = path.to_owned();
    let input = tokio::task::spawn_blocking(move || input::read(&file)).await??;
    let judge = Judge::new(input.tracks.iter().map(|track| track.artist.as_deref().map(fold)), &input.labels);
    anyhow::ensure!(
        judge.artists() > 1,
        "{}: all tracks are by one artist, and only other artists' tracks count as neighbours",
        path.display()
    );
    anyhow::ensure!(
        judge.labels() > 1,
        "{}: all tracks bear one label, so that every neighbour is a good one",
        path.display()
    );

    model.health().await.map_err(model_error)?;
    let embedder = Arc::new(Remembering::new(model));
    let vectorizer = TextAndNumbers::new(embedder.clone(), settings).context("these settings name no space")?;
    let tags_only = input.tracks.iter().map(without_audio_numbers).collect::<Vec<_>>();
    let columns = [input.tracks, tags_only];
    let told = columns.iter().flatten().flat_map(|track| {
        let parts = [Template::Fields, settings.template].map(|template| template.describe(track));
        parts.into_iter().flatten().flat_map(|part| part.texts)
    });
    embedder.learn(told.collect(), stop).await?;
    let [all, tags_only] = columns;
    let all = column(&*embedder, &vectorizer, all).await?;
    let tags_only = column(&*embedder, &vectorizer, tags_only).await?;

    let space = vectorizer.space().to_string();
    drop((embedder, vectorizer));
    let (k, file, stopped) = (usize::from(args.k), path.display().to_string(), stop.clone());
    let report = tokio::task::spawn_blocking(move || {
        let rows = rows(&judge, k, &all, &tags_only, &stopped);
        Report::new(file, &judge, k, space, &rows)
    })
    .await?;
    if stop.is_cancelled() {
        return Err(End::Interrupted.into());
    }
    if args.json { output::json(&report) } else { report.print() }
}

/// The track as a library knows it before any analysis of its sound: year and duration stay.
fn without_audio_numbers(track: &TrackFields) -> TrackFields {
    TrackFields { features: Features::default(), ..track.clone() }
}

async fn column(
    embedder: &dyn Embedder,
    vectorizer: &dyn Vectorizer,
    tracks: Vec<TrackFields>,
) -> anyhow::Result<Column> {
    let texts = tracks.iter().map(baselines::fields_text).collect();
    let written = embedder.embed(texts, soniquebay_domain::Purpose::Document).await.map_err(model_error)?;
    let current = vectorizer.vectorize(tracks.clone()).await.map_err(model_error)?;
    Ok(Column { tracks, written, current: current.iter().map(soniquebay_domain::Vector::to_unit).collect() })
}

/// All rows, the settings that are measured last. Where `stop` is cancelled meanwhile, the figures mean nothing.
fn rows(judge: &Judge, k: usize, all: &Column, tags_only: &Column, stop: &CancellationToken) -> Vec<Row> {
    let bar = bar(0, "tables");
    let score = |closeness: &(dyn Fn(usize, usize) -> f32 + Sync)| {
        bar.inc_length(1);
        let precisions = judge.precisions(k, closeness, stop);
        bar.inc(1);
        precisions
    };
    // What no audio number enters has the same figures in both columns.
    let alike = |name, closeness: &(dyn Fn(usize, usize) -> f32 + Sync)| {
        let precisions = score(closeness);
        Row { name, tags_only: precisions.clone(), all: precisions }
    };
    let mut rows = vec![alike(report::CHANCE, &|_, _| 0.0)];
    if let Some(genres) = baselines::Genres::of(&all.tracks) {
        rows.push(alike(report::GENRE, &|a, b| genres.closeness(a, b)));
        rows.push(alike(report::GENRE_AND_YEAR, &|a, b| genres.closeness_by_year(a, b)));
    }
    let by_vectors = |vectors: &[Vec<f32>]| score(&|a, b| dot(&vectors[a], &vectors[b]));
    let mut push = |name, precisions: &dyn Fn(&Column) -> Vec<f64>| {
        rows.push(Row { name, all: precisions(all), tags_only: precisions(tags_only) });
    };
    push(report::NUMBERS, &|column| by_vectors(&baselines::numbers(&column.tracks)));
    push(report::TF_IDF, &|column| {
        let words = baselines::TfIdf::of(&column.tracks);
        score(&|a, b| words.closeness(a, b))
    });
    push(report::WRITTEN, &|column| by_vectors(&column.written));
    push(report::CURRENT, &|column| by_vectors(&column.current));
    bar.finish_and_clear();
    rows
}
