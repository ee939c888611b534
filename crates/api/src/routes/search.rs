//! `GET /api/search`.

use axum::Json;
use axum::extract::State;
use soniquebay_domain::bounds;
use soniquebay_wire::ProblemView;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::similar::AnswerView;
use crate::Services;
use crate::error::ApiError;
use crate::openapi::FilterParams;
use crate::params::Params;

pub(crate) fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new().routes(routes!(search_tracks))
}

/// Tracks for typed words, by name and by meaning
///
/// Names that are typed exactly come first; then what names and meaning agree on.
#[utoipa::path(
    get, path = "/api/search", operation_id = "search_tracks", tag = "search",
    params(("q" = String, Query, description = "The words", example = "slow and warm from the seventies"), FilterParams),
    responses(
        (status = 200, description = "The tracks, best first", body = AnswerView),
        (status = 503, description = "`model_missing`, `unavailable`", body = ProblemView,
            content_type = "application/problem+json"),
    )
)]
pub(crate) async fn search_tracks(
    State(services): State<Services>,
    mut params: Params,
) -> Result<Json<AnswerView>, ApiError> {
    let words = params.text("q").unwrap_or_default();
    let options = params.options();
    if words.trim().is_empty() {
        params.refuse("q", "missing: say what to look for");
    } else if words.chars().count() > bounds::TEXT_CHARS {
        params.refuse("q", format!("more than {} characters", bounds::TEXT_CHARS));
    }
    params.finish()?;
    Ok(Json(services.recommender.search_text(&words, options).await?.into()))
}
