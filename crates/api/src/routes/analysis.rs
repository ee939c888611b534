//! `/api/analysis`: whether files are heard, and what is known of a recording.

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use soniquebay_domain::{AudioHash, FieldError};
use soniquebay_wire::{JobCountsView, ProblemView, TrackView};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Services;
use crate::error::{ApiError, Code};
use crate::params::Params;

pub(crate) fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new()
        .routes(routes!(get_analysis))
        .routes(routes!(pause_analysis))
        .routes(routes!(resume_analysis))
        .routes(routes!(find_audio))
}

/// How the analysis of files stands.
#[derive(Serialize, ToSchema)]
pub(crate) struct AnalysisStandingView {
    /// Whether a person paused it.
    paused: bool,
    /// Files to be heard, by state.
    jobs: JobCountsView,
}

async fn standing(services: &Services) -> Result<Json<AnalysisStandingView>, ApiError> {
    let paused = services.analyses.analysis_paused().await?;
    let jobs = services.operations.queue.counts_by_work().await?.analysis.into();
    Ok(Json(AnalysisStandingView { paused, jobs }))
}

/// How the analysis of files stands
#[utoipa::path(
    get, path = "/api/analysis", operation_id = "get_analysis", tag = "jobs",
    responses((status = 200, description = "Whether it is paused, and how much there is to do", body = AnalysisStandingView))
)]
pub(crate) async fn get_analysis(
    State(services): State<Services>,
    params: Params,
) -> Result<Json<AnalysisStandingView>, ApiError> {
    params.finish()?;
    standing(&services).await
}

/// Pause the analysis of files
///
/// For all workers, until it is resumed. Files that are being heard are heard to their end.
#[utoipa::path(
    post, path = "/api/analysis/pause", operation_id = "pause_analysis", tag = "jobs",
    responses((status = 200, description = "How it stands now", body = AnalysisStandingView))
)]
pub(crate) async fn pause_analysis(State(services): State<Services>) -> Result<Json<AnalysisStandingView>, ApiError> {
    services.analyses.pause_analysis(true).await?;
    standing(&services).await
}

/// Resume the analysis of files
#[utoipa::path(
    post, path = "/api/analysis/resume", operation_id = "resume_analysis", tag = "jobs",
    responses((status = 200, description = "How it stands now", body = AnalysisStandingView))
)]
pub(crate) async fn resume_analysis(State(services): State<Services>) -> Result<Json<AnalysisStandingView>, ApiError> {
    services.analyses.pause_analysis(false).await?;
    standing(&services).await
}

/// A track that has this audio and was analysed
///
/// A worker that finds one need not decode the file.
#[utoipa::path(
    get, path = "/api/analysis/audio/{hash}", operation_id = "find_audio", tag = "tracks",
    params(
        ("hash" = String, Path, description = "Fingerprint of the audio without its tags",
            pattern = "^[0-9a-fA-F]{8,128}$", example = "9f86d081884c7d659a2feaa0c55ad015"),
        ("revision" = String, Query, description = "Revision of the analysis", example = "sound-1",
            pattern = "^[A-Za-z0-9._+-]{1,64}$"),
    ),
    responses(
        (status = 200, description = "The track, with its `analysis` and what was `measured`", body = TrackView),
        (status = 404, description = "`no_track`: nobody analysed it", body = ProblemView,
            content_type = "application/problem+json"),
    )
)]
pub(crate) async fn find_audio(
    State(services): State<Services>,
    Path(hash): Path<String>,
    mut params: Params,
) -> Result<Json<TrackView>, ApiError> {
    let revision = params.text("revision");
    if revision.is_none() {
        params.refuse("revision", "is missing: of which analysis?");
    }
    params.finish()?;
    let audio = AudioHash::parse(&hash).ok_or_else(|| {
        let error = FieldError::new("hash", "is no fingerprint: 8 to 128 hexadecimal digits");
        ApiError::fields(Code::InvalidFilter, vec![error])
    })?;
    let none = || ApiError::new(Code::NoTrack, "No track with this audio was analysed under this revision.");
    let found = services.analyses.analysis_of(&audio, &revision.unwrap_or_default()).await?;
    let (id, _) = found.ok_or_else(none)?;
    let track = services.catalog.tracks(vec![id]).await?.pop().ok_or_else(none)?;
    Ok(Json(TrackView::from(&track)))
}
