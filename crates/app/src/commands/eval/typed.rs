//! Typed search, asked in the way that serves `/api/search`, in a library of its own.

use std::collections::HashMap;
use std::io::{BufRead, Cursor};
use std::path::Path;

use anyhow::{bail, ensure};
use soniquebay_domain::{TrackFields, TrackId};
use soniquebay_ingest::Format;
use soniquebay_search::{Recommender, SimilarOptions};
use tokio_util::sync::CancellationToken;

use crate::cli::{Cli, EvalArgs};
use crate::commands::demo::CATALOGUE;
use crate::commands::{import, similar};
use crate::data_folder::DataFolder;
use crate::exit::End;
use crate::library::Library;
use crate::output;
use crate::vectorize::{bar, bring_up_to_date};

use super::embedding::model_error;
use super::queries::{self, Query};
use super::typed_report::{Found, Report};

/// How many answers count.
pub(super) const ANSWERS: usize = 10;

pub(super) async fn run(
    cli: &Cli,
    args: &EvalArgs,
    tracks: Option<&Path>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let queries = queries::read(args.queries.as_deref())?;
    // The owner's library is not touched: only the model of the data folder is used.
    let scratch = tempfile::tempdir()?;
    let (folder, files) = (DataFolder::open(Some(scratch.path()))?, DataFolder::open(cli.data.as_deref())?.model());
    let library = Library::open_alone(folder, files, cli).await?;
    library.health().await.map_err(model_error)?;
    fill(&library, tracks, stop).await?;

    let tracks: HashMap<TrackId, TrackFields> = all_tracks(&library).await?;
    let recommender = library.recommender_in_memory().await?;
    let bar = bar(queries.len() as u64, "queries");
    let mut found = Vec::with_capacity(queries.len());
    for query in queries {
        if stop.is_cancelled() {
            bar.finish_and_clear();
            return Err(End::Interrupted.into());
        }
        found.push(ask(&recommender, &tracks, query).await?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let space = library.preferred().to_string();
    let report = Report::new(args.file.as_deref(), args.queries.as_deref(), space, tracks.len(), &found);
    if args.json { output::json(&report) } else { report.print() }
}

/// Reads the tracks and makes their vectors.
async fn fill(library: &Library, tracks: Option<&Path>, stop: &CancellationToken) -> anyhow::Result<()> {
    let (reader, format): (Box<dyn BufRead + Send>, _) = match tracks {
        Some(path) => (import::open(path)?, Format::from_path(path)),
        None => (Box::new(Cursor::new(CATALOGUE)), Some(Format::Jsonl)),
    };
    let report = import::import(library, reader, format, stop).await?;
    if let Some(failure) = report.failed.first() {
        // A measure over what happened to be readable would be no measure.
        bail!(
            "{} lines could not be used, the first is line {}: {}",
            report.failed_total,
            failure.line,
            failure.reason
        );
    }
    bring_up_to_date(library, false, stop).await
}

async fn all_tracks(library: &Library) -> anyhow::Result<HashMap<TrackId, TrackFields>> {
    let mut tracks = HashMap::new();
    let mut after = 0;
    loop {
        let page = library.store.page(after, 0, 1000).await?;
        let Some(last) = page.last() else { return Ok(tracks) };
        after = last.id.get();
        tracks.extend(page.into_iter().map(|track| (track.id, track.fields)));
    }
}

/// Asks one query by name alone, by meaning alone, and as the product does.
async fn ask(recommender: &Recommender, tracks: &HashMap<TrackId, TrackFields>, query: Query) -> anyhow::Result<Found> {
    let right = tracks.values().filter(|track| query.expect.admits(track)).count();
    ensure!(right > 0, "{:?}: no track of the library is a right answer", query.query);
    let options = SimilarOptions { limit: ANSWERS, ..SimilarOptions::default() };
    let is_right = |id: &TrackId| tracks.get(id).is_some_and(|track| query.expect.admits(track));

    let names = recommender.catalog.find_text(query.query.clone(), ANSWERS).await?;
    let names = names.iter().map(|hit| is_right(&hit.id)).collect();
    let Some(vectorizer) = recommender.vectorizers.first() else { bail!("there is no model to embed words with") };
    let vector = vectorizer.vectorize_query(query.query.clone()).await.map_err(model_error)?;
    let meaning = recommender.search_vector(&vector, options.clone()).await.map_err(similar::end)?;
    let meaning = meaning.items.iter().map(|found| is_right(&found.track.id)).collect();
    let fused = recommender.search_text(&query.query, options).await.map_err(similar::end)?;
    let fused = fused.items.iter().map(|found| is_right(&found.track.id)).collect();
    Ok(Found { query, right, names, meaning, fused })
}
