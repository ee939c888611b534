//! `POST /api/similar`, and how every answer of the recommender looks.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use soniquebay_domain::{FieldError, Filter, Space, TrackId};
use soniquebay_search::{Answer, Found, Like, Near, Seed, SimilarOptions, Why};
use soniquebay_wire::{FilterInput, Object, ProblemView, TrackView, read_embedding, read_shape};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Services;
use crate::error::{ApiError, Code};
use crate::extract::JsonBody;
use crate::one_thread::on_one_thread;
use crate::params::MAX_LIMIT;

/// Seeds in one question.
const MAX_SEEDS: usize = 100;

pub(crate) fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new().routes(routes!(similar_to_seeds))
}

/// Typed texts among them: each is embedded.
const MAX_TEXTS: usize = 16;

/// Letters of a text.
const TEXT_LETTERS: usize = 1024;

/// Tracks, texts and vectors to find more of.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "seeds": [{"track_id": 123}, {"text": "slow and warm", "weight": 0.5}, {"track_id": 7, "weight": -0.5}],
    "filters": {"genre": "rock", "exclude_same_artist": true, "year_range": {"min": 2000, "max": 2020}},
    "limit": 10, "relax": true
}))]
pub(crate) struct SeedsInput {
    /// Tracks, texts and vectors, 1 to 100, of which up to 16 texts.
    #[schema(value_type = Vec<SeedInput>, min_items = 1, max_items = 100)]
    seeds: Vec<Object<SeedInput>>,
    /// Which tracks may be answered.
    #[serde(default)]
    #[schema(value_type = Option<FilterInput>)]
    filters: Option<Value>,
    /// How many; 10 where left out.
    #[schema(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// The space to search; the serving one where left out.
    space: Option<String>,
    /// How much the seeds' measured numbers count beside their words: 0, not at all, to 1, as they are stored.
    #[schema(minimum = 0, maximum = 1)]
    numbers: Option<f64>,
    /// How much the seeds' sound counts: 0, not at all, to 1, alone. Tracks that were not heard count as unlike it in sound.
    #[schema(minimum = 0, maximum = 1)]
    sound: Option<f64>,
    /// Whether conditions of the filter may be given up where too few tracks meet all of them: the key first, then tempo,
    /// duration, tags, years and genre.
    relax: Option<bool>,
    /// Whether versions of one recording are answered once, and those of a seed not at all.
    fold: Option<bool>,
}

/// One of them: exactly one of `track_id`, `text` and `embedding`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SeedInput {
    /// A track.
    #[schema(minimum = 1)]
    track_id: Option<i64>,
    /// What somebody typed.
    #[schema(min_length = 1, max_length = 1024)]
    text: Option<String>,
    /// A vector, as long as those of the space.
    #[schema(min_items = 1, max_items = 4096)]
    embedding: Option<Vec<f64>>,
    /// How much it counts, 1 where left out; below 0, the answer goes away from it.
    weight: Option<f64>,
}

/// What was found, best first.
#[derive(Serialize, ToSchema)]
pub(crate) struct AnswerView {
    /// The space that was searched.
    space: String,
    /// The tracks.
    items: Vec<FoundView>,
    /// Whether typed words were looked for in names alone, as the server that knows their meaning is away.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    names_only: bool,
}

/// One track of an answer.
#[derive(Serialize, ToSchema)]
pub(crate) struct FoundView {
    /// The track.
    track: TrackView,
    /// Cosine, −1 to 1; for a typed search, its rank as 0 to 1.
    score: f32,
    /// 1 − score.
    distance: f32,
    /// What speaks for it.
    why: WhyView,
    /// Further versions of the recording, where they are folded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    versions: Vec<i64>,
}

