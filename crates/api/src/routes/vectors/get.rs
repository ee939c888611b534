use axum::Json;
use axum::extract::State;
use soniquebay_domain::{Space, StoredVector, TrackId};
use soniquebay_wire::{ProblemView, VectorView};

use crate::Services;
use crate::error::{ApiError, Code};
use crate::extract::TrackPath;
use crate::params::Params;

/// A track's vector
///
/// Of the space asked for; else of the serving space, or of another one that has it.
#[utoipa::path(
    get, path = "/api/track-vectors/{track_id}", operation_id = "get_vector", tag = "vectors",
    params(("track_id" = i64, Path, description = "Whose", minimum = 1, example = 123),
        ("space" = Option<String>, Query, description = "In which space", example = "external/396")),
    responses(
        (status = 200, description = "The vector with its space", body = VectorView),
        (status = 404, description = "`no_vector`", body = ProblemView, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_vector(
    State(services): State<Services>,
    TrackPath(id): TrackPath,
    mut params: Params,
) -> Result<Json<VectorView>, ApiError> {
    let space = params.space();
    params.finish()?;
    let stored = find(&services, id, space.as_ref()).await?.ok_or_else(|| no_vector(id, space.as_ref()))?;
    Ok(Json(VectorView::from(&stored)))
}

async fn find(services: &Services, id: TrackId, space: Option<&Space>) -> Result<Option<StoredVector>, ApiError> {
    let serving = services.recommender.serving.space().await?;
    let found = services.vectors.vectors(space.unwrap_or(&serving), vec![id]).await?.pop();
    if found.is_some() || space.is_some() {
        return Ok(found);
    }
    for space in services.vectors.space_names().await? {
        if let Some(found) = services.vectors.vectors(&space, vec![id]).await?.pop() {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

pub(super) fn no_vector(id: TrackId, space: Option<&Space>) -> ApiError {
    let place = space.map_or_else(|| "any space".to_owned(), |space| format!("space {space}"));
    ApiError::new(Code::NoVector, format!("Track {id} has no vector in {place}."))
}
