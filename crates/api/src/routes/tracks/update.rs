use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use soniquebay_domain::{Priority, Target, TrackId, TrackWrite, WriteMode};
use soniquebay_wire::{ProblemView, TrackView, parse_track};

use super::{check_id, version, write_one};
use crate::Services;
use crate::error::{ApiError, Code};
use crate::extract::{JsonBody, TrackPath};
use crate::openapi::TrackInput;

/// Replace a track
///
/// Fields that are not sent are unknown afterwards. With `If-Match`, only where nobody else changed it meanwhile.
#[utoipa::path(
    put, path = "/api/tracks/{id}", operation_id = "replace_track", tag = "tracks",
    request_body = TrackInput,
    params(("id" = i64, Path, description = "Which track", minimum = 1, example = 123),
        ("if-match" = Option<String>, Header, nullable = false, description = "The ETag that the track must still have")),
    responses(
        (status = 200, description = "The track as it is now", body = TrackView),
        (status = 404, description = "`no_track`", body = ProblemView, content_type = "application/problem+json"),
        (status = 412, description = "`outdated`", body = ProblemView, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_track`, naming each wrong field", body = ProblemView,
            content_type = "application/problem+json"),
    )
)]
pub(crate) async fn replace_track(
    State(services): State<Services>,
    TrackPath(id): TrackPath,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, ApiError> {
    change(&services, id, &headers, &body, WriteMode::Replace).await
}

/// Change some fields of a track
///
/// Fields that are not sent stay; null clears one. With `If-Match`, only where nobody else changed it meanwhile.
#[utoipa::path(
    patch, path = "/api/tracks/{id}", operation_id = "update_track", tag = "tracks",
    request_body = TrackInput,
    params(("id" = i64, Path, description = "Which track", minimum = 1, example = 123),
        ("if-match" = Option<String>, Header, nullable = false, description = "The ETag that the track must still have")),
    responses(
        (status = 200, description = "The track as it is now", body = TrackView),
        (status = 404, description = "`no_track`", body = ProblemView, content_type = "application/problem+json"),
        (status = 412, description = "`outdated`", body = ProblemView, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_track`, naming each wrong field", body = ProblemView,
            content_type = "application/problem+json"),
    )
)]
pub(crate) async fn update_track(
    State(services): State<Services>,
    TrackPath(id): TrackPath,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, ApiError> {
    change(&services, id, &headers, &body, WriteMode::Merge).await
}

async fn change(
    services: &Services,
    id: TrackId,
    headers: &HeaderMap,
    body: &JsonBody,
    mode: WriteMode,
) -> Result<Response, ApiError> {
    let version = version::if_match(services, headers, id).await?;
    let record = parse_track(body.read_object(Code::InvalidTrack)?)
        .map_err(|errors| ApiError::fields(Code::InvalidTrack, errors))?;
    check_id(id, record.id)?;
    let target = Target::Existing { id, version };
    write_one(services, TrackWrite { target, mode, patch: record.patch, priority: Priority::Interactive }).await?;
    version::answer(services, id, StatusCode::OK, &record.clamped).await
}
