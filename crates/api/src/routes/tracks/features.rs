use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Map, Value};
use soniquebay_domain::{FieldError, Priority, Target, TrackWrite, WriteMode};
use soniquebay_wire::{ProblemView, TrackView, parse_track};

use super::{version, write_one};
use crate::Services;
use crate::error::{ApiError, Code};
use crate::extract::{JsonBody, TrackPath};

/// What an analysis may say of the sound, with the names that the Python analysis uses.
const FEATURES: [&str; 21] = [
    "bpm",
    "tempo",
    "key",
    "camelot_key",
    "mode",
    "scale",
    "danceability",
    "energy",
    "valence",
    "acousticness",
    "acoustic",
    "instrumentalness",
    "instrumental",
    "loudness",
    "mood_happy",
    "mood_aggressive",
    "mood_party",
    "mood_relaxed",
    "duration",
    "bitrate",
    "tonal",
];

/// Set what is known of a track's sound
///
/// Features that are not sent stay. Anything that is no feature is refused.
#[utoipa::path(
    put, path = "/api/tracks/{id}/features", operation_id = "set_features", tag = "tracks",
    request_body(content = Object, example = json!({"bpm": 128, "key": "8A", "energy": 0.7, "loudness": -9.5})),
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
pub(crate) async fn set_features(
    State(services): State<Services>,
    TrackPath(id): TrackPath,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, ApiError> {
    let version = version::if_match(&services, &headers, id).await?;
    let fields: Map<String, Value> = body.read_object(Code::InvalidTrack)?;
    let unknown: Vec<FieldError> = fields
        .keys()
        .filter(|name| !FEATURES.contains(&name.as_str()))
        .take(20)
        .map(|name| FieldError::new(name, "is no feature of the sound"))
        .collect();
    if !unknown.is_empty() {
        return Err(ApiError::fields(Code::InvalidTrack, unknown));
    }
    let record = parse_track(fields).map_err(|errors| ApiError::fields(Code::InvalidTrack, errors))?;
    let target = Target::Existing { id, version };
    let write = TrackWrite { target, mode: WriteMode::Merge, patch: record.patch, priority: Priority::Normal };
    write_one(&services, write).await?;
    version::answer(&services, id, StatusCode::OK, &record.clamped).await
}
