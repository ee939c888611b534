use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};
use soniquebay_domain::StoredVector;
use soniquebay_wire::{VectorView, rfc3339};

use super::with_space;
use crate::Services;
use crate::error::ApiError;
use crate::openapi::ListParams;
use crate::params::Params;
use crate::routes::tracks::{answer_page, keep_fields};

/// Vectors of a space, by track id
///
/// A bare array, or with `after` an object `{items, next}`. The space is in the header `x-soniquebay-space`.
#[utoipa::path(
    get, path = "/api/track-vectors", operation_id = "list_vectors", tag = "vectors",
    params(ListParams, ("space" = Option<String>, Query, description = "The serving space where left out")),
    responses((status = 200, description = "The vectors", body = Vec<VectorView>))
)]
pub(crate) async fn list_vectors(State(services): State<Services>, mut params: Params) -> Result<Response, ApiError> {
    let (page, fields, space) = (params.page(), params.text("fields"), params.space());
    params.finish()?;
    let space = space.unwrap_or_else(|| services.recommender.serving.clone());
    let stored = services.vectors.vector_page(&space, page.after.unwrap_or(0), page.skip, page.limit).await?;
    let next = (stored.len() == page.limit).then(|| stored.last().map(|one| one.track_id.get())).flatten();
    let with_numbers = fields.as_deref().is_none_or(|names| names.split(',').any(|name| name.trim() == "embedding"));
    let mut items: Vec<Value> = stored.iter().map(|stored| view(stored, with_numbers)).collect();
    if let Some(fields) = &fields {
        keep_fields(&mut items, fields);
    }
    Ok(with_space(answer_page(items, page.after, next), &space))
}

/// The view of a single one, and the hash that a reconciler compares. The numbers are most of the work.
fn view(stored: &StoredVector, with_numbers: bool) -> Value {
    let mut view = json!({
        "track_id": stored.track_id.get(),
        "space": stored.space.to_string(),
        "content_hash": stored.content_hash.as_str(),
        "metadata_hash": stored.metadata_hash.as_str(),
        "updated_at": rfc3339(stored.updated_at),
    });
    if with_numbers {
        view["embedding"] = json!(stored.vector.as_slice());
    }
    view
}
