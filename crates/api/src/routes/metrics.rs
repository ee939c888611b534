//! `GET /metrics`.

use std::fmt::{Display, Write};

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use soniquebay_domain::{Backlog, Clock, JobKind, SystemClock};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::ApiError;
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
pub(crate) async fn get_metrics(State(services): State<Services>) -> Result<impl IntoResponse, ApiError> {
    let counts = services.catalog.counts().await?;
    let spaces = services.vectors.coverage().await?;
    let mut page = Page::default();

    page.family("soniquebay_tracks", "gauge", "Tracks in the library.");
    page.sample("soniquebay_tracks", &[], counts.tracks);
    page.family("soniquebay_vectors", "gauge", "Tracks by the state of their vector in each space.");
    for coverage in &spaces {
        let space = coverage.space.to_string();
        page.sample("soniquebay_vectors", &[("space", &space), ("state", "ready")], coverage.ready);
        page.sample("soniquebay_vectors", &[("space", &space), ("state", "stale")], coverage.stale);
        if coverage.wanted {
            let missing = counts.tracks.saturating_sub(coverage.ready + coverage.stale);
            page.sample("soniquebay_vectors", &[("space", &space), ("state", "missing")], missing);
        }
    }
    finish(page, &services.operations).await
}

/// Prometheus metrics
#[utoipa::path(
    get, path = "/metrics", operation_id = "get_metrics", tag = "service",
    responses((status = 200, description = "Prometheus text format", body = String, content_type = "text/plain"))
)]
pub(crate) async fn get_metrics_of_work(State(operations): State<Operations>) -> Result<impl IntoResponse, ApiError> {
    finish(Page::default(), &operations).await
}

/// What every role counts, after what is its own.
async fn finish(mut page: Page, operations: &Operations) -> Result<impl IntoResponse + use<>, ApiError> {
    let backlog = operations.queue.backlog().await?;
    page.family("soniquebay_jobs", "gauge", "Jobs by kind and state.");
    for Backlog { kind, counts, .. } in &backlog {
        let states = [
            ("available", counts.available),
            ("scheduled", counts.scheduled),
            ("running", counts.running),
            ("discarded", counts.discarded),
        ];
        for (state, count) in states {
            page.sample("soniquebay_jobs", &[("kind", name(*kind)), ("state", state)], count);
        }
    }
    page.family(
        "soniquebay_jobs_waiting_seconds",
        "gauge",
        "How long the job that has waited longest could have been done.",
    );
    let now = SystemClock.now();
    for Backlog { kind, waits_since, .. } in &backlog {
        let seconds = waits_since.map_or(0.0, |since| (now.seconds() - since.seconds()).max(0.0));
        page.sample("soniquebay_jobs_waiting_seconds", &[("kind", name(*kind))], seconds);
    }
    page.text.push_str(&(operations.counters)());
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page.text))
}

/// How a kind of job is labelled: messages are counted unopened.
fn name(kind: Option<JobKind>) -> &'static str {
    kind.map_or("message", JobKind::name)
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
    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        writeln!(self.text, "{name}{labels} {value}").unwrap_or_default();
    }
}
