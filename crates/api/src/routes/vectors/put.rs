use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use soniquebay_wire::{ProblemView, VectorInput, VectorView};

use super::write;
use crate::Services;
use crate::error::{ApiError, Code};
use crate::extract::JsonBody;

/// Store a vector that the caller made
///
/// Creates or replaces it. Without `space` it goes to `external/<its length>`, never to a space of ours. Without
/// `content_hash` it counts as made from the track as it stands. The track must be in the library.
///
/// A recommender of its own keeps copies of a library's tracks: it takes what `metadata` says of the track as the whole of
/// it, at this `version`. Without `metadata`, a track that it does not know is asked of the library, or is "(untitled)".
#[utoipa::path(
    post, path = "/api/track-vectors", operation_id = "put_vector", tag = "vectors",
    request_body(content = VectorInput, example = json!({"track_id": 123, "embedding": [0.12, -0.5, 0.33]})),
    responses(
        (status = 201, description = "Stored", body = VectorView),
        (status = 404, description = "`no_track`", body = ProblemView, content_type = "application/problem+json"),
        (status = 409, description = "`vector_outdated`: a newer version of the track is known", body = ProblemView,
            content_type = "application/problem+json"),
        (status = 422, description = "`invalid_vector`: wrong length, zero, or not finite", body = ProblemView,
            content_type = "application/problem+json"),
    )
)]
pub(crate) async fn put_vector(
    State(services): State<Services>,
    body: JsonBody,
) -> Result<(StatusCode, Json<VectorView>), ApiError> {
    let input: VectorInput = body.read_object(Code::InvalidVector)?;
    let record = input.check().map_err(|errors| ApiError::fields(Code::InvalidVector, errors))?;
    let (id, space) = (record.track_id, record.space.clone());
    write::store(&services, vec![record]).await.map_err(|refused| refused.error)?;
    let stored = services.vectors.vectors(&space, vec![id]).await?.pop();
    // Removed with its track since it was stored.
    let stored = stored.ok_or_else(|| ApiError::no_track(id))?;
    Ok((StatusCode::CREATED, Json(VectorView::from(&stored))))
}
