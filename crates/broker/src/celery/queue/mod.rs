//! The queue: lists of kombu's, claimed by scripts.
//!
//! A message is claimed, and given back, in one step: it lies in a list or in `unacked`, never in neither. Each claim has a tag
//! of its own, so that who held a message before cannot end it for who holds it now.

mod arrivals;
mod claim;
mod claims;
mod ending;
mod keeper;
mod look;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use soniquebay_domain::{
    Backlog, Clock, Discarded, JobId, JobKind, JobQueue, JobState, JobSummary, Lease, NewJob, Space, StoreError,
    TrackId,
};
use tokio::task::AbortHandle;

use super::config::{CeleryConfig, CeleryConfigError};
use super::keys::{job_subject, track_subject};
use super::moves::Move;
use super::node::Watch;
use super::redis::Redis;
use super::task;
use arrivals::Arrivals;
use claims::Claims;

pub(super) use claims::Claim;
pub(super) use ending::{Ending, list};

/// Jobs as Celery messages on Redis. Connects when it is first used, and again whenever the connection was lost.
#[derive(Clone)]
pub struct CeleryQueue {
    pub(super) inner: Arc<Inner>,
    _tasks: Arc<Tasks>,
}

/// What all parts share.
pub(super) struct Inner {
    pub(super) config: CeleryConfig,
    pub(super) redis: Redis,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) claims: Claims,
    /// Shared by the queues of one node.
    pub(super) watch: Arc<Watch>,
    arrivals: Arrivals,
}

/// What runs beside the queue, as long as it is there.
struct Tasks([AbortHandle; 2]);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

impl CeleryQueue {
    /// The queue, by the time of `clock`: machines that share it should agree on the time within a fraction of a lease. To be
    /// called inside a Tokio runtime.
    ///
    /// # Errors
    /// Where the settings name no server that can be asked.
    pub fn connect(config: CeleryConfig, clock: Arc<dyn Clock>) -> Result<Self, CeleryConfigError> {
        let watch = Arc::new(Watch::new(&config.node, Arc::clone(&clock)));
        Self::watched(config, clock, watch)
    }

    /// Another queue that the same node works on: a task that was revoked is so on both, and events of both are told.
    ///
    /// # Errors
    /// Where the settings name no server that can be asked.
    pub fn beside(&self, config: CeleryConfig) -> Result<Self, CeleryConfigError> {
        Self::watched(config, Arc::clone(&self.inner.clock), Arc::clone(&self.inner.watch))
    }

    fn watched(config: CeleryConfig, clock: Arc<dyn Clock>, watch: Arc<Watch>) -> Result<Self, CeleryConfigError> {
        let redis = Redis::new(&config)
            .map_err(|source| CeleryConfigError::Address { setting: "CELERY_BROKER_URL", source })?;
        let inner =
            Arc::new(Inner { redis, clock, claims: Claims::default(), watch, arrivals: Arrivals::default(), config });
        let keeper = tokio::spawn(keeper::keep(Arc::downgrade(&inner))).abort_handle();
        let watcher = tokio::spawn(arrivals::watch(Arc::downgrade(&inner))).abort_handle();
        Ok(Self { inner, _tasks: Arc::new(Tasks([keeper, watcher])) })
    }
}

impl Inner {
    async fn enqueue(&self, jobs: Vec<NewJob>) -> Result<usize, StoreError> {
        let (now, keys, default) = (self.clock.now(), &self.redis.keys, &self.config.default_space);
        let write = |job: &NewJob| {
            let due = (!job.delay.is_zero()).then(|| now.after(job.delay));
            let id = uuid::Uuid::new_v4().to_string();
            let raw = task::write(job, &id, &keys.queue, default, due);
            let space = (job.space != *default).then(|| job.space.to_string());
            let list = keys.list(space.as_deref(), job.priority.level());
            let waiting = keys.waiting(&job_subject(job.track_id, &job.space, job.kind));
            let fingerprint = task::fingerprint(job.told.as_deref());
            let mut step = Move::new(&waiting, job.priority.level(), &fingerprint)
                .revive(&track_subject(job.track_id, &job.space));
            if let Some(space) = &space {
                step = step.space(space);
            }
            match due {
                Some(due) => step.later(due.0, &list, &raw),
                None => step.push(&list, &raw),
            }
        };
        let moves = jobs.iter().map(write).collect();
        let made = self.redis.shift(now, moves).await?.into_iter().filter(|moved| *moved).count();
        self.arrivals.tell();
        Ok(made)
    }

