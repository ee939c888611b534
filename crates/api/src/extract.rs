//! What handlers take from a request, refused as problems and never as axum's plain text.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::{DeserializeOwned, IgnoredAny};
use soniquebay_domain::{FieldError, JobId, TrackId};
use soniquebay_wire::read_shape;

use crate::error::{ApiError, Code};

/// Bytes of a body, bulk NDJSON aside.
pub(crate) const BODY_BYTES: usize = 2 * 1024 * 1024;

/// A body that is said to be JSON, read when the handler knows what it should be.
pub(crate) struct JsonBody(pub(crate) Bytes);

impl JsonBody {
    /// The body, an object, as a `T`; `code` is for JSON of another shape. An array of the values would pass for an object
    /// without its names.
    pub(crate) fn read_object<T: DeserializeOwned>(&self, code: Code) -> Result<T, ApiError> {
        self.read_from(b'{', "an object, {…}", code)
    }

    /// The body, an array, as a `T`.
    pub(crate) fn read_array<T: DeserializeOwned>(&self, code: Code) -> Result<T, ApiError> {
        self.read_from(b'[', "an array, […]", code)
    }

    fn read_from<T: DeserializeOwned>(&self, opening: u8, wanted: &str, code: Code) -> Result<T, ApiError> {
        if self.0.trim_ascii_start().first() == Some(&opening) {
            return read_json(&self.0, code);
        }
        read_json::<IgnoredAny>(&self.0, code)?;
        Err(ApiError::new(code, format!("The body must be {wanted}, and is other JSON.")))
    }
}

/// JSON as a `T`. What is no JSON at all, NaN for instance, is told from what is JSON of another shape.
pub(crate) fn read_json<T: DeserializeOwned>(bytes: &[u8], code: Code) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| {
        // A wrong shape is noticed before the end is seen, so the rest is still to be read.
        if let Err(error) = serde_json::from_slice::<IgnoredAny>(bytes) {
            return ApiError::new(Code::InvalidJson, error.to_string());
        }
        // Once more, as knowing the place costs time that bodies as they should be need not spend.
        match read_shape::<T, _>(&mut serde_json::Deserializer::from_slice(bytes), "body") {
            Err(wrong) => ApiError::fields(code, vec![wrong]),
            Ok(_) => ApiError::new(code, error.to_string()),
        }
    })
}

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let kind = media_type(request.headers());
        if !kind.is_empty() && kind != "application/json" && !kind.ends_with("+json") {
            let detail = format!("{kind:?} is not read here: send application/json.");
            return Err(ApiError::new(Code::UnsupportedMediaType, detail));
        }
        Bytes::from_request(request, state).await.map(Self).map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => too_large(),
            _ => ApiError::new(Code::InvalidJson, "The body ended before it was complete."),
        })
    }
}

pub(crate) fn too_large() -> ApiError {
    let detail = format!("A body has at most {BODY_BYTES} bytes; send more tracks as application/x-ndjson.");
    ApiError::new(Code::TooLarge, detail)
}

/// The body's type in lower case, without parameters; empty where none is said.
pub(crate) fn media_type(headers: &HeaderMap) -> String {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().chars().take(100).collect::<String>().to_ascii_lowercase()
}

/// Whether this type says that each line is JSON.
pub(crate) fn is_lines(media_type: &str) -> bool {
    matches!(media_type, "application/x-ndjson" | "application/ndjson" | "application/jsonl")
}

/// The track id in the path.
pub(crate) struct TrackPath(pub(crate) TrackId);

impl<S: Send + Sync> FromRequestParts<S> for TrackPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let (text, id) = path_number(parts, state).await?;
        let id = id.and_then(TrackId::new).ok_or_else(|| {
            let reason = format!("{text:?} is no track id: a whole number above 0");
            ApiError::fields(Code::InvalidTrack, vec![FieldError::new("id", reason)])
        })?;
        Ok(Self(id))
    }
}

/// Whether a text can be a job's id: a number, or the task id of a Celery client, which need not be a UUID.
pub(crate) fn is_job_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    (1..=200).contains(&text.len()) && text.bytes().all(plain)
}

/// The job id in the path.
pub(crate) struct JobPath(pub(crate) JobId);

impl<S: Send + Sync> FromRequestParts<S> for JobPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let not_found = |_| ApiError::new(Code::NotFound, "The path cannot be read.");
        let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(not_found)?;
        if !is_job_id(&text) {
            let shown: String = text.chars().take(40).collect();
            let reason = format!("{shown:?} is no job id: 1 to 200 letters, digits and -._:");
            return Err(ApiError::fields(Code::InvalidFilter, vec![FieldError::new("id", reason)]));
        }
        Ok(Self(JobId::new(&text)))
    }
}

async fn path_number<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<(String, Option<i64>), ApiError> {
    let not_found = |_| ApiError::new(Code::NotFound, "The path cannot be read.");
    let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(not_found)?;
    let id = text.parse().ok();
    Ok((text.chars().take(40).collect(), id))
}
