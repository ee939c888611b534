//! A track's version as an ETag.

use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use soniquebay_domain::{FieldError, Track, TrackId};
use soniquebay_wire::{StateView, TrackView};

use crate::Services;
use crate::error::{ApiError, Code};

/// Numbers of the track that was sent which were a little out of range and are kept at its end.
const CLAMPED: HeaderName = HeaderName::from_static("x-soniquebay-clamped");

/// The version that the track must have for `If-Match` to hold; `None` where any will do.
///
/// # Errors
/// Where the track has none of the versions that it names.
pub(crate) async fn if_match(services: &Services, headers: &HeaderMap, id: TrackId) -> Result<Option<i64>, ApiError> {
    if !headers.contains_key(header::IF_MATCH) {
        return Ok(None);
    }
    let lists = headers.get_all(header::IF_MATCH).iter().filter_map(|value| value.to_str().ok());
    let tags: Vec<&str> = lists.flat_map(|list| list.split(',')).map(str::trim).collect();
    if tags.contains(&"*") {
        return Ok(None);
    }
    let versions: Vec<i64> = tags.into_iter().filter_map(version_of).collect();
    match versions.as_slice() {
        [] => {
            Err(ApiError::new(Code::Outdated, format!("If-Match names no version of track {id}; send its ETag back.")))
        }
        [only] => Ok(Some(*only)),
        // A write is guarded by one version: the one that the track has, and must have still when it is written.
        several => {
            let track = services.catalog.tracks(vec![id]).await?.pop().ok_or_else(|| ApiError::no_track(id))?;
            several.contains(&track.version).then_some(Some(track.version)).ok_or_else(|| outdated(id, track.version))
        }
    }
}

/// The version in an ETag of ours.
fn version_of(tag: &str) -> Option<i64> {
    tag.trim_start_matches("W/").trim_matches('"').split('-').next()?.parse().ok()
}

pub(crate) fn outdated(id: TrackId, version: i64) -> ApiError {
    ApiError::new(Code::Outdated, format!("Track {id} has version {version} by now: read it again."))
        .with("version", serde_json::json!(version))
}

/// The version, and how far the vector is where the answer says so: it moves on without a new version.
pub(crate) fn etag(track: &Track, state: Option<&StateView>) -> String {
    match state {
        Some(state) => format!("\"{}-{}\"", track.version, state.status),
        None => format!("\"{}\"", track.version),
    }
}

/// The same of a whole answer, which also says how far the analysis is.
pub(crate) fn etag_of(track: &Track, view: &TrackView) -> String {
    let etag = etag(track, view.state.as_ref());
    match view.analysis.as_ref().and_then(|analysis| analysis.status) {
        Some(status) => format!("{}-{status}\"", etag.trim_end_matches('"')),
        None => etag,
    }
}

/// The track as it is now, with its version as ETag.
pub(crate) async fn answer(
    services: &Services,
    id: TrackId,
    status: StatusCode,
    clamped: &[FieldError],
) -> Result<Response, ApiError> {
    // Removed by somebody else since it was written.
    let track = services.catalog.tracks(vec![id]).await?.pop().ok_or_else(|| ApiError::no_track(id))?;
    let mut response = with_etag(&etag(&track, None), (status, Json(TrackView::from(&track))).into_response());
    if !clamped.is_empty() {
        let names = clamped.iter().map(|moved| moved.field.as_str()).collect::<Vec<_>>().join(", ");
        response.headers_mut().extend(HeaderValue::from_str(&names).ok().map(|names| (CLAMPED, names)));
    }
    Ok(response)
}

pub(crate) fn with_etag(etag: &str, mut response: Response) -> Response {
    if let Ok(value) = HeaderValue::from_str(etag) {
        response.headers_mut().insert(header::ETAG, value);
    }
    response
}
