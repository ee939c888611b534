use soniquebay_domain::{EmbedError, Track, TrackId};
use soniquebay_search::{Like, SearchError, Seed, SimilarOptions};

use crate::cli::{AnswerArgs, Cli, SimilarArgs, Weighed};
use crate::exit::End;
use crate::library::Library;
use crate::output;

/// Below this a name is a guess: the user is asked instead.
const SURE_ENOUGH: f32 = 0.6;

pub(crate) async fn run(cli: &Cli, args: &SimilarArgs) -> anyhow::Result<()> {
    let library = Library::open(cli).await?;
    let (seeds, tracks) = seeds(&library, args).await?;
    let options = SimilarOptions { numbers: args.numbers, sound: args.sound, ..options(&args.answer)? };
    let answer = match library.recommender_on_disk().await?.similar(&seeds, options).await {
        Ok(answer) => answer,
        Err(SearchError::Pending { .. }) if matches!(library.health().await, Err(EmbedError::ModelMissing { .. })) => {
            return Err(End::ModelMissing.into());
        }
        Err(error) => return Err(end(error)),
    };
    if args.answer.json {
        let of = args.track.as_ref().and_then(|_| tracks.first());
        return output::json(&output::AnswerJson::new(of, &answer));
    }
    output::line(&asked(&seeds, &tracks))?;
    if answer.items.is_empty() { output::line("no other track passes these filters") } else { output::answer(&answer) }
}

/// What the arguments name, and the tracks among it in their order.
async fn seeds(library: &Library, args: &SimilarArgs) -> anyhow::Result<(Vec<Seed>, Vec<Track>)> {
    let (mut seeds, mut tracks) = (Vec::new(), Vec::new());
    let named = args.track.iter().map(|name| (1.0, name));
    let liked = args.like.iter().map(|like| (like.weight, &like.what));
    let unliked = args.unlike.iter().map(|unlike| (-unlike.weight, &unlike.what));
    for (weight, name) in named.chain(liked).chain(unliked) {
        let track = resolve(library, name).await?;
        seeds.push(Seed::track(track.id).weighing(weight));
        tracks.push(track);
    }
    let words = |text: &Weighed| Seed { like: Like::Words(text.what.clone()), weight: text.weight };
    seeds.extend(args.text.iter().map(words));
    Ok((seeds, tracks))
}

/// The question in one line, in the order of the seeds.
fn asked(seeds: &[Seed], tracks: &[Track]) -> String {
    let mut tracks = tracks.iter();
    let parts = seeds.iter().filter_map(|seed| {
        let what = match &seed.like {
            Like::Track(_) => output::track_line(tracks.next()?),
            Like::Words(words) => format!("{words:?}"),
            Like::Vector(_) => return None,
        };
        Some(match seed.weight {
            1.0 => format!("like {what}"),
            -1.0 => format!("unlike {what}"),
            weight if weight < 0.0 => format!("unlike {what} (× {})", -weight),
            weight => format!("like {what} (× {weight})"),
        })
    });
    parts.collect::<Vec<_>>().join(", ")
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
