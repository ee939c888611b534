use axum::Json;
use axum::extract::State;
use soniquebay_search::{Seed, SimilarOptions};
use soniquebay_wire::ProblemView;

use crate::Services;
use crate::error::ApiError;
use crate::extract::TrackPath;
use crate::openapi::FilterParams;
use crate::params::{MAX_LIMIT, Params};
use crate::routes::similar::AnswerView;

/// More like this track
#[utoipa::path(
    get, path = "/api/tracks/{id}/similar", operation_id = "similar_tracks", tag = "search",
    params(("id" = i64, Path, description = "Which track", minimum = 1, example = 123), FilterParams),
    responses(
        (status = 200, description = "The nearest tracks, with what speaks for each", body = AnswerView),
        (status = 404, description = "`no_track`, `no_vector`", body = ProblemView,
            content_type = "application/problem+json"),
        (status = 409, description = "`vector_pending`, with its `state`", body = ProblemView,
            content_type = "application/problem+json"),
    )
)]
pub(crate) async fn similar_tracks(
    State(services): State<Services>,
    TrackPath(id): TrackPath,
    mut params: Params,
) -> Result<Json<AnswerView>, ApiError> {
    let options = SimilarOptions { filter: params.filter(), limit: params.limit(10, MAX_LIMIT), space: params.space() };
    params.finish()?;
    let seeds = [Seed { track_id: id, weight: 1.0 }];
    Ok(Json(services.recommender.similar(&seeds, options).await?.into()))
}
