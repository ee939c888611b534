use std::sync::LazyLock;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;
use soniquebay_domain::StoredVector;
use soniquebay_wire::rfc3339;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use super::with_space;
use crate::Services;
use crate::error::ApiError;
use crate::openapi::{ListParams, field_names, listed};
use crate::params::{MAX_VECTORS, Params};
use crate::routes::tracks::{answer_page, keep_fields};

static FIELDS: LazyLock<Vec<String>> = LazyLock::new(field_names::<ListedVector>);

/// A vector as lists show it: the view of a single one, and the hash that a reconciler compares.
#[derive(Serialize, ToSchema)]
pub(crate) struct ListedVector {
    /// Whose.
    track_id: i64,
    /// In which space: `model/dims/revision`.
    space: String,
    /// The numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<f32>)]
    embedding: Option<Vec<f32>>,
    /// Fingerprint of what it was made from.
    content_hash: String,
    /// Fingerprint of what filters use.
    metadata_hash: String,
    /// When it was made, RFC 3339.
    updated_at: String,
}

/// Some vectors, in the form that was asked for.
pub(crate) struct VectorList;

impl utoipa::PartialSchema for VectorList {
    fn schema() -> RefOr<Schema> {
        listed::<ListedVector>()
    }
}

impl ToSchema for VectorList {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        ListedVector::schemas(schemas);
    }
}

/// Vectors of a space, by track id
///
/// A bare array, or with `after` an object `{items, next}`. The space is in the header `x-soniquebay-space`.
#[utoipa::path(
    get, path = "/api/track-vectors", operation_id = "list_vectors", tag = "vectors",
    params(ListParams,
        ("limit" = Option<u32>, Query, description = "How many; 100 where left out", minimum = 1, maximum = 200),
        ("space" = Option<String>, Query, description = "The serving space where left out")),
    responses((status = 200, description = "The vectors", body = VectorList,
        headers(("x-soniquebay-space" = String, description = "The space they are of"))))
)]
pub(crate) async fn list_vectors(State(services): State<Services>, mut params: Params) -> Result<Response, ApiError> {
    let (page, fields, space) = (params.page(MAX_VECTORS), params.fields(&FIELDS), params.space());
    params.finish()?;
    let space = match space {
        Some(space) => space,
        None => services.recommender.serving.space().await?,
    };
    let stored = services.vectors.vector_page(&space, page.after.unwrap_or(0), page.skip, page.limit).await?;
    let next = (stored.len() == page.limit).then(|| stored.last().map(|one| one.track_id.get())).flatten();
    let with_numbers = fields.as_ref().is_none_or(|names| names.iter().any(|name| name == "embedding"));
    let items = stored.iter().map(|stored| serde_json::to_value(view(stored, with_numbers)));
    let mut items: Vec<Value> = items.collect::<Result<_, _>>().map_err(|error| ApiError::internal(&error))?;
    if let Some(fields) = &fields {
        keep_fields(&mut items, fields);
    }
    Ok(with_space(answer_page(items, page.after, next), &space))
}

/// The numbers are most of the work.
fn view(stored: &StoredVector, with_numbers: bool) -> ListedVector {
    ListedVector {
        track_id: stored.track_id.get(),
        space: stored.space.to_string(),
        embedding: with_numbers.then(|| stored.vector.as_slice().to_vec()),
        content_hash: stored.content_hash.to_string(),
        metadata_hash: stored.metadata_hash.to_string(),
        updated_at: rfc3339(stored.updated_at),
    }
}
