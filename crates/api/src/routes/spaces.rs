//! `GET` and `DELETE /api/spaces`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use soniquebay_domain::{Space, SpaceCoverage};
use soniquebay_search::SearchError;
use soniquebay_wire::ProblemView;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Services;
use crate::error::{ApiError, Code};
use crate::params::Params;

pub(crate) fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new().routes(routes!(list_spaces, drop_space))
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
    let serving = services.recommender.serving.space().await?;
    let tracks = services.catalog.counts().await?.tracks;
    let spaces = services.vectors.coverage().await?;
    let spaces = spaces.iter().map(|coverage| SpaceView::new(coverage, &serving, tracks)).collect();
    Ok(Json(SpacesView { serving: serving.to_string(), tracks, spaces }))
}

/// How much was dropped.
#[derive(Serialize, ToSchema)]
pub(crate) struct DroppedView {
    /// The space that is gone.
    space: String,
    /// Vectors that it had.
    vectors: u64,
}

/// Drop a space that is not filled any more, with its vectors
#[utoipa::path(
    delete, path = "/api/spaces", operation_id = "drop_space", tag = "vectors",
    params(("space" = String, Query, description = "Its name", example = "all-MiniLM-L6-v2/396/fields-1"),
        ("even_serving" = Option<bool>, Query, description = "Although it answers questions now")),
    responses(
        (status = 200, description = "It is gone", body = DroppedView),
        (status = 404, description = "`not_found`: there is no such space", body = ProblemView,
            content_type = "application/problem+json"),
        (status = 409, description = "`space_in_use`: the settings ask for it, or it answers questions", body = ProblemView,
            content_type = "application/problem+json"),
    )
)]
pub(crate) async fn drop_space(
    State(services): State<Services>,
    mut params: Params,
) -> Result<Json<DroppedView>, ApiError> {
    let (space, even_serving) = (params.space(), params.flag("even_serving"));
    if space.is_none() {
        params.refuse("space", "missing: say which one");
    }
    params.finish()?;
    let Some(space) = space else { return Err(ApiError::new(Code::NotFound, "No space was named.")) };
    let vectors = match services.recommender.drop_space(&space, even_serving.unwrap_or(false)).await {
        Err(SearchError::UnknownSpace(_)) => {
            let detail = format!("There is no space {space}; GET /api/spaces lists them.");
            return Err(ApiError::new(Code::NotFound, detail));
        }
        dropped => dropped?,
    };
    Ok(Json(DroppedView { space: space.to_string(), vectors }))
}
