use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use soniquebay_wire::ProblemView;

use super::version;
use crate::Services;
use crate::error::ApiError;
use crate::extract::TrackPath;

/// Remove a track with its vectors and jobs
///
/// With `If-Match`, only where nobody else changed it meanwhile.
#[utoipa::path(
    delete, path = "/api/tracks/{id}", operation_id = "delete_track", tag = "tracks",
    params(("id" = i64, Path, description = "Which track", minimum = 1, example = 123),
        ("if-match" = Option<String>, Header, nullable = false, description = "The ETag that the track must still have")),
    responses(
        (status = 204, description = "Removed"),
        (status = 404, description = "`no_track`", body = ProblemView, content_type = "application/problem+json"),
        (status = 412, description = "`outdated`", body = ProblemView, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn delete_track(
    State(services): State<Services>,
    TrackPath(id): TrackPath,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let expected = version::if_match(&services, &headers, id).await?;
    if services.catalog.remove(vec![id], expected).await? > 0 {
        return Ok(StatusCode::NO_CONTENT);
    }
    let track = services.catalog.tracks(vec![id]).await?.pop().ok_or_else(|| ApiError::no_track(id))?;
    Err(version::outdated(id, track.version))
}
