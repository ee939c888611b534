//! Jobs, as HTTP and the command line show them.

use serde::Serialize;
use soniquebay_domain::{JobCounts, JobSummary};
use utoipa::ToSchema;

use crate::rfc3339;

/// Jobs by state.
#[derive(Serialize, ToSchema)]
pub struct JobCountsView {
    /// Can be done now.
    pub available: u64,
    /// Wait for a moment in the future.
    pub scheduled: u64,
    /// Are being done.
    pub running: u64,
    /// Were given up.
    pub discarded: u64,
}

impl From<JobCounts> for JobCountsView {
    fn from(counts: JobCounts) -> Self {
        let JobCounts { available, scheduled, running, discarded } = counts;
        Self { available, scheduled, running, discarded }
    }
}

/// One job.
#[derive(Serialize, ToSchema)]
pub struct JobView {
    /// Its name in the queue: digits in a database, a task id on Celery.
    pub id: String,
    /// "embed_track", "embed_if_needed" or "analyze_track".
    pub kind: &'static str,
    /// For which track.
    pub track_id: i64,
    /// The space that the vector is for.
    pub space: String,
    /// "available", "running" or "discarded".
    pub state: &'static str,
    /// How often it was tried.
    pub attempts: u32,
    /// How often it may be.
    pub max_attempts: u32,
    /// 0 goes first.
    pub priority: i64,
    /// When it may be done, RFC 3339.
    pub run_at: String,
    /// Why it waits or was given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl From<JobSummary> for JobView {
    fn from(summary: JobSummary) -> Self {
        let JobSummary { job, state, priority, run_at, reason } = summary;
        Self {
            id: job.id.to_string(),
            kind: job.kind.name(),
            track_id: job.track_id.get(),
            space: job.space.to_string(),
            state: state.name(),
            attempts: job.attempts.made,
            max_attempts: job.attempts.allowed,
            priority,
            run_at: rfc3339(run_at),
            reason,
        }
    }
}