/// What speaks for a track.
#[derive(Serialize, ToSchema)]
pub(crate) struct WhyView {
    /// The part of the cosine that comes from words.
    #[serde(skip_serializing_if = "Option::is_none")]
    words: Option<f32>,
    /// The part of the cosine that comes from measured numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    numbers: Option<f32>,
    /// The part of the score that comes from sound, where that was asked for and the track has been heard.
    #[serde(skip_serializing_if = "Option::is_none")]
    sound: Option<f32>,
    /// Facts that agree with a seed's: "same genre", "near tempo".
    closest: Vec<&'static str>,
    /// The measured numbers that are nearest a seed's, the most telling first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    near: Vec<NearView>,
    /// For a typed search: "text", "meaning" or "both".
    #[serde(skip_serializing_if = "Option::is_none")]
    matched: Option<&'static str>,
    /// The conditions of the filter that it does not meet, where they were given up: "key", "bpm_range", "duration_range",
    /// "tags", "year_range", "genre".
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    relaxed: Vec<&'static str>,
}

/// A measured number that a track shares with a seed, in the unit of the track's field.
#[derive(Serialize, ToSchema)]
pub(crate) struct NearView {
    /// Which: "tempo", "danceability", "energy", "valence", "acousticness", "instrumentalness", "loudness", "duration", "year".
    number: &'static str,
    /// What the seed has.
    seed: f64,
    /// What the track has.
    track: f64,
}

impl From<Near> for NearView {
    fn from(Near { number, seed, track }: Near) -> Self {
        Self { number, seed, track }
    }
}

impl From<Why> for WhyView {
    fn from(Why { words, numbers, sound, closest, near, matched, relaxed }: Why) -> Self {
        let near = near.into_iter().map(NearView::from).collect();
        Self { words, numbers, sound, closest, near, matched: matched.map(|matched| matched.name()), relaxed }
    }
}

impl From<Answer> for AnswerView {
    fn from(answer: Answer) -> Self {
        let items = answer.items.into_iter().map(FoundView::from).collect();
        Self { space: answer.space.to_string(), items, names_only: answer.names_only }
    }
}

impl From<Found> for FoundView {
    fn from(found: Found) -> Self {
        Self {
            track: TrackView::from(&found.track),
            score: found.score,
            distance: 1.0 - found.score,
            why: WhyView::from(found.why),
            versions: found.versions.into_iter().map(TrackId::get).collect(),
        }
    }
}

/// More like several tracks, typed words and vectors, and less like others
#[utoipa::path(
    post, path = "/api/similar", operation_id = "similar_to_seeds", tag = "search",
    request_body = SeedsInput,
    responses(
        (status = 200, description = "The nearest tracks, the seeds left out", body = AnswerView),
        (status = 404, description = "`no_track`, `no_vector`", body = ProblemView,
            content_type = "application/problem+json"),
        (status = 409, description = "`vector_pending`, with its `state`", body = ProblemView,
            content_type = "application/problem+json"),
        (status = 422, description = "`invalid_vector`, `invalid_filter`", body = ProblemView,
            content_type = "application/problem+json"),
    )
)]
pub(crate) async fn similar_to_seeds(
    State(services): State<Services>,
    body: JsonBody,
) -> Result<Json<AnswerView>, ApiError> {
    let input: SeedsInput = body.read_object(Code::InvalidFilter)?;
    let seeds = read_seeds(input.seeds)?;
    let options = OptionsInput {
        filters: input.filters,
        limit: input.limit,
        space: input.space,
        numbers: input.numbers,
        sound: input.sound,
        relax: input.relax,
        fold: input.fold,
    };
    let options = options.check()?;
    let answer = on_one_thread(async move { services.recommender.similar(&seeds, options).await });
    Ok(Json(answer.await??.into()))
}

