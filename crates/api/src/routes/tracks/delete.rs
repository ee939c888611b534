use axum::extract::State;
use axum::http::StatusCode;
use soniquebay_wire::ProblemView;

use crate::Services;
use crate::error::ApiError;
use crate::extract::TrackPath;

/// Remove a track with its vectors and jobs
#[utoipa::path(
    delete, path = "/api/tracks/{id}", operation_id = "delete_track", tag = "tracks",
    params(("id" = i64, Path, description = "Which track", minimum = 1, example = 123)),
    responses(
        (status = 204, description = "Removed"),
        (status = 404, description = "`no_track`", body = ProblemView, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn delete_track(
    State(services): State<Services>,
    TrackPath(id): TrackPath,
) -> Result<StatusCode, ApiError> {
    match services.catalog.remove(vec![id]).await? {
        0 => Err(ApiError::no_track(id)),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}
