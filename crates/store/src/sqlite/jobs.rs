use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use soniquebay_domain::{
    Attempts, Job, JobCounts, JobId, JobKind, JobQueue, JobState, JobSummary, Lease, LeaseToken, Priority, Space,
    StoreError, Timestamp, TrackId,
};

use super::SqliteStore;
use super::catalog::collect;
use super::error::SqlError;
use super::row;

/// Tries before a job is discarded.
const MAX_ATTEMPTS: u32 = 8;

/// How often other processes' writes are looked for while nothing is heard from our own.
const POLL: Duration = Duration::from_millis(200);

const COLUMNS: &str = "id, kind, track_id, space, priority, state, attempts, run_at, token, lease_until, reason";

/// Makes a job, or leaves the one that waits already, raised to the higher of both priorities. An earlier failure is forgotten.
pub(super) fn enqueue(
    tx: &Transaction<'_>,
    id: TrackId,
    space: &str,
    priority: Priority,
    now: Timestamp,
) -> Result<(), SqlError> {
    tx.prepare_cached("DELETE FROM jobs WHERE track_id = ?1 AND space = ?2 AND state = 'discarded'")?
        .execute(params![id.get(), space])?;
    tx.prepare_cached(
        "INSERT INTO jobs (kind, track_id, space, priority, state, run_at, created_at) \
         VALUES (?1, ?2, ?3, ?4, 'available', ?5, ?5) \
         ON CONFLICT (track_id, space, kind) WHERE state = 'available' \
         DO UPDATE SET priority = min(priority, excluded.priority), attempts = 0, \
                       run_at = CASE WHEN attempts > 0 THEN excluded.run_at ELSE run_at END",
    )?
    .execute(params![JobKind::EmbedTrack.name(), id.get(), space, priority.level(), now.0])?;
    Ok(())
}

impl SqliteStore {
    /// Gives back every running job. Only for the one process that runs this file's jobs, when it starts: whoever held
    /// them before is gone, and waiting for their leases to end would only waste time.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub async fn release_orphans(&self) -> Result<usize, StoreError> {
        self.writer.transaction(|tx| release(tx, "TRUE", [])).await
    }
}

#[async_trait]
impl JobQueue for SqliteStore {
    async fn claim(&self, space: &Space, limit: usize, lease: Duration) -> Result<Vec<Lease>, StoreError> {
        let now = self.clock.now();
        let (space, asked) = (space.to_string(), space.to_string());
        // A look before the write lock: an idle worker must not make other writers wait.
        if !self.readers.read(move |conn| claimable(conn, &asked, now)).await? {
            return Ok(Vec::new());
        }
        self.writer.transaction(move |tx| claim(tx, &space, limit, now, now.after(lease))).await
    }

    async fn extend(&self, leases: Vec<Lease>, by: Duration) -> Result<Vec<Lease>, StoreError> {
        let until = self.clock.now().after(by);
        self.writer
            .transaction(move |tx| {
                let mut statement = tx.prepare_cached(
                    "UPDATE jobs SET lease_until = ?3 WHERE id = ?1 AND token = ?2 AND state = 'running'",
                )?;
                let mut held = Vec::with_capacity(leases.len());
                for lease in leases {
                    if statement.execute(params![lease.job.id.0, lease.token.0, until.0])? > 0 {
                        held.push(Lease { expires_at: until, ..lease });
                    }
                }
                Ok(held)
            })
            .await
    }

    async fn release(&self, leases: Vec<Lease>) -> Result<(), StoreError> {
        self.writer
            .transaction(move |tx| {
                for lease in leases {
                    release(tx, "id = ?1 AND token = ?2", [lease.job.id.0, lease.token.0])?;
                }
                Ok(())
            })
            .await?;
        self.jobs_written.notify_one();
        Ok(())
    }

    async fn reconcile(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let made = self
            .writer
            .transaction(move |tx| {
                Ok(tx.execute(
                    "INSERT INTO jobs (kind, track_id, space, priority, state, run_at, created_at) \
                     SELECT ?1, t.id, s.name, ?2, 'available', ?3, ?3 FROM spaces s CROSS JOIN tracks t \
                     LEFT JOIN track_vectors v ON v.track_id = t.id AND v.space = s.name \
                     WHERE s.wanted AND v.content_hash IS NOT t.content_hash \
                       AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.track_id = t.id AND j.space = s.name)",
                    params![JobKind::EmbedTrack.name(), Priority::Background.level(), now.0],
                )?)
            })
            .await?;
        if made > 0 {
            self.jobs_written.notify_one();
        }
        Ok(made)
    }

    async fn wait(&self, at_most: Duration) {
        // Other processes write the same file and cannot wake us: whoever waits looks again soon.
        let _ = tokio::time::timeout(at_most.min(POLL), self.jobs_written.notified()).await;
    }

    async fn job_counts(&self) -> Result<JobCounts, StoreError> {
        let now = self.clock.now();
        self.readers
            .read(move |conn| {
                Ok(conn.query_row(
                    "SELECT count(*) FILTER (WHERE state = 'available' AND run_at <= ?1), \
                            count(*) FILTER (WHERE state = 'available' AND run_at > ?1), \
                            count(*) FILTER (WHERE state = 'running'), \
                            count(*) FILTER (WHERE state = 'discarded') FROM jobs",
                    [now.0],
                    |row| {
                        Ok(JobCounts {
                            available: row.get(0)?,
                            scheduled: row.get(1)?,
                            running: row.get(2)?,
                            discarded: row.get(3)?,
                        })
                    },
                )?)
            })
            .await
    }

