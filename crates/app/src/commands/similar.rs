use soniquebay_domain::{EmbedError, Track, TrackId};
use soniquebay_search::{SearchError, Seed, SimilarOptions};

use crate::cli::{AnswerArgs, Cli, SimilarArgs};
use crate::exit::End;
use crate::library::Library;
use crate::output;

/// Below this a name is a guess: the user is asked instead.
const SURE_ENOUGH: f32 = 0.6;

pub(crate) async fn run(cli: &Cli, args: &SimilarArgs) -> anyhow::Result<()> {
    let library = Library::open(cli).await?;
    let track = resolve(&library, &args.track).await?;
    let seeds = [Seed { track_id: track.id, weight: 1.0 }];
    let options = SimilarOptions { numbers: args.numbers, sound: args.sound, ..options(&args.answer)? };
    let answer = match library.recommender_on_disk().await?.similar(&seeds, options).await {
        Ok(answer) => answer,
        Err(SearchError::Pending { .. }) if matches!(library.health().await, Err(EmbedError::ModelMissing { .. })) => {
            return Err(End::ModelMissing.into());
        }
        Err(error) => return Err(end(error)),
    };
    if args.answer.json {
        return output::json(&output::AnswerJson::new(Some(&track), &answer));
    }
    output::line(&format!("like {}", output::track_line(&track)))?;
    if answer.items.is_empty() { output::line("no other track passes these filters") } else { output::answer(&answer) }
}

/// The options that `--limit` and the filters name.
pub(crate) fn options(args: &AnswerArgs) -> anyhow::Result<SimilarOptions> {
    let filter = args.filter().check().map_err(|errors| {
        let reasons: Vec<String> =
            errors.iter().map(|error| format!("{}: {}", flag(&error.field), error.reason)).collect();
        End::Usage(format!("a filter is wrong: {}", reasons.join("; ")))
    })?;
    let (relax, fold) = (args.relax, args.fold);
    Ok(SimilarOptions { filter, limit: args.limit.into(), relax, fold, ..SimilarOptions::default() })
}

/// What a field of the JSON filter is called here.
fn flag(field: &str) -> &str {
    match field {
        "year_range" => "--years",
        "bpm_range" => "--bpm",
        "duration_range" => "--duration",
        "genre" => "--genre",
        "tags" => "--tag",
        "key" => "--key",
        "max_per_artist" => "--max-per-artist",
        "path_prefix" => "--below",
        other => other,
    }
}

/// Search errors as this program's ends.
pub(crate) fn end(error: SearchError) -> anyhow::Error {
    match error {
        SearchError::NoTrack(_) => End::NotFound(error.to_string()).into(),
        SearchError::Pending { .. } | SearchError::NoVector { .. } => {
            let hint = "run `soniquebay serve`, or scan or import again, to have it made";
            End::NotFound(format!("{error}: {hint}")).into()
        }
        SearchError::Embed(EmbedError::ModelMissing { .. }) => End::ModelMissing.into(),
        other => other.into(),
    }
}

async fn resolve(library: &Library, asked: &str) -> anyhow::Result<Track> {
    if let Some(id) = asked.trim().parse().ok().and_then(TrackId::new) {
        let track = library.store.tracks(vec![id]).await?.pop();
        return track.ok_or_else(|| End::NotFound(format!("there is no track {id}")).into());
    }
    if library.store.counts().await?.tracks == 0 {
        let folder = library.folder.path().display();
        return Err(End::NotFound(format!("the library in {folder} is empty: scan or import something first")).into());
    }
    let hits = library.store.find_text(asked.to_owned(), 5).await?;
    let tracks = library.store.tracks(hits.iter().map(|hit| hit.id).collect()).await?;
    let named = |id: TrackId| tracks.iter().find(|track| track.id == id);
    if let Some(best) = hits.first().filter(|hit| hit.score >= SURE_ENOUGH).and_then(|hit| named(hit.id)) {
        return Ok(best.clone());
    }
    let mut message = format!("no track is called {asked:?}");
    for track in hits.iter().filter_map(|hit| named(hit.id)) {
        message.push_str(&format!("\n  did you mean {} (number {})?", track.name(), track.id));
    }
    Err(End::NotFound(message).into())
}
