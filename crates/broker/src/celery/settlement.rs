//! The end of jobs whose vectors lie elsewhere: stored first, ended after; done twice, it is done once.

use std::sync::Arc;

use async_trait::async_trait;
use soniquebay_domain::{Setback, SettledJob, Settlement, StoreError, TrackId, VectorWrite, Vectors};

use super::node::Happened;
use super::queue::{CeleryQueue, Claim, Ending};

/// Stores vectors and ends their messages.
pub struct CelerySettlement {
    queue: CeleryQueue,
    vectors: Arc<dyn Vectors>,
}

impl CelerySettlement {
    /// Ends messages of `queue`, with their vectors in `vectors`.
    pub fn new(queue: CeleryQueue, vectors: Arc<dyn Vectors>) -> Self {
        Self { queue, vectors }
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
        let known: Vec<(Claim, Result<Option<VectorWrite>, Setback>)> =
            jobs.into_iter().filter_map(|job| Some((inner.claims.get(job.lease.token)?, job.result))).collect();
        let tags: Vec<&[u8]> = known.iter().map(|(claim, _)| &*claim.tag).collect();
        let held = inner.redis.hold(&tags, None).await?;
        let held: Vec<_> = known.into_iter().zip(held).filter_map(|(job, is_held)| is_held.then_some(job)).collect();
        let writes = held.iter().filter_map(|(_, result)| result.as_ref().ok()?.clone()).collect();
        let left_out = self.put(writes).await?;
        let ending = |(claim, result): (Claim, Result<Option<VectorWrite>, Setback>)| {
            let ending = match result {
                Err(setback) => Ending::SetBack(setback),
                Ok(None) if claim.message.task == "calculate_vector_if_needed" => Ending::Done("already_exists"),
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
