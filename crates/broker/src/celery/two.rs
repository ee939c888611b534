//! Two queues as one: vectors of what tracks say on one, files to be heard on the other, which no Python worker listens to.

use std::time::Duration;

use async_trait::async_trait;
use soniquebay_domain::{
    Backlog, Discarded, JobId, JobQueue, JobState, JobSummary, Lease, NewJob, Space, StoreError, TrackId,
};

use super::queue::CeleryQueue;

/// Jobs on two queues, each where its space belongs.
#[derive(Clone)]
pub struct TwoQueues {
    /// `vectorization`.
    pub embedding: CeleryQueue,
    /// `analysis`.
    pub analysis: CeleryQueue,
}

impl TwoQueues {
    fn of(&self, space: &Space) -> &CeleryQueue {
        if space.is_sound() { &self.analysis } else { &self.embedding }
    }

    fn both(&self) -> [&CeleryQueue; 2] {
        [&self.embedding, &self.analysis]
    }

    fn split(leases: Vec<Lease>) -> (Vec<Lease>, Vec<Lease>) {
        leases.into_iter().partition(|lease| !lease.job.space.is_sound())
    }
}

#[async_trait]
impl JobQueue for TwoQueues {
    async fn enqueue(&self, jobs: Vec<NewJob>) -> Result<usize, StoreError> {
        let (analysis, embedding): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| job.space.is_sound());
        let mut made = 0;
        for (queue, jobs) in [(&self.embedding, embedding), (&self.analysis, analysis)] {
            if !jobs.is_empty() {
                made += queue.enqueue(jobs).await?;
            }
        }
        Ok(made)
    }

    async fn claim(&self, space: &Space, limit: usize, lease: Duration) -> Result<Vec<Lease>, StoreError> {
        self.of(space).claim(space, limit, lease).await
    }

    async fn extend(&self, leases: Vec<Lease>, by: Duration) -> Result<Vec<Lease>, StoreError> {
        let (embedding, analysis) = Self::split(leases);
        let mut held = self.embedding.extend(embedding, by).await?;
        held.extend(self.analysis.extend(analysis, by).await?);
        Ok(held)
    }

    async fn release(&self, leases: Vec<Lease>) -> Result<(), StoreError> {
        let (embedding, analysis) = Self::split(leases);
        self.embedding.release(embedding).await?;
        self.analysis.release(analysis).await
    }

    async fn wait(&self, at_most: Duration) {
        tokio::select! {
            () = self.embedding.wait(at_most) => {}
            () = self.analysis.wait(at_most) => {}
        }
    }

    async fn backlog(&self) -> Result<Vec<Backlog>, StoreError> {
        let mut both = self.embedding.backlog().await?;
        both.extend(self.analysis.backlog().await?);
        Ok(both)
    }

    async fn jobs(
        &self,
        state: Option<JobState>,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<Vec<JobSummary>, StoreError> {
        // A job that the first queue does not know is behind all of its jobs.
        let in_second = match &after {
            Some(id) => self.analysis.job(id).await?.is_some(),
            None => false,
        };
        if in_second {
            return self.analysis.jobs(state, after, limit).await;
        }
        let mut jobs = self.embedding.jobs(state, after, limit).await?;
        if jobs.len() < limit {
            jobs.extend(self.analysis.jobs(state, None, limit - jobs.len()).await?);
        }
        Ok(jobs)
    }

    async fn job(&self, id: &JobId) -> Result<Option<JobSummary>, StoreError> {
        for queue in self.both() {
            if let Some(found) = queue.job(id).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    async fn cancel(&self, id: &JobId) -> Result<bool, StoreError> {
        Ok(self.embedding.cancel(id).await? || self.analysis.cancel(id).await?)
    }

    async fn retry(&self, which: Discarded) -> Result<usize, StoreError> {
        Ok(self.embedding.retry(which.clone()).await? + self.analysis.retry(which).await?)
    }

    async fn failures(&self, space: &Space, ids: Vec<TrackId>) -> Result<Vec<(TrackId, String)>, StoreError> {
        self.of(space).failures(space, ids).await
    }
}
