use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use soniquebay_domain::{Outcome, Priority, Target, TrackWrite, WriteMode};
use soniquebay_wire::{ProblemView, TrackView, parse_track};

use super::{version, write_one};
use crate::Services;
use crate::error::{ApiError, Code};
use crate::extract::JsonBody;
use crate::openapi::TrackInput;

/// Create a track, or update the one it is recognised as
///
/// The same track is recognised by id, path, MusicBrainz id or ISRC, or by its names and duration. Fields that are not
/// sent stay as they are. Its vector follows in the background.
#[utoipa::path(
    post, path = "/api/tracks", operation_id = "create_track", tag = "tracks",
    request_body = TrackInput,
    responses(
        (status = 201, description = "Created", body = TrackView, headers(("location" = String, description = "Its address"))),
        (status = 200, description = "Known already; updated where it differed", body = TrackView),
        (status = 422, description = "`invalid_track`, naming each wrong field", body = ProblemView,
            content_type = "application/problem+json"),
    )
)]
pub(crate) async fn create_track(State(services): State<Services>, body: JsonBody) -> Result<Response, ApiError> {
    let record = parse_track(body.read_object(Code::InvalidTrack)?)
        .map_err(|errors| ApiError::fields(Code::InvalidTrack, errors))?;
    let write = TrackWrite {
        target: Target::Recognised { id: record.id },
        mode: WriteMode::Merge,
        patch: record.patch,
        priority: Priority::Interactive,
    };
    let (id, outcome) = write_one(&services, write).await?;
    let status = if outcome == Outcome::Created { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = version::answer(&services, id, status, &record.clamped).await?;
    if let Ok(location) = HeaderValue::from_str(&format!("/api/tracks/{id}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}