fn read_seeds(given: Vec<Object<SeedInput>>) -> Result<Vec<Seed>, ApiError> {
    let refuse = |reason: String| ApiError::fields(Code::InvalidFilter, vec![FieldError::new("seeds", reason)]);
    if given.is_empty() || given.len() > MAX_SEEDS {
        return Err(refuse(format!("{} seeds: 1 to {MAX_SEEDS} are needed", given.len())));
    }
    let texts = given.iter().filter(|Object(seed)| seed.text.is_some()).count();
    if texts > MAX_TEXTS {
        return Err(refuse(format!("{texts} texts: at most {MAX_TEXTS} of the seeds may be texts")));
    }
    let read = |(index, Object(seed)): (usize, Object<SeedInput>)| {
        let weight = seed.weight.unwrap_or(1.0) as f32;
        // Infinite is what a number too large for single precision becomes.
        if !weight.is_finite() {
            return Err(refuse(format!("seed {index}: its weight is too large a number")));
        }
        let like = read_seed(seed).map_err(|reason| refuse(format!("seed {index}: {reason}")))?;
        Ok(Seed { like, weight })
    };
    given.into_iter().enumerate().map(read).collect()
}

fn read_seed(seed: SeedInput) -> Result<Like, String> {
    match (seed.track_id, seed.text, seed.embedding) {
        (Some(id), None, None) => TrackId::new(id).map(Like::Track).ok_or_else(|| format!("{id} is no track id")),
        (None, Some(text), None) if text.trim().is_empty() => Err("text is empty".to_owned()),
        (None, Some(text), None) if text.chars().count() > TEXT_LETTERS => {
            Err(format!("text has more than {TEXT_LETTERS} characters"))
        }
        (None, Some(text), None) => Ok(Like::Words(text)),
        (None, None, Some(numbers)) => read_embedding(&numbers).map(Like::Vector).map_err(|error| error.to_string()),
        _ => Err("exactly one of track_id, text and embedding is needed".to_owned()),
    }
}

/// What the bodies of all searches share, as it was sent.
pub(crate) struct OptionsInput {
    pub(crate) filters: Option<Value>,
    pub(crate) limit: Option<usize>,
    pub(crate) space: Option<String>,
    pub(crate) numbers: Option<f64>,
    pub(crate) sound: Option<f64>,
    pub(crate) relax: Option<bool>,
    pub(crate) fold: Option<bool>,
}

impl OptionsInput {
    pub(crate) fn check(self) -> Result<SimilarOptions, ApiError> {
        let mut errors = Vec::new();
        let limit = self.limit.unwrap_or(10);
        if !(1..=MAX_LIMIT).contains(&limit) {
            errors.push(FieldError::new("limit", format!("{limit} is not from 1 to {MAX_LIMIT}")));
        }
        if let Some(numbers) = self.numbers.filter(|numbers| !(0.0..=1.0).contains(numbers)) {
            errors.push(FieldError::new("numbers", format!("{numbers} is not from 0 to 1")));
        }
        if let Some(sound) = self.sound.filter(|sound| !(0.0..=1.0).contains(sound)) {
            errors.push(FieldError::new("sound", format!("{sound} is not from 0 to 1")));
        }
        let space = self.space.and_then(|name| {
            Space::parse(&name).map_err(|error| errors.push(FieldError::new("space", error.to_string()))).ok()
        });
        let filter = match self.filters.map(|filters| read_shape::<Option<Object<FilterInput>>, _>(filters, "filters"))
        {
            Some(Ok(Some(Object(input)))) => input.check(),
            Some(Err(error)) => Err(vec![error]),
            None | Some(Ok(None)) => Ok(Filter::default()),
        };
        let filter = filter.unwrap_or_else(|found| {
            errors.extend(found);
            Filter::default()
        });
        if !errors.is_empty() {
            return Err(ApiError::fields(Code::InvalidFilter, errors));
        }
        let [numbers, sound] = [self.numbers, self.sound].map(|weight| weight.map(|weight| weight as f32));
        let (relax, fold) = (self.relax.unwrap_or(false), self.fold.unwrap_or(false));
        Ok(SimilarOptions { filter, limit, space, numbers, sound, relax, fold })
    }
}
