//! Reads whose answer the client has already.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::error::ApiError;

/// The longest answer that is looked at whole: 1,000 tracks at their bounds are shorter.
const LONGEST: usize = 64 * 1024 * 1024;

/// What is read again and again by whoever keeps a copy. Questions about what is like what are not: nobody asks the same twice.
pub(crate) fn is_conditional(path: &str) -> bool {
    let is_question = path.ends_with("/similar") || path == "/api/tracks/search";
    path == "/api/spaces"
        || (!is_question && (path.starts_with("/api/tracks") || path.starts_with("/api/track-vectors")))
}

/// Gives an answer without a version of its own an ETag of its bytes, and nothing but 304 where the client names it.
pub(crate) async fn spare_what_is_known(request: Request, next: Next) -> Response {
    if request.method() != Method::GET || !is_conditional(request.uri().path()) {
        return next.run(request).await;
    }
    let asked = request.headers().clone();
    let response = next.run(request).await;
    let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if response.status() != StatusCode::OK || !is_json || response.headers().contains_key(header::ETAG) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let bytes = match to_bytes(body, LONGEST).await {
        Ok(bytes) => bytes,
        Err(error) => return ApiError::internal(&error).into_response(),
    };
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    // The space that a bare list is about is in a header.
    parts.headers.get("x-soniquebay-space").hash(&mut hasher);
    let etag = format!("W/\"{:016x}\"", hasher.finish());
    if let Ok(value) = HeaderValue::from_str(&etag) {
        parts.headers.insert(header::ETAG, value);
    }
    if is_known(&asked, &etag) {
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(header::CONTENT_TYPE);
        parts.headers.remove(header::CONTENT_LENGTH);
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, Body::from(bytes))
}

/// Whether the client has what this ETag names already.
pub(crate) fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let name = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    known.flat_map(|list| list.split(',')).any(|one| one.trim() == "*" || name(one) == name(etag))
}
