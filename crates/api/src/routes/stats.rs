//! `GET /api/stats`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use soniquebay_domain::QueueCounts;
use soniquebay_wire::JobCountsView;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::spaces::SpaceView;
use crate::Services;
use crate::error::ApiError;

pub(crate) fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new().routes(routes!(get_stats))
}

/// How much there is.
#[derive(Serialize, ToSchema)]
pub(crate) struct StatsView {
    /// Tracks in the library.
    tracks: u64,
    /// Different artists.
    artists: u64,
    /// Vectors by space.
    vectors: Vec<SpaceView>,
    /// Jobs by state.
    jobs: JobCountsView,
    /// Those of them that make vectors of what tracks say.
    embedding_jobs: JobCountsView,
    /// Those of them that hear tracks' files.
    analysis_jobs: JobCountsView,
    /// This program's version.
    version: &'static str,
}

/// How much there is of everything
#[utoipa::path(
    get, path = "/api/stats", operation_id = "get_stats", tag = "service",
    responses((status = 200, description = "The numbers", body = StatsView))
)]
pub(crate) async fn get_stats(State(services): State<Services>) -> Result<Json<StatsView>, ApiError> {
    let counts = services.catalog.counts().await?;
    let serving = services.recommender.serving.space().await?;
    let vectors = services.vectors.coverage().await?;
    let vectors = vectors.iter().map(|coverage| SpaceView::new(coverage, &serving, counts.tracks)).collect();
    let QueueCounts { embedding, analysis } = services.operations.queue.counts_by_work().await?;
    Ok(Json(StatsView {
        tracks: counts.tracks,
        artists: counts.artists,
        vectors,
        jobs: (embedding + analysis).into(),
        embedding_jobs: embedding.into(),
        analysis_jobs: analysis.into(),
        version: services.operations.version,
    }))
}
