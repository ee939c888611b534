use axum::extract::State;
use axum::http::StatusCode;
use soniquebay_wire::ProblemView;

use super::get::no_vector;
use crate::Services;
use crate::error::ApiError;
use crate::extract::TrackPath;
use crate::params::Params;

/// Remove a track's vectors
///
/// In the space asked for, else in all. While the track is in the library, spaces that jobs fill are filled again. A
/// recommender of its own then forgets the track as well.
#[utoipa::path(
    delete, path = "/api/track-vectors/{track_id}", operation_id = "delete_vector", tag = "vectors",
    params(("track_id" = i64, Path, description = "Whose", minimum = 1, example = 123),
        ("space" = Option<String>, Query, description = "In which space", example = "external/396")),
    responses(
        (status = 204, description = "Removed"),
        (status = 404, description = "`no_vector`; `no_track` where the track itself would be forgotten", body = ProblemView, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn delete_vector(
    State(services): State<Services>,
    TrackPath(id): TrackPath,
    mut params: Params,
) -> Result<StatusCode, ApiError> {
    let asked = params.space();
    params.finish()?;
    if services.mirror && asked.is_none() {
        return match services.vectors.forget(vec![id]).await? {
            0 => Err(ApiError::no_track(id)),
            _ => Ok(StatusCode::NO_CONTENT),
        };
    }
    let spaces = match &asked {
        Some(space) => vec![space.clone()],
        None => services.vectors.space_names().await?,
    };
    let mut removed = false;
    for space in spaces {
        removed |= services.vectors.remove_vector(&space, id).await?;
    }
    if removed { Ok(StatusCode::NO_CONTENT) } else { Err(no_vector(id, asked.as_ref())) }
}
