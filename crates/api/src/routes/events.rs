//! `GET /api/events`.

use std::borrow::Cow;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, StreamExt, stream};
use serde::Serialize;
use soniquebay_domain::{Progress, StoreError};
use tokio::sync::Semaphore;
use tokio_stream::wrappers::BroadcastStream;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Services;
use crate::error::{ApiError, Code};

/// Streams at one time. Each holds one of the listener's connections for as long as its client likes.
const STREAMS: usize = 64;

/// Who may listen still.
#[derive(Clone)]
pub(crate) struct Places(Arc<Semaphore>);

impl Default for Places {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(STREAMS)))
    }
}

pub(crate) fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new().routes(routes!(watch_events))
}

/// How far a long operation is.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProgressView {
    /// "progress".
    #[serde(rename = "type")]
    kind: &'static str,
    /// Which operation.
    task_id: Cow<'static, str>,
    /// "vectorization", "scan".
    step: Cow<'static, str>,
    /// Items done.
    current: u64,
    /// Items in all.
    total: u64,
    /// 0 to 100.
    percent: f64,
    /// Items a second lately.
    per_second: f64,
    /// How long it will take at this speed; null where that cannot be said.
    seconds_left: Option<f64>,
}

impl From<Progress> for ProgressView {
    fn from(progress: Progress) -> Self {
        let Progress { step, done, total, per_second } = progress;
        let percent = if total == 0 { 100.0 } else { (done as f64 / total as f64 * 100.0).min(100.0) };
        let left = total.saturating_sub(done) as f64;
        let seconds_left = match left == 0.0 {
            true => Some(0.0),
            false => Some(left / per_second).filter(|seconds| seconds.is_finite() && *seconds >= 0.0),
        };
        Self { kind: "progress", task_id: step.clone(), step, current: done, total, percent, per_second, seconds_left }
    }
}

/// Progress, as it happens
///
/// Server-sent events. The first one says how things stand; one that a slow reader missed is made up for by how things
/// stand then. At most 64 listen at one time.
#[utoipa::path(
    get, path = "/api/events", operation_id = "watch_events", tag = "service",
    responses((status = 200, description = "Events, each a line of JSON", body = ProgressView,
        content_type = "text/event-stream"))
)]
pub(crate) async fn watch_events(
    State(services): State<Services>,
    Extension(places): Extension<Places>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let place = places.0.try_acquire_owned().map_err(|_| {
        let detail = format!("{STREAMS} listen already; GET /api/stats says how things stand.");
        ApiError::new(Code::Overloaded, detail).closing()
    })?;
    let shutdown = services.shutdown.clone().cancelled_owned();
    // First listen, then look: what happens in between is told twice and not missed.
    let news = BroadcastStream::new(services.progress.subscribe());
    let first = standing(&services).await?;
    let rest = news.filter_map(move |progress| {
        let services = services.clone();
        async move {
            match progress {
                Ok(progress) => Some(progress),
                Err(_lagged) => standing(&services).await.ok(),
            }
        }
    });
    let events = stream::once(std::future::ready(first)).chain(rest).filter_map(move |progress| {
        // The place is free again when the stream is gone.
        let _place = &place;
        let view = ProgressView::from(progress);
        std::future::ready(Event::default().json_data(view).map(Ok).ok())
    });
    let events = events.take_until(shutdown);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}

/// How many of the tracks have their vector in the space that is to serve.
async fn standing(services: &Services) -> Result<Progress, StoreError> {
    let wanted = services.recommender.serving.preferred();
    let total = services.catalog.counts().await?.tracks;
    let spaces = services.vectors.spaces().await?;
    let done = spaces.iter().find(|coverage| coverage.space == *wanted).map_or(0, |coverage| coverage.ready);
    Ok(Progress { step: "vectorization".into(), done, total, per_second: 0.0 })
}
