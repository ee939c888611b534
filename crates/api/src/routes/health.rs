//! `/healthz` and `/readyz`.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use futures_util::future::select_ok;
use serde::Serialize;
use soniquebay_domain::{Filter, Vector};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Services;
use crate::error::{ApiError, Code};

/// How long a part may take to say that it is well.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new().routes(routes!(health)).routes(routes!(readiness))
}

/// The process lives.
#[derive(Serialize, ToSchema)]
pub(crate) struct HealthView {
    status: &'static str,
}

/// Whether all parts work.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReadinessView {
    /// "ok" or "unavailable".
    status: &'static str,
    checks: ChecksView,
}

/// Part by part.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChecksView {
    database: CheckView,
    model: CheckView,
    index: CheckView,
}

/// One part.
#[derive(Serialize, ToSchema)]
pub(crate) struct CheckView {
    /// "ok", or a code: "model_missing", "unavailable".
    status: &'static str,
    /// What is wrong and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// Whether the process answers at all
#[utoipa::path(
    get, path = "/healthz", operation_id = "get_health", tag = "service",
    responses((status = 200, description = "It does", body = HealthView))
)]
pub(crate) async fn health() -> Json<HealthView> {
    Json(HealthView { status: "ok" })
}

/// Whether the service can do its work
#[utoipa::path(
    get, path = "/readyz", operation_id = "get_readiness", tag = "service",
    responses(
        (status = 200, description = "It can", body = ReadinessView),
        (status = 503, description = "Something is missing; the check says what to do", body = ReadinessView),
    )
)]
pub(crate) async fn readiness(State(services): State<Services>) -> (StatusCode, Json<ReadinessView>) {
    let database = check(async { services.catalog.counts().await.map(drop).map_err(ApiError::from) });
    let model = check(async {
        // One that works is enough: it stands in for the others. All are asked at once, as one may hang.
        let all = services.recommender.vectorizers.iter().map(|vectorizer| vectorizer.health());
        select_ok(all).await.map(drop).map_err(ApiError::from)
    });
    let index = check(async {
        let serving = &services.recommender.serving.space().await?;
        let mut along_one_axis = vec![0.0; serving.dims()];
        along_one_axis[0] = 1.0;
        let query = Vector::new(along_one_axis).map_err(|error| ApiError::internal(&error))?;
        let searched = services.recommender.index.search(serving, &query, 1, &Filter::default()).await;
        searched.map(drop).map_err(ApiError::from)
    });
    let (database, model, index) = tokio::join!(database, model, index);
    let is_ready = [&database, &model, &index].iter().all(|check| check.status == "ok");
    let (code, status) =
        if is_ready { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "unavailable") };
    (code, Json(ReadinessView { status, checks: ChecksView { database, model, index } }))
}

async fn check(part: impl Future<Output = Result<(), ApiError>>) -> CheckView {
    match tokio::time::timeout(PATIENCE, part).await {
        Ok(Ok(())) => CheckView { status: "ok", detail: None },
        Ok(Err(error)) => {
            let (code, detail) = error.told();
            CheckView { status: code.name(), detail: Some(detail) }
        }
        Err(_) => {
            let detail = format!("no answer within {} s", PATIENCE.as_secs());
            CheckView { status: Code::Unavailable.name(), detail: Some(detail) }
        }
    }
}
