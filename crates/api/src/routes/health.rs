//! `/healthz` and `/readyz`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use futures_util::future::{join_all, select_ok};
use serde::Serialize;
use soniquebay_domain::{Catalog, Filter, JobQueue, Vector, Vectorizer};
use soniquebay_search::Recommender;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::{ApiError, Code};
use crate::{Check, Operations, Unwell};

/// How long a part may take to say that it is well.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn routes() -> OpenApiRouter<Operations> {
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
    /// Part by part: "database", "model", "index", "queue", …
    checks: BTreeMap<&'static str, CheckView>,
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
pub(crate) async fn readiness(State(operations): State<Operations>) -> (StatusCode, Json<ReadinessView>) {
    // All are asked at once, as one may hang.
    let looks = operations.checks.iter().map(|check| async { (check.name, look(check).await) });
    let checks: BTreeMap<_, _> = join_all(looks).await.into_iter().collect();
    let is_ready = checks.values().all(|check| check.status == "ok");
    let (code, status) =
        if is_ready { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "unavailable") };
    (code, Json(ReadinessView { status, checks }))
}

async fn look(check: &Check) -> CheckView {
    match tokio::time::timeout(PATIENCE, (check.run)()).await {
        Ok(Ok(())) => CheckView { status: "ok", detail: None },
        Ok(Err(unwell)) => CheckView { status: unwell.code, detail: Some(unwell.detail) },
        Err(_) => {
            let detail = format!("no answer within {} s", PATIENCE.as_secs());
            CheckView { status: Code::Unavailable.name(), detail: Some(detail) }
        }
    }
}

/// What must be well where tracks are kept.
pub fn catalog_check(catalog: Arc<dyn Catalog>) -> Check {
    Check::new("database", move || {
        let catalog = Arc::clone(&catalog);
        async move { Ok(catalog.counts().await.map(drop)?) }
    })
}

/// What must be well where vectors are made.
pub fn model_check(vectorizers: Vec<Arc<dyn Vectorizer>>) -> Check {
    Check::new("model", move || {
        let vectorizers = vectorizers.clone();
        async move {
            // One that works is enough: it stands in for the others. All are asked at once, as one may hang.
            let all = vectorizers.iter().map(|vectorizer| vectorizer.health());
            Ok(select_ok(all).await.map(drop)?)
        }
    })
}

/// What must be well where questions are answered.
pub fn index_check(recommender: Arc<Recommender>) -> Check {
    Check::new("index", move || {
        let recommender = Arc::clone(&recommender);
        async move {
            let serving = &recommender.serving.space().await?;
            if let Some(read) = recommender.index.catching_up(serving) {
                let tracks = recommender.catalog.counts().await?.tracks;
                let detail = format!("The index is being loaded: {read} vectors of {tracks} tracks so far.");
                return Err(Unwell { code: Code::Unavailable.name(), detail });
            }
            let mut along_one_axis = vec![0.0; serving.dims()];
            along_one_axis[0] = 1.0;
            let query = Vector::new(along_one_axis).map_err(|error| ApiError::internal(&error))?;
            Ok(recommender.index.search(serving, &query, 1, &Filter::default()).await.map(drop)?)
        }
    })
}

/// What must be well where work is queued.
pub fn queue_check(queue: Arc<dyn JobQueue>) -> Check {
    Check::new("queue", move || {
        let queue = Arc::clone(&queue);
        async move { Ok(queue.job_counts().await.map(drop)?) }
    })
}
