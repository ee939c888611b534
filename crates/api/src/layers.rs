//! What surrounds every route: time limit, panics, identification, headers, one log line.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use metrics::histogram;
use tower_http::timeout::TimeoutBody;
use tracing::Instrument;

use crate::access::{Access, Caller};
use crate::error::{ApiError, Code};
use crate::extract::{is_lines, media_type};
use crate::span;

/// How long one request may take.
pub(crate) const REQUEST_TIME: Duration = Duration::from_secs(30);

/// How long a client may pause between two parts of a body.
const BODY_PAUSE: Duration = Duration::from_secs(15);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Names the request, logs it once and counts how long it took.
pub(crate) async fn observe(request: Request, next: Next) -> Response {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let id = match request.headers().get(&REQUEST_ID) {
        Some(id) if is_plain(id) => id.clone(),
        _ => HeaderValue::from(NEXT.fetch_add(1, Ordering::Relaxed)),
    };
    let method = request.method().clone();
    let route =
        request.extensions().get::<MatchedPath>().map_or_else(|| "other".to_owned(), |path| path.as_str().to_owned());
    let span = span::begin(&request, &id, &route);
    let start = Instant::now();
    let mut response = next.run(request).instrument(span.clone()).await;
    let seconds = start.elapsed().as_secs_f64();
    span::end(&span, counted_method(&method), &route, response.status());
    histogram!(
        "soniquebay_http_request_duration_seconds",
        "method" => counted_method(&method), "route" => route, "status" => response.status().as_str().to_owned()
    )
    .record(seconds);
    let duration_ms = seconds * 1000.0;
    let caller = response.extensions().get::<Caller>().map(Caller::name);
    span.in_scope(|| tracing::debug!(status = response.status().as_u16(), duration_ms, caller, "Answered"));
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// Anybody may make up methods, and each would be counted for ever.
fn counted_method(method: &Method) -> &'static str {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    known.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

/// Somebody else's id goes into our log: short and without surprises.
fn is_plain(id: &HeaderValue) -> bool {
    let bytes = id.as_bytes();
    (1..=64).contains(&bytes.len()) && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

/// Ends requests that take too long. Events never end, and a bulk import has a limit between its parts.
pub(crate) async fn limit_time(request: Request, next: Next) -> Response {
    let unbounded = match request.uri().path() {
        "/api/events" => true,
        "/api/tracks/batch" => is_lines(&media_type(request.headers())),
        _ => false,
    };
    if unbounded {
        return next.run(request).await;
    }
    let request = request.map(|body| Body::new(TimeoutBody::new(BODY_PAUSE, body)));
    match tokio::time::timeout(REQUEST_TIME, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let detail = format!("The request took longer than {} s.", REQUEST_TIME.as_secs());
            ApiError::new(Code::Unavailable, detail).into_response()
        }
    }
}

/// What a browser must know before it trusts an answer.
pub(crate) async fn harden(request: Request, next: Next) -> Response {
    let is_page = request.uri().path().starts_with("/docs");
    let mut response = next.run(request).await;
    let policy = match is_page {
        // The page that shows the API sets styles from its script and has pictures within its style sheet.
        true => "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'",
        false => "default-src 'none'; frame-ancestors 'none'",
    };
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// A panic in a handler is that request's end and nobody else's.
#[expect(clippy::needless_pass_by_value, reason = "what CatchPanicLayer gives")]
pub(crate) fn answer_panic(panic: Box<dyn Any + Send>) -> Response {
    let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    ApiError::internal(&format!("a handler panicked: {}", said.unwrap_or("without a word"))).into_response()
}

/// Answers below the path where a reverse proxy shows this, whether the proxy passes that part on or not, and keeps
/// addresses in answers below it.
pub(crate) async fn below_base_path(State(access): State<Arc<Access>>, mut request: Request, next: Next) -> Response {
    let base = access.base_path();
    if base.is_empty() {
        return next.run(request).await;
    }
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let below = match target.strip_prefix(base) {
        Some("") => Some("/".to_owned()),
        Some(rest) if rest.starts_with('/') => Some(rest.to_owned()),
        Some(rest) if rest.starts_with('?') => Some(format!("/{rest}")),
        _ => None,
    };
    if let Some(uri) = below.and_then(|below| below.parse::<Uri>().ok()) {
        *request.uri_mut() = uri;
    }
    let mut response = next.run(request).await;
    if let Some(location) = response.headers().get(header::LOCATION).and_then(|location| location.to_str().ok())
        && location.starts_with('/')
        && let Ok(location) = HeaderValue::from_str(&format!("{base}{location}"))
    {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// "/api/tracks/" is "/api/tracks". The pages below /docs/ find their parts relative to it, so that one stays.
pub(crate) fn without_trailing_slash(mut request: Request) -> Request {
    let uri = request.uri();
    let trimmed = uri.path().trim_end_matches('/');
    if trimmed.len() < uri.path().len() && !trimmed.is_empty() && trimmed != "/docs" {
        let target = uri.query().map_or_else(|| trimmed.to_owned(), |query| format!("{trimmed}?{query}"));
        if let Ok(uri) = target.parse::<Uri>() {
            *request.uri_mut() = uri;
        }
    }
    request
}
