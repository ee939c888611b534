use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use soniquebay_domain::FieldError;
use soniquebay_wire::{ProblemView, VectorInput, VectorRecord};
use utoipa::ToSchema;

use super::write;
use crate::Services;
use crate::error::{ApiError, Code};
use crate::extract::JsonBody;

const MAX_VECTORS: usize = 1000;

/// How many were stored.
#[derive(Serialize, ToSchema)]
pub(crate) struct StoredView {
    stored: usize,
}

/// Store many vectors, all or none
///
/// As one is stored, up to 1,000 at once. The answer to a bad one names the first bad `index`, and nothing is stored.
#[utoipa::path(
    post, path = "/api/track-vectors/batch", operation_id = "put_vectors", tag = "vectors",
    request_body(content = Vec<VectorInput>, example = json!([{"track_id": 123, "embedding": [0.12, -0.5, 0.33]}])),
    responses(
        (status = 201, description = "Stored", body = StoredView),
        (status = 404, description = "`no_track`, with its `index`", body = ProblemView,
            content_type = "application/problem+json"),
        (status = 409, description = "`vector_outdated`, with its `index`: a newer version of the track is known", body = ProblemView,
            content_type = "application/problem+json"),
        (status = 422, description = "`invalid_vector`, with its `index`", body = ProblemView,
            content_type = "application/problem+json"),
    )
)]
pub(crate) async fn put_vectors(
    State(services): State<Services>,
    body: JsonBody,
) -> Result<(StatusCode, Json<StoredView>), ApiError> {
    // Each is read by itself, so that a bad one can be named; the numbers never become a tree of values.
    let vectors: Vec<Box<RawValue>> = body.read_array(Code::InvalidVector)?;
    if vectors.len() > MAX_VECTORS {
        let detail = format!("{} vectors: at most {MAX_VECTORS} at once.", vectors.len());
        return Err(ApiError::new(Code::InvalidVector, detail));
    }
    let records: Vec<VectorRecord> =
        vectors.iter().enumerate().map(|(index, vector)| read(index, vector)).collect::<Result<_, _>>()?;
    let stored = records.len();
    match write::store(&services, records).await {
        Ok(()) => Ok((StatusCode::CREATED, Json(StoredView { stored }))),
        Err(write::Refused { index: Some(index), error }) => Err(error.with("index", json!(index))),
        Err(refused) => Err(refused.error),
    }
}

fn read(index: usize, vector: &RawValue) -> Result<VectorRecord, ApiError> {
    let record = match serde_json::from_str::<VectorInput>(vector.get()) {
        Ok(input) => input.check(),
        Err(error) => Err(vec![FieldError::new("", error.to_string())]),
    };
    record.map_err(|errors| {
        let errors = errors.into_iter().map(|e| FieldError::new(&format!("[{index}].{}", e.field), e.reason)).collect();
        ApiError::fields(Code::InvalidVector, errors).with("index", json!(index))
    })
}
