use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use soniquebay_domain::{
    Analyses, Analysis, AudioHash, ContentHash, Event, EventBus, Happening, Priority, StoreError, Track, TrackEvent,
    TrackId, Tracks,
};

use super::publishing::tell;

/// What is known of audio, where the bus is told of tracks that count as something else since they were heard.
pub struct PublishingAnalyses {
    inner: Arc<dyn Analyses>,
    tracks: Arc<dyn Tracks>,
    bus: Arc<dyn EventBus>,
}

impl PublishingAnalyses {
    /// `inner`, with what it changes of `tracks` told to `bus`.
    pub fn new(inner: Arc<dyn Analyses>, tracks: Arc<dyn Tracks>, bus: Arc<dyn EventBus>) -> Self {
        Self { inner, tracks, bus }
    }
}

#[async_trait]
impl Analyses for PublishingAnalyses {
    async fn analysis_of(&self, audio: &AudioHash, revision: &str) -> Result<Option<(TrackId, Analysis)>, StoreError> {
        self.inner.analysis_of(audio, revision).await
    }

    async fn keep_analyses(&self, analyses: Vec<(TrackId, Analysis)>) -> Result<Vec<Track>, StoreError> {
        let before = self.tracks.tracks(analyses.iter().map(|(id, _)| *id).collect()).await?;
        let before: HashMap<TrackId, ContentHash> =
            before.into_iter().map(|track| (track.id, track.content_hash)).collect();
        let kept = self.inner.keep_analyses(analyses).await?;
        let changed = kept.iter().filter(|track| before.get(&track.id) != Some(&track.content_hash));
        let events: Vec<Event> = changed
            .map(|track| {
                Event::Track(TrackEvent {
                    happening: Happening::Updated,
                    track_id: track.id,
                    priority: Priority::Background,
                    told: Some(Box::new(track.counts().into_owned())),
                })
            })
            .collect();
        if !events.is_empty() {
            tell(&*self.bus, events).await;
        }
        Ok(kept)
    }

    async fn analysis_paused(&self) -> Result<bool, StoreError> {
        self.inner.analysis_paused().await
    }

    async fn pause_analysis(&self, paused: bool) -> Result<(), StoreError> {
        self.inner.pause_analysis(paused).await
    }
}
