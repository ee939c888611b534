use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use soniquebay_domain::FieldError;
use soniquebay_wire::{AnalysisInput, ProblemView, TrackView};

use super::version;
use crate::Services;
use crate::error::{ApiError, Code};
use crate::extract::{JsonBody, TrackPath};

/// Keep what was found out about a track's audio
///
/// What a worker sends that heard the file. It is kept where the track's file is still the one that was heard; what it says
/// counts where the track's own fields say nothing.
#[utoipa::path(
    put, path = "/api/tracks/{id}/analysis", operation_id = "set_analysis", tag = "tracks",
    request_body = AnalysisInput,
    params(("id" = i64, Path, description = "Which track", minimum = 1, example = 123)),
    responses(
        (status = 200, description = "The track as it is now", body = TrackView),
        (status = 404, description = "`no_track`", body = ProblemView, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_track`, naming the wrong field", body = ProblemView,
            content_type = "application/problem+json"),
    )
)]
pub(crate) async fn set_analysis(
    State(services): State<Services>,
    TrackPath(id): TrackPath,
    body: JsonBody,
) -> Result<Response, ApiError> {
    let input: AnalysisInput = body.read_object(Code::InvalidTrack)?;
    let analysis = input.check().map_err(|field| {
        ApiError::fields(Code::InvalidTrack, vec![FieldError::new(field, "is none: its form is another")])
    })?;
    if services.analyses.keep_analyses(vec![(id, analysis)]).await?.is_empty() {
        return Err(ApiError::no_track(id));
    }
    version::answer(&services, id, StatusCode::OK, &[]).await
}
