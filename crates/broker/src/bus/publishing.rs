use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use metrics::counter;
use soniquebay_domain::{
    Applied, Catalog, CatalogCounts, Event, EventBus, FileState, Fingerprint, Happening, Outcome, Priority, StoreError,
    TextHit, Track, TrackEvent, TrackFields, TrackId, TrackWrite, Tracks,
};

/// A catalogue that tells the bus of each write.
///
/// First the write, then the event: one that is lost between them, with the process or with Redis, is found by the
/// reconciler, while an event of a write that never was would make work for nothing.
pub struct PublishingCatalog {
    inner: Arc<dyn Catalog>,
    bus: Arc<dyn EventBus>,
}

impl PublishingCatalog {
    /// `inner`, with its writes told to `bus`.
    pub fn new(inner: Arc<dyn Catalog>, bus: Arc<dyn EventBus>) -> Self {
        Self { inner, bus }
    }
}

/// Tells the bus of writes that were made.
pub(super) async fn tell(bus: &dyn EventBus, events: Vec<Event>) {
    let count = events.len() as u64;
    match bus.publish(events).await {
        Ok(()) => counter!("soniquebay_events_published_total").increment(count),
        Err(error) => {
            counter!("soniquebay_events_unpublished_total").increment(count);
            tracing::warn!(%error, events = count, "nobody was told of these writes; they are found later");
        }
    }
}

#[async_trait]
impl Tracks for PublishingCatalog {
    async fn tracks(&self, ids: Vec<TrackId>) -> Result<Vec<Track>, StoreError> {
        self.inner.tracks(ids).await
    }

    async fn fingerprints(&self, after: i64, limit: usize) -> Result<Vec<Fingerprint>, StoreError> {
        self.inner.fingerprints(after, limit).await
    }
}

#[async_trait]
impl Catalog for PublishingCatalog {
    async fn apply(&self, writes: Vec<TrackWrite>) -> Result<Vec<Applied>, StoreError> {
        let priorities: Vec<Priority> = writes.iter().map(|write| write.priority).collect();
        let applied = self.inner.apply(writes).await?;
        let changed: Vec<(TrackId, Happening, Priority)> = applied
            .iter()
            .zip(priorities)
            .filter_map(|(applied, priority)| match applied {
                Applied::Done { id, outcome: Outcome::Created } => Some((*id, Happening::Created, priority)),
                Applied::Done { id, outcome: Outcome::Updated } => Some((*id, Happening::Updated, priority)),
                _ => None,
            })
            .collect();
        if changed.is_empty() {
            return Ok(applied);
        }
        // As they are now: a write says what changed, an event what the track is.
        let tracks = self.inner.tracks(changed.iter().map(|(id, ..)| *id).collect()).await.unwrap_or_default();
        let mut told: HashMap<TrackId, TrackFields> =
            tracks.into_iter().map(|track| (track.id, track.counts().into_owned())).collect();
        let event = |(track_id, happening, priority): (TrackId, Happening, Priority)| {
            let told = told.remove(&track_id).map(Box::new);
            Event::Track(TrackEvent { happening, track_id, priority, told })
        };
        let events = changed.into_iter().map(event).collect();
        tell(&*self.bus, events).await;
        Ok(applied)
    }

    async fn remove(&self, ids: Vec<TrackId>, version: Option<i64>) -> Result<usize, StoreError> {
        let removed = self.inner.remove(ids.clone(), version).await?;
        if removed > 0 {
            let event = |track_id| {
                let (happening, priority) = (Happening::Deleted, Priority::Normal);
                Event::Track(TrackEvent { happening, track_id, priority, told: None })
            };
            tell(&*self.bus, ids.into_iter().map(event).collect()).await;
        }
        Ok(removed)
    }

    async fn page(&self, after: i64, skip: usize, limit: usize) -> Result<Vec<Track>, StoreError> {
        self.inner.page(after, skip, limit).await
    }

    async fn find_text(&self, words: String, limit: usize) -> Result<Vec<TextHit>, StoreError> {
        self.inner.find_text(words, limit).await
    }

    async fn files_below(&self, folder: String) -> Result<Vec<FileState>, StoreError> {
        self.inner.files_below(folder).await
    }

    async fn without_file(&self, fields: TrackFields) -> Result<Option<TrackId>, StoreError> {
        self.inner.without_file(fields).await
    }

    async fn counts(&self) -> Result<CatalogCounts, StoreError> {
        self.inner.counts().await
    }
}
