use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use soniquebay_domain::{FieldError, TrackId};
use soniquebay_search::{Found, Seed};
use soniquebay_wire::{FilterInput, ProblemView, read_embedding};
use utoipa::ToSchema;

use super::with_space;
use crate::Services;
use crate::error::{ApiError, Code};
use crate::extract::JsonBody;
use crate::one_thread::on_one_thread;
use crate::routes::similar::{OptionsInput, WhyView};

/// A vector, or a track that has one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "query_track_id": 123, "limit": 10,
    "filters": {"genre": "rock", "exclude_same_artist": true, "year_range": {"min": 2000, "max": 2020}}
}))]
pub(crate) struct VectorQuery {
    /// The vector to search near.
    #[schema(min_items = 1, max_items = 4096)]
    embedding: Option<Vec<f64>>,
    /// The track to search near, instead.
    #[schema(minimum = 1)]
    query_track_id: Option<i64>,
    /// How many; 10 where left out.
    #[schema(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// Which tracks may be answered.
    #[serde(default)]
    #[schema(value_type = Option<FilterInput>)]
    filters: Option<Value>,
    /// The space to search; the serving one where left out.
    space: Option<String>,
    /// How much the query's measured numbers count beside its words: 0, not at all, to 1, as they are.
    #[schema(minimum = 0, maximum = 1)]
    numbers: Option<f64>,
    /// Whether conditions of the filter may be given up where too few tracks meet all of them: the key first, then tempo,
    /// duration, tags, years and genre.
    relax: Option<bool>,
    /// Whether versions of one recording are answered once, and those of the track asked about not at all.
    fold: Option<bool>,
}

/// A track near the query.
#[derive(Serialize, ToSchema)]
pub(crate) struct NeighbourView {
    track_id: i64,
    /// 1 − cosine.
    distance: f32,
    /// Cosine, −1 to 1.
    similarity: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    artist: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    album: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    genre: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    year: Option<i32>,
    /// The conditions of the filter that it does not meet, where they were given up.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    relaxed: Vec<&'static str>,
    /// What speaks for it.
    why: WhyView,
    /// Further versions of the recording, where they are folded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    versions: Vec<i64>,
}

impl From<Found> for NeighbourView {
    fn from(found: Found) -> Self {
        let fields = found.track.fields;
        Self {
            track_id: found.track.id.get(),
            distance: 1.0 - found.score,
            similarity: found.score,
            title: fields.title,
            artist: fields.artist,
            album: fields.album,
            genre: fields.genre,
            year: fields.year,
            relaxed: found.why.relaxed.clone(),
            why: WhyView::from(found.why),
            versions: found.versions.into_iter().map(TrackId::get).collect(),
        }
    }
}

/// Tracks near a vector
///
/// A bare array; the space that was searched is in the header `x-soniquebay-space`.
#[utoipa::path(
    post, path = "/api/track-vectors/search", operation_id = "search_vectors", tag = "search",
    request_body = VectorQuery,
    responses(
        (status = 200, description = "The nearest tracks", body = Vec<NeighbourView>,
            headers(("x-soniquebay-space" = String, description = "The space that was searched"))),
        (status = 404, description = "`no_track`, `no_vector`", body = ProblemView,
            content_type = "application/problem+json"),
        (status = 409, description = "`vector_pending`, with its `state`", body = ProblemView,
            content_type = "application/problem+json"),
        (status = 422, description = "`invalid_vector` with the `spaces` of its length, `invalid_filter`",
            body = ProblemView, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn search_vectors(State(services): State<Services>, body: JsonBody) -> Result<Response, ApiError> {
    let query: VectorQuery = body.read_object(Code::InvalidVector)?;
    let refuse = |error| ApiError::fields(Code::InvalidVector, vec![error]);
    let options = OptionsInput {
        filters: query.filters,
        limit: query.limit,
        space: query.space,
        numbers: query.numbers,
        sound: None,
        relax: query.relax,
        fold: query.fold,
    };
    let options = options.check()?;
    let answer = match (query.embedding, query.query_track_id) {
        (Some(numbers), None) => {
            let vector = read_embedding(&numbers).map_err(refuse)?;
            on_one_thread(async move { services.recommender.search_vector(&vector, options).await }).await??
        }
        (None, Some(id)) => {
            let wrong = || refuse(FieldError::new("query_track_id", format!("{id} is no track id")));
            let seed = Seed::track(TrackId::new(id).ok_or_else(wrong)?);
            on_one_thread(async move { services.recommender.similar(&[seed], options).await }).await??
        }
        _ => return Err(refuse(FieldError::new("embedding", "send either this or query_track_id"))),
    };
    let items: Vec<NeighbourView> = answer.items.into_iter().map(NeighbourView::from).collect();
    Ok(with_space(Json(items).into_response(), &answer.space))
}
