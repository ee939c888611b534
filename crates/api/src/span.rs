//! A request as a span, for logs and, where they are collected, for traces.

use axum::http::{HeaderValue, Request, StatusCode};
use tracing::Span;

/// What stands before every line that is logged of this request.
#[cfg(not(feature = "otlp"))]
pub(crate) fn begin<B>(request: &Request<B>, id: &HeaderValue, _route: &str) -> Span {
    let (method, path) = (request.method(), request.uri().path());
    tracing::info_span!("request", ?id, %method, path)
}

/// Nothing more is to be said of it.
#[cfg(not(feature = "otlp"))]
pub(crate) fn end(_span: &Span, _method: &str, _route: &str, _status: StatusCode) {}

#[cfg(feature = "otlp")]
pub(crate) use traced::{begin, end};

/// The same with the names that OpenTelemetry's conventions give to what servers do.
#[cfg(feature = "otlp")]
mod traced {
    use opentelemetry::trace::{Status, TraceContextExt};
    use opentelemetry_http::HeaderExtractor;
    use tracing_opentelemetry::OpenTelemetrySpanExt;

    use super::{HeaderValue, Request, Span, StatusCode};

    pub(crate) fn begin<B>(request: &Request<B>, id: &HeaderValue, route: &str) -> Span {
        let (method, path) = (request.method(), request.uri().path());
        let span = tracing::info_span!("request", ?id, %method, path, otel.kind = "server");
        // Refused where nobody collects spans.
        let asked_by = opentelemetry::global::get_text_map_propagator(|propagator| {
            propagator.extract(&HeaderExtractor(request.headers()))
        });
        let _ = span.set_parent(asked_by);
        span.set_attribute("http.route", route.to_owned());
        span
    }

    pub(crate) fn end(span: &Span, method: &str, route: &str, status: StatusCode) {
        span.set_attribute("http.request.method", method.to_owned());
        span.set_attribute("http.response.status_code", i64::from(status.as_u16()));
        if status.is_server_error() {
            span.set_status(Status::error(status.as_str().to_owned()));
        }
        // By route, not by path: there would be as many names as tracks.
        span.context().span().update_name(format!("{method} {route}"));
    }
}
