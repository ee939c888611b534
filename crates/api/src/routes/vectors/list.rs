use std::sync::LazyLock;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use serde_json::{Value, json};
use soniquebay_domain::{Fingerprint, Space, StoredVector};
use soniquebay_wire::rfc3339;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use super::with_space;
use crate::Services;
use crate::error::ApiError;
use crate::openapi::{ListParams, field_names, listed};
use crate::params::{MAX_LIMIT, MAX_VECTORS, Params};
use crate::routes::tracks::{answer_page, are_among, next};

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

/// What [`Fingerprint`] and the question tell. Whoever asks for no more gets as many as of tracks.
const FINGERPRINT: [&str; 4] = ["track_id", "space", "content_hash", "metadata_hash"];

/// Vectors of a space, by track id
///
/// A bare array, or with `after` an object `{items, next}`. With `ids`, those of these tracks. The space is in the header
/// `x-soniquebay-space`.
#[utoipa::path(
    get, path = "/api/track-vectors", operation_id = "list_vectors", tag = "vectors",
    params(ListParams,
        ("ids" = Option<String>, Query, description = "Of these tracks, up to 200, with commas between; without `after`, `skip` and `limit`",
            example = "1,2,3"),
        ("limit" = Option<u32>, Query, description = "How many; 100 where left out. More than 200 only where `fields` asks for nothing \
            but `track_id`, `space`, `content_hash` and `metadata_hash`", minimum = 1, maximum = 1000),
        ("space" = Option<String>, Query, description = "The serving space where left out")),
    responses((status = 200, description = "The vectors", body = VectorList,
        headers(("x-soniquebay-space" = String, description = "The space they are of"))))
)]
pub(crate) async fn list_vectors(State(services): State<Services>, mut params: Params) -> Result<Response, ApiError> {
    let fields = params.fields(&FIELDS);
    let sparse = fields.as_ref().is_some_and(|names| are_among(names, &FINGERPRINT));
    let ids = params.ids(MAX_VECTORS);
    let (page, space) = (params.page(if sparse { MAX_LIMIT } else { MAX_VECTORS }), params.space());
    params.finish()?;
    let space = match space {
        Some(space) => space,
        None => services.recommender.serving.space().await?,
    };
    let after = page.after.unwrap_or(0);
    if sparse && ids.is_none() && page.skip == 0 {
        let found = services.vectors.vector_fingerprints(&space, after, page.limit).await?;
        let next = next(&found, page.limit, |one| one.track_id);
        let items = found.iter().map(|one| fingerprint(one, &space)).collect();
        return Ok(with_space(answer_page(items, fields.as_deref(), page.after, next), &space));
    }
    let (stored, next) = match ids {
        Some(ids) => {
            let mut stored = services.vectors.vectors(&space, ids).await?;
            stored.sort_by_key(|one| one.track_id);
            (stored, None)
        }
        None => {
            let stored = services.vectors.vector_page(&space, after, page.skip, page.limit).await?;
            let next = next(&stored, page.limit, |one| one.track_id);
            (stored, next)
        }
    };
    let with_numbers = fields.as_ref().is_none_or(|names| names.iter().any(|name| name == "embedding"));
    let items = stored.iter().map(|stored| serde_json::to_value(view(stored, with_numbers)));
    let items = items.collect::<Result<_, _>>().map_err(|error| ApiError::internal(&error))?;
    Ok(with_space(answer_page(items, fields.as_deref(), page.after, next), &space))
}

fn fingerprint(of: &Fingerprint, space: &Space) -> Value {
    json!({
        "track_id": of.track_id.get(), "space": space.to_string(),
        "content_hash": of.content_hash.as_str(), "metadata_hash": of.metadata_hash.as_str(),
    })
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
