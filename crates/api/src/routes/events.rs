//! `GET /api/events`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::sse::{self, KeepAlive, Sse};
use futures_util::{Stream, StreamExt, stream};
use soniquebay_domain::{Catalog, Event, Heard, JobQueue, Progress, Space, VectorStore};
use soniquebay_wire::ProgressView;
use tokio::sync::Semaphore;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::{ApiError, Code};
use crate::{Operations, Standing};

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

pub(crate) fn routes() -> OpenApiRouter<Operations> {
    OpenApiRouter::new().routes(routes!(watch_events))
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
    State(operations): State<Operations>,
    Extension(places): Extension<Places>,
) -> Result<Sse<impl Stream<Item = Result<sse::Event, Infallible>>>, ApiError> {
    let place = places.0.try_acquire_owned().map_err(|_| {
        let detail = format!("{STREAMS} listen already; GET /api/stats says how things stand.");
        ApiError::new(Code::Overloaded, detail).closing()
    })?;
    let shutdown = operations.shutdown.clone().cancelled_owned();
    // First listen, then look: what happens in between is told twice and not missed.
    let news = operations.bus.progress();
    let first = (operations.standing)().await?;
    let standing = operations.standing;
    let rest = news.filter_map(move |heard| {
        let standing = standing.clone();
        async move {
            match heard {
                Heard::Event(Event::Progress(progress)) => Some(progress),
                Heard::Event(Event::Track(_)) => None,
                Heard::Missed => standing().await.ok(),
            }
        }
    });
    let told = stream::once(std::future::ready(first)).chain(rest).filter_map(move |progress| {
        // The place is free again when the stream is gone.
        let _place = &place;
        let view = ProgressView::from(progress);
        std::future::ready(sse::Event::default().json_data(view).map(Ok).ok())
    });
    let told = told.take_until(shutdown);
    Ok(Sse::new(told).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}

/// How many of the tracks have their vector in the space that is to serve.
pub fn coverage(catalog: Arc<dyn Catalog>, vectors: Arc<dyn VectorStore>, wanted: Space) -> Standing {
    Arc::new(move || {
        let (catalog, vectors, wanted) = (Arc::clone(&catalog), Arc::clone(&vectors), wanted.clone());
        Box::pin(async move {
            let total = catalog.counts().await?.tracks;
            let spaces = vectors.coverage().await?;
            let done = spaces.iter().find(|coverage| coverage.space == wanted).map_or(0, |coverage| coverage.ready);
            Ok(Progress { step: "vectorization".into(), done, total, per_second: 0.0 })
        })
    })
}

/// How much there is to do, where nobody knows how much there is.
pub fn backlog(queue: Arc<dyn JobQueue>) -> Standing {
    Arc::new(move || {
        let queue = Arc::clone(&queue);
        Box::pin(async move {
            let counts = queue.job_counts().await?;
            let total = counts.available + counts.scheduled + counts.running;
            Ok(Progress { step: "vectorization".into(), done: 0, total, per_second: 0.0 })
        })
    })
}
