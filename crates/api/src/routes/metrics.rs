//! `GET /metrics`.

use std::fmt::Write;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::ApiError;
use crate::layers::AnswerCounts;
use crate::{Operations, Services};

pub(crate) fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new().routes(routes!(get_metrics))
}

/// For a role that keeps neither tracks nor vectors.
pub(crate) fn of_work() -> OpenApiRouter<Operations> {
    OpenApiRouter::new().routes(routes!(get_metrics_of_work))
}

/// Prometheus metrics
#[utoipa::path(
    get, path = "/metrics", operation_id = "get_metrics", tag = "service",
    responses((status = 200, description = "Prometheus text format", body = String, content_type = "text/plain"))
)]
pub(crate) async fn get_metrics(
    State(services): State<Services>,
    Extension(answers): Extension<Arc<AnswerCounts>>,
) -> Result<impl IntoResponse, ApiError> {
    let counts = services.catalog.counts().await?;
    let spaces = services.vectors.spaces().await?;
    let mut page = Page::default();

    page.family("soniquebay_tracks", "gauge", "Tracks in the library.");
    page.sample("soniquebay_tracks", &[], counts.tracks);
    page.family("soniquebay_vectors", "gauge", "Vectors by space and state.");
    for coverage in &spaces {
        let space = coverage.space.to_string();
        page.sample("soniquebay_vectors", &[("space", &space), ("state", "ready")], coverage.ready);
        page.sample("soniquebay_vectors", &[("space", &space), ("state", "stale")], coverage.stale);
    }
    finish(page, &services.operations, &answers).await
}

/// Prometheus metrics
#[utoipa::path(
    get, path = "/metrics", operation_id = "get_metrics", tag = "service",
    responses((status = 200, description = "Prometheus text format", body = String, content_type = "text/plain"))
)]
pub(crate) async fn get_metrics_of_work(
    State(operations): State<Operations>,
    Extension(answers): Extension<Arc<AnswerCounts>>,
) -> Result<impl IntoResponse, ApiError> {
    finish(Page::default(), &operations, &answers).await
}

/// What every role counts, after what is its own.
async fn finish(
    mut page: Page,
    operations: &Operations,
    answers: &AnswerCounts,
) -> Result<impl IntoResponse + use<>, ApiError> {
    let jobs = operations.queue.job_counts().await?;
    page.family("soniquebay_jobs", "gauge", "Jobs by state.");
    let states = [
        ("available", jobs.available),
        ("scheduled", jobs.scheduled),
        ("running", jobs.running),
        ("discarded", jobs.discarded),
    ];
    for (state, count) in states {
        page.sample("soniquebay_jobs", &[("state", state)], count);
    }
    page.family("soniquebay_http_requests_total", "counter", "Requests answered, by class of status.");
    for (class, count) in answers.read() {
        page.sample("soniquebay_http_requests_total", &[("status", &class)], count);
    }
    page.text.push_str(&(operations.counters)());
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page.text))
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn family(&mut self, name: &str, kind: &str, what: &str) {
        // Writing to a String does not fail.
        writeln!(self.text, "# HELP {name} {what}\n# TYPE {name} {kind}").unwrap_or_default();
    }

    /// Label values are names of ours and of spaces, none of which holds a quote.
    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        let labels: Vec<String> = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        writeln!(self.text, "{name}{labels} {value}").unwrap_or_default();
    }
}
