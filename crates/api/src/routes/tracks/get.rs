use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use soniquebay_wire::{ProblemView, TrackView};

use super::version;
use crate::Services;
use crate::conditional::is_known;
use crate::error::ApiError;
use crate::extract::TrackPath;

/// One track, with how far its vector is
#[utoipa::path(
    get, path = "/api/tracks/{id}", operation_id = "get_track", tag = "tracks",
    params(("id" = i64, Path, description = "Which track", minimum = 1, example = 123),
        ("if-none-match" = Option<String>, Header, nullable = false, description = "The ETag that is known already")),
    responses(
        (status = 200, description = "The track; its ETag is its version and state", body = TrackView),
        (status = 304, description = "Nothing changed"),
        (status = 404, description = "`no_track`", body = ProblemView, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_track(
    State(services): State<Services>,
    TrackPath(id): TrackPath,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let track = services.catalog.tracks(vec![id]).await?.pop().ok_or_else(|| ApiError::no_track(id))?;
    let mut view = TrackView::from(&track);
    if let Some(states) = &services.states {
        match states.of(&track).await {
            Ok(state) => view = view.with_state(state),
            // Vectors may lie elsewhere, and be away: what is known here is answered all the same.
            Err(error) => tracing::debug!(%error, track.id = %id, "nobody says how far its vector is"),
        }
    }
    if let Some(states) = services.sound_states.as_ref().filter(|_| track.fields.identity.path.is_some()) {
        match states.of(&track).await {
            Ok(state) => view = view.with_analysis_state(state),
            Err(error) => tracing::debug!(%error, track.id = %id, "nobody says how far its analysis is"),
        }
    }
    let etag = version::etag_of(&track, &view);
    let response = match is_known(&headers, &etag) {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => Json(view).into_response(),
    };
    Ok(version::with_etag(&etag, response))
}
