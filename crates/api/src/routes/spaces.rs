//! `GET /api/spaces`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use soniquebay_domain::{Space, SpaceCoverage};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Services;
use crate::error::ApiError;

pub(crate) fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new().routes(routes!(list_spaces))
}

/// The spaces that there are.
#[derive(Serialize, ToSchema)]
pub(crate) struct SpacesView {
    /// The space that searches use unless told.
    serving: String,
    /// Tracks in the library.
    tracks: u64,
    /// All spaces that hold vectors or are wanted.
    spaces: Vec<SpaceView>,
}

/// One space.
#[derive(Serialize, ToSchema)]
pub(crate) struct SpaceView {
    /// Its name, `model/dims/revision`.
    space: String,
    model: String,
    /// Length of its vectors.
    dims: usize,
    revision: String,
    /// Whether searches use it unless told.
    serving: bool,
    /// Whether jobs fill it.
    wanted: bool,
    /// Vectors made from what their tracks are now.
    ready: u64,
    /// Vectors made from what their tracks were.
    stale: u64,
    /// The share of all tracks with a vector here, 0 to 1.
    coverage: f64,
}

impl SpaceView {
    pub(crate) fn new(coverage: &SpaceCoverage, serving: &Space, tracks: u64) -> Self {
        let SpaceCoverage { space, wanted, ready, stale } = coverage;
        Self {
            space: space.to_string(),
            model: space.model().to_owned(),
            dims: space.dims(),
            revision: space.revision().to_owned(),
            serving: space == serving,
            wanted: *wanted,
            ready: *ready,
            stale: *stale,
            coverage: if tracks == 0 { 1.0 } else { ((ready + stale) as f64 / tracks as f64).min(1.0) },
        }
    }
}

/// Spaces, how full each is, and which one serves
#[utoipa::path(
    get, path = "/api/spaces", operation_id = "list_spaces", tag = "vectors",
    responses((status = 200, description = "The spaces", body = SpacesView))
)]
pub(crate) async fn list_spaces(State(services): State<Services>) -> Result<Json<SpacesView>, ApiError> {
    let serving = &services.recommender.serving;
    let tracks = services.catalog.counts().await?.tracks;
    let spaces = services.vectors.spaces().await?;
    let spaces = spaces.iter().map(|coverage| SpaceView::new(coverage, serving, tracks)).collect();
    Ok(Json(SpacesView { serving: serving.to_string(), tracks, spaces }))
}