    async fn extend(&self, leases: Vec<Lease>, by: Duration) -> Result<Vec<Lease>, StoreError> {
        let end = self.clock.now().after(by);
        let held: Vec<(Lease, Claim)> = leases
            .into_iter()
            .filter_map(|lease| Some((self.claims.get(lease.token)?, lease)))
            .map(|(c, l)| (l, c))
            .collect();
        let tags: Vec<&[u8]> = held.iter().map(|(_, claim)| &*claim.tag).collect();
        let answers = self.redis.hold(&tags, Some(end)).await?;
        let mut extended = Vec::with_capacity(held.len());
        for ((lease, claim), is_held) in held.into_iter().zip(answers) {
            if is_held {
                self.claims.extend(claim.token, end);
                extended.push(Lease { expires_at: end, ..lease });
            } else {
                self.claims.remove(claim.token);
            }
        }
        Ok(extended)
    }

    async fn release(&self, leases: Vec<Lease>) -> Result<(), StoreError> {
        let keys = &self.redis.keys;
        // What was claimed last goes back first, so that the order is as it was.
        let claims: Vec<Claim> = leases.iter().rev().filter_map(|lease| self.claims.get(lease.token)).collect();
        let back =
            |claim: &Claim| Move::lease(&claim.tag).back(&list(&claim.message, keys), &claim.message.envelope.to_raw());
        self.redis.shift(self.clock.now(), claims.iter().map(back).collect()).await?;
        claims.iter().for_each(|claim| drop(self.claims.remove(claim.token)));
        self.arrivals.tell();
        Ok(())
    }
}

#[async_trait]
impl JobQueue for CeleryQueue {
    async fn enqueue(&self, jobs: Vec<NewJob>) -> Result<usize, StoreError> {
        self.inner.enqueue(jobs).await
    }

    async fn claim(&self, space: &Space, limit: usize, lease: Duration) -> Result<Vec<Lease>, StoreError> {
        self.inner.claim(space, limit, lease).await
    }

    async fn extend(&self, leases: Vec<Lease>, by: Duration) -> Result<Vec<Lease>, StoreError> {
        self.inner.extend(leases, by).await
    }

    async fn release(&self, leases: Vec<Lease>) -> Result<(), StoreError> {
        self.inner.release(leases).await
    }

    async fn wait(&self, at_most: Duration) {
        self.inner.wait(at_most).await;
    }

    async fn backlog(&self) -> Result<Vec<Backlog>, StoreError> {
        // Of the other queue's messages only their bodies tell which kind they are.
        let kind = self.inner.config.default_space.is_sound().then_some(JobKind::AnalyzeTrack);
        Ok(vec![Backlog { kind, counts: self.inner.job_counts().await?, waits_since: None }])
    }

    async fn jobs(
        &self,
        state: Option<JobState>,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<Vec<JobSummary>, StoreError> {
        self.inner.jobs(state, after, limit).await
    }

    async fn job(&self, id: &JobId) -> Result<Option<JobSummary>, StoreError> {
        self.inner.job(id).await
    }

    async fn cancel(&self, id: &JobId) -> Result<bool, StoreError> {
        self.inner.cancel(id).await
    }

    async fn retry(&self, which: Discarded) -> Result<usize, StoreError> {
        self.inner.retry(which).await
    }

    async fn failures(&self, space: &Space, ids: Vec<TrackId>) -> Result<Vec<(TrackId, String)>, StoreError> {
        self.inner.failures(space, ids).await
    }
}

#[cfg(test)]
mod tests;