    async fn jobs(&self, state: Option<JobState>, after: JobId, limit: usize) -> Result<Vec<JobSummary>, StoreError> {
        self.readers
            .read(move |conn| {
                let mut statement = conn.prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM jobs WHERE id > ?1 AND (?2 IS NULL OR state = ?2) ORDER BY id LIMIT ?3"
                ))?;
                let mut rows = statement.query(params![after.0, state.map(JobState::name), limit])?;
                collect(&mut rows, summary)
            })
            .await
    }

    async fn job(&self, id: JobId) -> Result<Option<JobSummary>, StoreError> {
        self.readers
            .read(move |conn| {
                let mut statement = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM jobs WHERE id = ?1"))?;
                let mut rows = statement.query([id.0])?;
                Ok(collect(&mut rows, summary)?.pop())
            })
            .await
    }

    async fn cancel(&self, id: JobId) -> Result<bool, StoreError> {
        self.writer
            .transaction(move |tx| {
                // The next token is nobody's: whoever holds the job has lost it.
                let cancelled = tx.execute(
                    "UPDATE jobs SET state = 'discarded', token = token + 1, lease_until = NULL, reason = 'cancelled' \
                     WHERE id = ?1 AND state <> 'discarded'",
                    [id.0],
                )?;
                Ok(cancelled > 0)
            })
            .await
    }

    async fn retry(&self, id: Option<JobId>) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let retried = self
            .writer
            .transaction(move |tx| {
                Ok(tx.execute(
                    "UPDATE jobs SET state = 'available', attempts = 0, run_at = ?2, reason = NULL \
                     WHERE state = 'discarded' AND (?1 IS NULL OR id = ?1) AND NOT EXISTS \
                         (SELECT 1 FROM jobs w WHERE w.track_id = jobs.track_id AND w.space = jobs.space \
                          AND w.kind = jobs.kind AND w.state = 'available')",
                    params![id.map(|id| id.0), now.0],
                )?)
            })
            .await?;
        self.jobs_written.notify_one();
        Ok(retried)
    }
}

fn claimable(conn: &Connection, space: &str, now: Timestamp) -> Result<bool, SqlError> {
    Ok(conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM jobs WHERE state = 'available' AND space = ?1 AND run_at <= ?2) \
                 OR EXISTS (SELECT 1 FROM jobs WHERE state = 'running' AND lease_until < ?2)",
        )?
        .query_row(params![space, now.0], |row| row.get(0))?)
}

fn claim(
    tx: &Transaction<'_>,
    space: &str,
    limit: usize,
    now: Timestamp,
    until: Timestamp,
) -> Result<Vec<Lease>, SqlError> {
    release(tx, "lease_until < ?1", [now.0])?;
    let mut statement = tx.prepare_cached(&format!(
        "UPDATE jobs SET state = 'running', token = token + 1, lease_until = ?4 WHERE id IN \
             (SELECT id FROM jobs WHERE state = 'available' AND space = ?1 AND run_at <= ?2 \
              ORDER BY priority, id LIMIT ?3) \
         RETURNING {COLUMNS}"
    ))?;
    let mut rows = statement.query(params![space, now.0, limit, until.0])?;
    let mut leases = collect(&mut rows, |row| {
        let token = LeaseToken(row.get("token")?);
        Ok(Lease { job: summary(row)?.job, token, expires_at: until })
    })?;
    leases.sort_by_key(|lease| lease.job.id);
    Ok(leases)
}

/// Makes running jobs available again. One whose track has a newer job waiting is done with.
fn release<const N: usize>(tx: &Transaction<'_>, which: &str, values: [i64; N]) -> Result<usize, SqlError> {
    tx.prepare_cached(&format!(
        "DELETE FROM jobs WHERE state = 'running' AND {which} AND EXISTS \
             (SELECT 1 FROM jobs w WHERE w.track_id = jobs.track_id AND w.space = jobs.space AND w.kind = jobs.kind \
              AND (w.state = 'available' OR (w.state = 'running' AND w.id > jobs.id)))"
    ))?
    .execute(rusqlite::params_from_iter(values))?;
    let mut statement = tx.prepare_cached(&format!(
        "UPDATE jobs SET state = 'available', lease_until = NULL WHERE state = 'running' AND {which}"
    ))?;
    Ok(statement.execute(rusqlite::params_from_iter(values))?)
}

/// Whether the lease is still held.
pub(super) fn is_held(tx: &Transaction<'_>, lease: &Lease) -> Result<bool, SqlError> {
    let mut statement = tx.prepare_cached("SELECT 1 FROM jobs WHERE id = ?1 AND token = ?2 AND state = 'running'")?;
    Ok(statement.query_row(params![lease.job.id.0, lease.token.0], |_| Ok(())).optional()?.is_some())
}

fn summary(row: &Row<'_>) -> Result<JobSummary, SqlError> {
    let id: i64 = row.get("id")?;
    let corrupt = |column| StoreError::Corrupt { table: "jobs", row: id.to_string(), column };
    let (kind, space, state): (String, String, String) = (row.get("kind")?, row.get("space")?, row.get("state")?);
    if kind != JobKind::EmbedTrack.name() {
        return Err(corrupt("kind").into());
    }
    Ok(JobSummary {
        job: Job {
            id: JobId(id),
            kind: JobKind::EmbedTrack,
            track_id: row::track_id(row.get("track_id")?)?,
            space: Space::parse(&space).map_err(|_| corrupt("space"))?,
            attempts: Attempts { made: row.get("attempts")?, allowed: MAX_ATTEMPTS },
        },
        state: JobState::parse(&state).ok_or_else(|| corrupt("state"))?,
        priority: row.get("priority")?,
        run_at: Timestamp(row.get("run_at")?),
        reason: row.get("reason")?,
    })
}
