//! The end of jobs whose vectors lie elsewhere: stored first, ended after; done twice, it is done once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use soniquebay_domain::{
    Analyses, Analysis, JobKind, Setback, SettledJob, Settlement, Space, StoreError, TrackId, VectorWrite, Vectors,
};

use super::node::Happened;
use super::queue::{CeleryQueue, Claim, Ending};

/// A claim that was worked on, and what came of it.
type Ended = (Claim, Result<Option<VectorWrite>, Setback>);

/// Stores vectors and ends their messages.
pub struct CelerySettlement {
    queue: CeleryQueue,
    vectors: Arc<dyn Vectors>,
    /// Where what is known of audio is kept.
    analyses: Option<Arc<dyn Analyses>>,
}

impl CelerySettlement {
    /// Ends messages of `queue`, with their vectors in `vectors`.
    pub fn new(queue: CeleryQueue, vectors: Arc<dyn Vectors>) -> Self {
        Self { queue, vectors, analyses: None }
    }

    /// The same, with what is found out about audio kept in `analyses`.
    #[must_use]
    pub fn with_analyses(self, analyses: Arc<dyn Analyses>) -> Self {
        Self { analyses: Some(analyses), ..self }
    }

    /// Keeps what was found out about audio, before the vectors: a vector says that its file needs no second hearing. The
    /// writes then tell of the tracks as they are after it.
    async fn keep(&self, heard: Vec<(TrackId, Analysis)>, writes: &mut [VectorWrite]) -> Result<(), StoreError> {
        let Some(analyses) = self.analyses.as_ref().filter(|_| !heard.is_empty()) else { return Ok(()) };
        for track in analyses.keep_analyses(heard).await? {
            for write in writes.iter_mut().filter(|write| write.track_id == track.id) {
                (write.version, write.told) = (Some(track.version), Some(Arc::new(track.counts().into_owned())));
            }
        }
        Ok(())
    }

    /// Of the jobs that came to no vector, because there is one or because the track is gone, those of which there is one.
    async fn ready(&self, ended: &[Ended]) -> Result<Vec<(TrackId, Space)>, StoreError> {
        let mut asked: HashMap<&Space, Vec<TrackId>> = HashMap::new();
        for (claim, result) in ended {
            if claim.job.kind != JobKind::EmbedTrack && *result == Ok(None) {
                asked.entry(&claim.job.space).or_default().push(claim.job.track_id);
            }
        }
        let mut ready = Vec::new();
        for (space, tracks) in asked {
            let stored = self.vectors.vectors(space, tracks).await?;
            ready.extend(stored.into_iter().map(|stored| (stored.track_id, stored.space)));
        }
        Ok(ready)
    }

    /// Stores what can be stored; the tracks that are gone, and those that are newer where they are kept.
    async fn put(&self, mut writes: Vec<VectorWrite>) -> Result<Vec<(TrackId, &'static str)>, StoreError> {
        let mut left_out = Vec::new();
        while !writes.is_empty() {
            let (track, status) = match self.vectors.put(writes.clone()).await {
                Ok(()) => break,
                Err(StoreError::NoTrack(track)) => (track, "track_not_found"),
                Err(StoreError::Outdated(track)) => (track, "outdated"),
                Err(error) => return Err(error),
            };
            let before = writes.len();
            writes.retain(|write| write.track_id != track);
            if writes.len() == before {
                return Err(StoreError::NoTrack(track));
            }
            left_out.push((track, status));
        }
        Ok(left_out)
    }
}

#[async_trait]
impl Settlement for CelerySettlement {
    async fn settle(&self, jobs: Vec<SettledJob>) -> Result<usize, StoreError> {
        let inner = &self.queue.inner;
        let known: Vec<(Ended, Option<Analysis>)> = jobs
            .into_iter()
            .filter_map(|job| Some(((inner.claims.get(job.lease.token)?, job.result), job.analysis)))
            .collect();
        let tags: Vec<&[u8]> = known.iter().map(|((claim, _), _)| &*claim.tag).collect();
        let is_held = inner.redis.hold(&tags, None).await?;
        let held = known.into_iter().zip(is_held).filter_map(|(job, is_held)| is_held.then_some(job));
        let (held, heard): (Vec<Ended>, Vec<Option<Analysis>>) = held.unzip();
        let mut writes: Vec<VectorWrite> =
            held.iter().filter_map(|(_, result)| result.as_ref().ok()?.clone()).collect();
        let heard = held.iter().zip(heard).filter_map(|((claim, _), heard)| Some((claim.job.track_id, heard?)));
        self.keep(heard.collect(), &mut writes).await?;
        let left_out = self.put(writes).await?;
        let ready = self.ready(&held).await?;
        let ready: HashSet<_> = ready.iter().map(|(track, space)| (*track, space)).collect();
        let ending = |(claim, result): Ended| {
            let ending = match result {
                Err(setback) => Ending::SetBack(setback),
                Ok(None) if ready.contains(&(claim.job.track_id, &claim.job.space)) => Ending::Done("already_exists"),
                Ok(None) => Ending::Done("track_not_found"),
                Ok(Some(write)) => {
                    let status = left_out.iter().find(|(track, _)| *track == write.track_id);
                    Ending::Done(status.map_or("success", |(_, status)| status))
                }
            };
            (claim, ending)
        };
        let ended: Vec<(Claim, Ending)> = held.into_iter().map(ending).collect();
        let now = inner.clock.now();
        let moves = ended.iter().map(|(claim, ending)| claim.end(ending, &inner.redis.keys, now)).collect();
        let moved = inner.redis.shift(now, moves).await?;
        let mut settled = 0;
        for ((claim, ending), moved) in ended.iter().zip(moved) {
            inner.claims.remove(claim.token);
            if moved {
                settled += 1;
                inner.watch.happened(claim, Happened::Ended(ending, now));
            }
        }
        Ok(settled)
    }
}
