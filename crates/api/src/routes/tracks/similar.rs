use axum::Json;
use axum::extract::State;
use soniquebay_search::{Seed, SimilarOptions};
use soniquebay_wire::ProblemView;

use crate::Services;
use crate::error::ApiError;
use crate::extract::TrackPath;
use crate::one_thread::on_one_thread;
use crate::openapi::FilterParams;
use crate::params::Params;
use crate::routes::similar::AnswerView;

/// More like this track
#[utoipa::path(
    get, path = "/api/tracks/{id}/similar", operation_id = "similar_tracks", tag = "search",
    params(
        ("id" = i64, Path, description = "Which track", minimum = 1, example = 123),
        ("numbers" = Option<f32>, Query, nullable = false, minimum = 0, maximum = 1, example = 0.5,
            description = "How much its measured numbers count beside its words: 0, not at all, to 1, as they are stored"),
        ("sound" = Option<f32>, Query, nullable = false, minimum = 0, maximum = 1, example = 0.3,
            description = "How much its sound counts: 0, not at all, to 1, alone. Tracks that were not heard count as unlike it in sound"),
        FilterParams,
    ),
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
    let numbers = params.number("numbers", &(0.0..=1.0));
    let sound = params.number("sound", &(0.0..=1.0));
    let options = SimilarOptions { numbers, sound, ..params.options() };
    params.finish()?;
    let seeds = [Seed::track(id)];
    let answer = on_one_thread(async move { services.recommender.similar(&seeds, options).await });
    Ok(Json(answer.await??.into()))
}
