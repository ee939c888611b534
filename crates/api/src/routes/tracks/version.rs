//! A track's version as an ETag.

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use soniquebay_domain::{Track, TrackId};
use soniquebay_wire::{StateView, TrackView};

use crate::Services;
use crate::error::{ApiError, Code};

/// The version that `If-Match` asks for; `None` where any will do.
///
/// # Errors
/// Where it names something that no version of a track is called.
pub(crate) fn if_match(headers: &HeaderMap, id: TrackId) -> Result<Option<i64>, ApiError> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let tag = text.trim_start_matches("W/").trim_matches('"');
    let version = tag.split('-').next().and_then(|version| version.parse().ok());
    version.map(Some).ok_or_else(|| {
        ApiError::new(Code::Outdated, format!("If-Match names no version of track {id}; send its ETag back."))
    })
}

pub(crate) fn outdated(id: TrackId, version: i64) -> ApiError {
    ApiError::new(Code::Outdated, format!("Track {id} has version {version} by now."))
        .with("version", serde_json::json!(version))
}

/// The version, and how far the vector is where the answer says so: it moves on without a new version.
pub(crate) fn etag(track: &Track, state: Option<&StateView>) -> String {
    match state {
        Some(state) => format!("\"{}-{}\"", track.version, state.status),
        None => format!("\"{}\"", track.version),
    }
}

/// Whether the client has what this ETag names already.
pub(crate) fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    known.flat_map(|list| list.split(',')).any(|one| one.trim().trim_start_matches("W/") == etag)
}

/// The track as it is now, with its version as ETag.
pub(crate) async fn answer(services: &Services, id: TrackId, status: StatusCode) -> Result<Response, ApiError> {
    // Removed by somebody else since it was written.
    let track = services.catalog.tracks(vec![id]).await?.pop().ok_or_else(|| ApiError::no_track(id))?;
    Ok(with_etag(&etag(&track, None), (status, Json(TrackView::from(&track))).into_response()))
}

pub(crate) fn with_etag(etag: &str, mut response: Response) -> Response {
    if let Ok(value) = HeaderValue::from_str(etag) {
        response.headers_mut().insert(header::ETAG, value);
    }
    response
}
