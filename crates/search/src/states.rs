use std::sync::Arc;

use soniquebay_domain::{JobQueue, Space, StoreError, Track, TrackState, Vectors};

/// How far tracks are on their way to a vector, wherever tracks, jobs and vectors lie.
pub struct TrackStates {
    /// Where the vectors are.
    pub vectors: Arc<dyn Vectors>,
    /// Where jobs are given up.
    pub queue: Arc<dyn JobQueue>,
    /// The space that is asked about.
    pub space: Space,
}

impl TrackStates {
    /// How far a track is.
    ///
    /// # Errors
    /// Where vectors or jobs cannot be read.
    pub async fn of(&self, track: &Track) -> Result<TrackState, StoreError> {
        let stored = self.vectors.vectors(&self.space, vec![track.id]).await?.pop();
        let made_from = track.made_from(&self.space);
        if stored.as_ref().is_some_and(|stored| Some(&stored.content_hash) == made_from.as_ref()) {
            return Ok(TrackState::Ready);
        }
        let failed = self.queue.failures(&self.space, vec![track.id]).await?.pop();
        Ok(match (failed, stored) {
            (Some((_, reason)), _) => TrackState::Failed { reason },
            (None, Some(_)) => TrackState::Stale,
            (None, None) => TrackState::Pending,
        })
    }
}
