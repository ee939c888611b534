//! Work to be done.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    Analysis, Discarded, JobId, JobKind, JobState, JobSummary, Lease, NewJob, Setback, Space, StoreError, Timestamp,
    TrackId, VectorWrite,
};

/// How a job ended.
#[derive(Clone, Debug, PartialEq)]
pub struct SettledJob {
    /// The claim that is settled.
    pub lease: Lease,
    /// The vector, nothing more to do, or a setback.
    pub result: Result<Option<VectorWrite>, Setback>,
    /// What was found out about the track's audio, whatever became of the vector.
    pub analysis: Option<Analysis>,
}

/// Finishing jobs together with what they made.
#[async_trait]
pub trait Settlement: Send + Sync {
    /// Stores vectors and analyses and finishes their jobs in one step. A vector whose track changed meanwhile or is gone is not
    /// stored; a lease that was lost changes nothing. How many leases still held.
    async fn settle(&self, jobs: Vec<SettledJob>) -> Result<usize, StoreError>;
}

/// How many jobs there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobCounts {
    /// Claimable now.
    pub available: u64,
    /// Waiting for a moment in the future.
    pub scheduled: u64,
    /// Claimed.
    pub running: u64,
    /// Given up.
    pub discarded: u64,
}

impl std::ops::Add for JobCounts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            available: self.available + other.available,
            scheduled: self.scheduled + other.scheduled,
            running: self.running + other.running,
            discarded: self.discarded + other.discarded,
        }
    }
}

impl JobCounts {
    /// Jobs that can be done now or are being done.
    pub fn under_way(&self) -> u64 {
        self.available + self.running
    }
}

/// How many jobs there are, by what they do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueCounts {
    /// Vectors to be made of what tracks say.
    pub embedding: JobCounts,
    /// Files to be heard.
    pub analysis: JobCounts,
}

/// How much of one kind there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// Which kind; `None` for all together, where they are messages that nobody opens to count them.
    pub kind: Option<JobKind>,
    /// How many there are.
    pub counts: JobCounts,
    /// Since when the one that could be done first could have been; `None` where none waits or nobody knows.
    pub waits_since: Option<Timestamp>,
}

/// Work to be done, leased and never lost.
#[async_trait]
pub trait JobQueue: Send + Sync {
    /// Queues jobs; how many are new. One that waits already for the same track and space stands for the new one too, at
    /// the higher of both priorities; an earlier failure is forgotten.
    async fn enqueue(&self, jobs: Vec<NewJob>) -> Result<usize, StoreError>;

    /// Claims up to `limit` jobs of a space for `lease`, by priority and age. Jobs whose lease ran out are claimable again.
    async fn claim(&self, space: &Space, limit: usize, lease: Duration) -> Result<Vec<Lease>, StoreError>;

    /// Asks for more time; the leases that are still held, with their new ends.
    async fn extend(&self, leases: Vec<Lease>, by: Duration) -> Result<Vec<Lease>, StoreError>;

    /// Gives jobs back untouched, for instance at shutdown.
    async fn release(&self, leases: Vec<Lease>) -> Result<(), StoreError>;

    /// Resolves when new work may be there, after `at_most` in any case. A hint: it may come late or for nothing.
    async fn wait(&self, at_most: Duration);

    /// How many there are by kind, those left out of which there are none.
    async fn backlog(&self) -> Result<Vec<Backlog>, StoreError>;

    /// How many there are, by what they do.
    async fn counts_by_work(&self) -> Result<QueueCounts, StoreError> {
        let mut counts = QueueCounts::default();
        for Backlog { kind, counts: more, .. } in self.backlog().await? {
            let is_analysis = kind == Some(JobKind::AnalyzeTrack);
            let of = if is_analysis { &mut counts.analysis } else { &mut counts.embedding };
            *of = *of + more;
        }
        Ok(counts)
    }

    /// How many there are in all.
    async fn job_counts(&self) -> Result<JobCounts, StoreError> {
        let QueueCounts { embedding, analysis } = self.counts_by_work().await?;
        Ok(embedding + analysis)
    }

    /// Up to `limit` jobs of one state or of all, in the queue's order, those up to `after` left out.
    async fn jobs(
        &self,
        state: Option<JobState>,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<Vec<JobSummary>, StoreError>;

    /// One job.
    async fn job(&self, id: &JobId) -> Result<Option<JobSummary>, StoreError>;

    /// Gives a job up for good, running or not: what its holder still settles changes nothing, and only a change of the
    /// track or a retry brings it back. Whether there was one to give up.
    async fn cancel(&self, id: &JobId) -> Result<bool, StoreError>;

    /// Makes discarded jobs claimable again, with fresh attempts; how many.
    async fn retry(&self, which: Discarded) -> Result<usize, StoreError>;

    /// Why jobs of these tracks in this space were given up, for those that were.
    async fn failures(&self, space: &Space, ids: Vec<TrackId>) -> Result<Vec<(TrackId, String)>, StoreError>;
}

/// Finds what no event told.
#[async_trait]
pub trait Reconcile: Send + Sync {
    /// Makes jobs for tracks whose vector in a wanted space is missing or stale and that have none; how many.
    async fn reconcile(&self) -> Result<usize, StoreError>;
}
