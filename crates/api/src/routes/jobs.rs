//! `/api/jobs`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use soniquebay_domain::{Discarded, JobId, JobKind, JobState};
use soniquebay_wire::{JobCountsView, JobView, ProblemView};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Operations;
use crate::error::{ApiError, Code};
use crate::extract::{JobPath, is_job_id};
use crate::params::{MAX_LIMIT, Params};

pub(crate) fn routes() -> OpenApiRouter<Operations> {
    OpenApiRouter::new()
        .routes(routes!(list_jobs))
        .routes(routes!(retry_jobs))
        .routes(routes!(get_job))
        .routes(routes!(retry_job))
        .routes(routes!(cancel_job))
}

/// A part of the jobs.
#[derive(Serialize, ToSchema)]
pub(crate) struct JobsView {
    /// The jobs.
    items: Vec<JobView>,
    /// The next part's `after`; null at the end.
    next: Option<String>,
    /// All jobs by state.
    counts: JobCountsView,
}

/// How many jobs will be tried again.
#[derive(Serialize, ToSchema)]
pub(crate) struct RetriedView {
    retried: usize,
}

/// Jobs by id
#[utoipa::path(
    get, path = "/api/jobs", operation_id = "list_jobs", tag = "jobs",
    params(
        ("state" = Option<String>, Query, description = "\"available\", \"running\" or \"discarded\"",
            pattern = "^(available|running|discarded)$", example = "discarded"),
        ("after" = Option<String>, Query, description = "Only jobs behind this one, by its id", example = "17",
            pattern = "^[A-Za-z0-9._:-]{1,200}$"),
        ("limit" = Option<u32>, Query, description = "How many; 100 where left out", minimum = 1, maximum = 1000),
    ),
    responses((status = 200, description = "The jobs, and how many there are", body = JobsView))
)]
pub(crate) async fn list_jobs(
    State(operations): State<Operations>,
    mut params: Params,
) -> Result<Json<JobsView>, ApiError> {
    let state = params.text("state").and_then(|name| {
        let state = JobState::parse(&name);
        if state.is_none() {
            params.refuse("state", "is one of available, running, discarded");
        }
        state
    });
    let after = params.text("after").filter(|id| {
        let is_id = is_job_id(id);
        if !is_id {
            params.refuse("after", "is the id of a job");
        }
        is_id
    });
    let limit = params.limit(100, MAX_LIMIT);
    params.finish()?;
    let jobs = operations.queue.jobs(state, after.as_deref().map(JobId::new), limit).await?;
    let next = (jobs.len() == limit).then(|| jobs.last().map(|summary| summary.job.id.to_string())).flatten();
    let counts = operations.queue.job_counts().await?.into();
    Ok(Json(JobsView { items: jobs.into_iter().map(JobView::from).collect(), next, counts }))
}

/// One job
#[utoipa::path(
    get, path = "/api/jobs/{id}", operation_id = "get_job", tag = "jobs",
    params(("id" = String, Path, description = "Which job", example = "17", pattern = "^[A-Za-z0-9._:-]{1,200}$")),
    responses(
        (status = 200, description = "The job", body = JobView),
        (status = 404, description = "`not_found`: done, or never there", body = ProblemView,
            content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_job(
    State(operations): State<Operations>,
    JobPath(id): JobPath,
) -> Result<Json<JobView>, ApiError> {
    let job = operations.queue.job(&id).await?.ok_or_else(|| no_job(&id))?;
    Ok(Json(job.into()))
}

/// Try a job again that was given up
#[utoipa::path(
    post, path = "/api/jobs/{id}/retry", operation_id = "retry_job", tag = "jobs",
    params(("id" = String, Path, description = "Which job", example = "17", pattern = "^[A-Za-z0-9._:-]{1,200}$")),
    responses(
        (status = 200, description = "1, or 0 where it was not given up", body = RetriedView),
        (status = 404, description = "`not_found`: done, or never there", body = ProblemView,
            content_type = "application/problem+json"),
    )
)]
pub(crate) async fn retry_job(
    State(operations): State<Operations>,
    JobPath(id): JobPath,
) -> Result<Json<RetriedView>, ApiError> {
    let retried = operations.queue.retry(Discarded::One(id.clone())).await?;
    if retried == 0 && operations.queue.job(&id).await?.is_none() {
        return Err(no_job(&id));
    }
    Ok(Json(RetriedView { retried }))
}

/// Give a job up for good
///
/// Only a change of its track, or a retry, brings it back.
#[utoipa::path(
    post, path = "/api/jobs/{id}/cancel", operation_id = "cancel_job", tag = "jobs",
    params(("id" = String, Path, description = "Which job", example = "17", pattern = "^[A-Za-z0-9._:-]{1,200}$")),
    responses(
        (status = 200, description = "The job, discarded", body = JobView),
        (status = 404, description = "`not_found`: done, or never there", body = ProblemView,
            content_type = "application/problem+json"),
    )
)]
pub(crate) async fn cancel_job(
    State(operations): State<Operations>,
    JobPath(id): JobPath,
) -> Result<Json<JobView>, ApiError> {
    operations.queue.cancel(&id).await?;
    let job = operations.queue.job(&id).await?.ok_or_else(|| no_job(&id))?;
    Ok(Json(job.into()))
}

/// Try all jobs again that were given up
#[utoipa::path(
    post, path = "/api/jobs/retry", operation_id = "retry_jobs", tag = "jobs",
    params(("kind" = Option<String>, Query, description = "Only those of this kind", example = "embed_track",
        pattern = "^(embed_track|embed_if_needed|analyze_track)$")),
    responses((status = 200, description = "How many there were", body = RetriedView))
)]
pub(crate) async fn retry_jobs(
    State(operations): State<Operations>,
    mut params: Params,
) -> Result<Json<RetriedView>, ApiError> {
    let kind = params.text("kind").map(|name| {
        let kind = JobKind::parse(&name);
        if kind.is_none() {
            params.refuse("kind", "is one of embed_track, embed_if_needed, analyze_track");
        }
        kind
    });
    params.finish()?;
    let which = kind.flatten().map_or(Discarded::All, Discarded::Kind);
    Ok(Json(RetriedView { retried: operations.queue.retry(which).await? }))
}

fn no_job(id: &JobId) -> ApiError {
    ApiError::new(Code::NotFound, format!("There is no job {id}; jobs that are done are not kept."))
}
