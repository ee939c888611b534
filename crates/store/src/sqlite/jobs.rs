use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use soniquebay_domain::{
    Attempts, Backlog, Discarded, Job, JobCounts, JobId, JobKind, JobQueue, JobState, JobSummary, Lease, LeaseToken,
    NewJob, Priority, Reconcile, Space, StoreError, Timestamp, TrackId,
};

use super::SqliteStore;
use super::catalog::{collect, id_array};
use super::error::SqlError;
use super::row;
use crate::MAX_ATTEMPTS;

/// How often other processes' writes are looked for while nothing is heard from our own.
const POLL: Duration = Duration::from_millis(200);

const COLUMNS: &str = "id, kind, track_id, space, priority, state, attempts, run_at, token, lease_until, reason, lost";

/// Whether a claim ended without a word, or was given back.
#[derive(Clone, Copy)]
enum End {
    Lost,
    GivenBack,
}

/// What a change of a track asks for: its vector in a space.
pub(super) fn fill(
    tx: &Transaction<'_>,
    id: TrackId,
    space: &Space,
    priority: Priority,
    now: Timestamp,
) -> Result<(), SqlError> {
    enqueue(tx, JobKind::of(space), id, &space.to_string(), priority, (now, now)).map(drop)
}

/// Makes a job, or leaves the one that waits already, raised to the higher of both priorities. An earlier failure is
/// forgotten. Whether it is new.
fn enqueue(
    tx: &Transaction<'_>,
    kind: JobKind,
    id: TrackId,
    space: &str,
    priority: Priority,
    (now, run_at): (Timestamp, Timestamp),
) -> Result<bool, SqlError> {
    tx.prepare_cached("DELETE FROM jobs WHERE track_id = ?1 AND space = ?2 AND state = 'discarded'")?
        .execute(params![id.get(), space])?;
    let mut waiting = tx.prepare_cached(
        "UPDATE jobs SET priority = min(priority, ?4), attempts = 0, lost = 0, \
                         run_at = CASE WHEN attempts > 0 THEN ?5 ELSE min(run_at, ?5) END \
         WHERE kind = ?1 AND track_id = ?2 AND space = ?3 AND state = 'available'",
    )?;
    if waiting.execute(params![kind.name(), id.get(), space, priority.level(), run_at.0])? > 0 {
        return Ok(false);
    }
    tx.prepare_cached(
        "INSERT INTO jobs (kind, track_id, space, priority, state, run_at, created_at) \
         VALUES (?1, ?2, ?3, ?4, 'available', ?5, ?6)",
    )?
    .execute(params![kind.name(), id.get(), space, priority.level(), run_at.0, now.0])?;
    Ok(true)
}

/// Gives back every running job. Only for the one process that runs this file's jobs, when it starts: whoever held them
/// before is gone, and waiting for their leases to end would only waste time.
pub(super) fn release_all(tx: &Transaction<'_>) -> Result<usize, SqlError> {
    release(tx, End::Lost, "TRUE", [])
}

#[async_trait]
impl JobQueue for SqliteStore {
    async fn enqueue(&self, jobs: Vec<NewJob>) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let made = self
            .writer
            .transaction(move |tx| {
                let mut made = 0;
                for NewJob { kind, track_id, space, priority, delay, told: _ } in jobs {
                    super::spaces::ensure(tx, &space)?;
                    let at = (now, now.after(delay));
                    made += usize::from(enqueue(tx, kind, track_id, &space.to_string(), priority, at)?);
                }
                Ok(made)
            })
            .await?;
        self.tell_workers();
        Ok(made)
    }

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
                    if statement.execute(params![lease.job.id.number(), lease.token.0, until.0])? > 0 {
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
                    let Some(id) = lease.job.id.number() else { continue };
                    release(tx, End::GivenBack, "id = ?1 AND token = ?2", [id, lease.token.0])?;
                }
                Ok(())
            })
            .await?;
        self.tell_workers();
        Ok(())
    }

    async fn wait(&self, at_most: Duration) {
        // Other processes write the same file and cannot wake us: whoever waits looks again soon.
        let _ = tokio::time::timeout(at_most.min(POLL), self.jobs_written.notified()).await;
    }

    async fn backlog(&self) -> Result<Vec<Backlog>, StoreError> {
        let now = self.clock.now();
        self.readers
            .read(move |conn| {
                // Each is a stretch of one index: a pass over all jobs takes eight times as long, and workers ask often.
                let mut statement = conn.prepare_cached(
                    "SELECT (SELECT count(*) FROM jobs WHERE kind = ?1 AND state = 'available' AND run_at <= ?2), \
                            (SELECT count(*) FROM jobs WHERE kind = ?1 AND state = 'available' AND run_at > ?2), \
                            (SELECT count(*) FROM jobs WHERE kind = ?1 AND state = 'running'), \
                            (SELECT count(*) FROM jobs WHERE kind = ?1 AND state = 'discarded'), \
                            (SELECT min(run_at) FROM jobs WHERE kind = ?1 AND state = 'available' AND run_at <= ?2)",
                )?;
                let mut of_kind = |kind: JobKind| {
                    statement.query_row(params![kind.name(), now.0], |row| {
                        let counts = JobCounts {
                            available: row.get(0)?,
                            scheduled: row.get(1)?,
                            running: row.get(2)?,
                            discarded: row.get(3)?,
                        };
                        let waits_since = row.get::<_, Option<i64>>(4)?.map(Timestamp);
                        Ok(Backlog { kind: Some(kind), counts, waits_since })
                    })
                };
                let all = JobKind::ALL.into_iter().map(&mut of_kind).collect::<Result<Vec<_>, _>>()?;
                Ok(all.into_iter().filter(|backlog| backlog.counts != JobCounts::default()).collect())
            })
            .await
    }

    async fn jobs(
        &self,
        state: Option<JobState>,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<Vec<JobSummary>, StoreError> {
        let after = after.and_then(|id| id.number()).unwrap_or(0);
        self.readers
            .read(move |conn| {
                let mut statement = conn.prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM jobs WHERE id > ?1 AND (?2 IS NULL OR state = ?2) ORDER BY id LIMIT ?3"
                ))?;
                let mut rows = statement.query(params![after, state.map(JobState::name), limit])?;
                collect(&mut rows, summary)
            })
            .await
    }

    async fn job(&self, id: &JobId) -> Result<Option<JobSummary>, StoreError> {
        let id = id.number();
        self.readers
            .read(move |conn| {
                let mut statement = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM jobs WHERE id = ?1"))?;
                let mut rows = statement.query([id])?;
                Ok(collect(&mut rows, summary)?.pop())
            })
            .await
    }

    async fn cancel(&self, id: &JobId) -> Result<bool, StoreError> {
        let id = id.number();
        self.writer
            .transaction(move |tx| {
                // The next token is nobody's: whoever holds the job has lost it.
                let cancelled = tx.execute(
                    "UPDATE jobs SET state = 'discarded', token = token + 1, lease_until = NULL, reason = 'cancelled' \
                     WHERE id = ?1 AND state <> 'discarded'",
                    [id],
                )?;
                Ok(cancelled > 0)
            })
            .await
    }

    async fn retry(&self, which: Discarded) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let (id, kind) = match &which {
            // No job bears the number 0.
            Discarded::One(id) => (Some(id.number().unwrap_or(0)), None),
            Discarded::Kind(kind) => (None, Some(kind.name())),
            Discarded::All => (None, None),
        };
        let retried = self
            .writer
            .transaction(move |tx| {
                Ok(tx.execute(
                    "UPDATE jobs SET state = 'available', attempts = 0, lost = 0, run_at = ?2, reason = NULL \
                     WHERE state = 'discarded' AND (?1 IS NULL OR id = ?1) AND (?3 IS NULL OR kind = ?3) AND NOT EXISTS \
                         (SELECT 1 FROM jobs w WHERE w.track_id = jobs.track_id AND w.space = jobs.space \
                          AND w.kind = jobs.kind AND w.state = 'available')",
                    params![id, now.0, kind],
                )?)
            })
            .await?;
        self.tell_workers();
        Ok(retried)
    }

    async fn failures(&self, space: &Space, ids: Vec<TrackId>) -> Result<Vec<(TrackId, String)>, StoreError> {
        let space = space.to_string();
        self.readers
            .read(move |conn| {
                let mut statement = conn.prepare_cached(
                    "SELECT track_id, coalesce(reason, '') FROM jobs WHERE state = 'discarded' AND space = ?1 \
                     AND track_id IN (SELECT value FROM rarray(?2)) ORDER BY id",
                )?;
                let mut rows = statement.query(params![space, id_array(&ids)])?;
                collect(&mut rows, |row| Ok((row::track_id(row.get(0)?)?, row.get(1)?)))
            })
            .await
    }
}

#[async_trait]
impl Reconcile for SqliteStore {
    async fn reconcile(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let made = self
            .writer
            .transaction(move |tx| {
                let mut made = 0;
                for space in super::spaces::wanted(tx)? {
                    let made_from = made_from(&space);
                    made += tx.execute(
                        &format!(
                            "INSERT INTO jobs (kind, track_id, space, priority, state, run_at, created_at) \
                             SELECT ?1, t.id, ?4, ?2, 'available', ?3, ?3 FROM tracks t \
                             LEFT JOIN track_vectors v ON v.track_id = t.id AND v.space = ?4 \
                             WHERE {made_from} IS NOT NULL AND v.content_hash IS NOT {made_from} \
                               AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.track_id = t.id AND j.space = ?4)"
                        ),
                        params![JobKind::of(&space).name(), Priority::Background.level(), now.0, space.to_string()],
                    )?;
                }
                Ok(made)
            })
            .await?;
        if made > 0 {
            self.tell_workers();
        }
        Ok(made)
    }
}

/// What vectors of this space are made of, as a column of the track `t`.
pub(super) fn made_from(space: &Space) -> &'static str {
    if space.is_sound() { "t.file_hash" } else { "t.content_hash" }
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
    release(tx, End::Lost, "lease_until < ?1", [now.0])?;
    let mut statement = tx.prepare_cached(&format!(
        "UPDATE jobs SET state = 'running', token = token + 1, lease_until = ?4 WHERE id IN \
             (SELECT id FROM jobs WHERE state = 'available' AND space = ?1 AND run_at <= ?2 \
              ORDER BY priority, id LIMIT ?3) \
         RETURNING {COLUMNS}"
    ))?;
    let mut rows = statement.query(params![space, now.0, limit, until.0])?;
    let mut leases = collect(&mut rows, |row| {
        let token = LeaseToken(row.get("token")?);
        Ok(Lease { job: summary(row)?.job, token, expires_at: until, lost: row.get("lost")? })
    })?;
    leases.sort_by_key(|lease| lease.job.id.number());
    Ok(leases)
}

/// Makes running jobs available again. One whose track has a newer job waiting is done with.
fn release<const N: usize>(tx: &Transaction<'_>, end: End, which: &str, values: [i64; N]) -> Result<usize, SqlError> {
    let lost = match end {
        End::Lost => 1,
        End::GivenBack => 0,
    };
    tx.prepare_cached(&format!(
        "DELETE FROM jobs WHERE state = 'running' AND {which} AND EXISTS \
             (SELECT 1 FROM jobs w WHERE w.track_id = jobs.track_id AND w.space = jobs.space AND w.kind = jobs.kind \
              AND (w.state = 'available' OR (w.state = 'running' AND w.id > jobs.id)))"
    ))?
    .execute(rusqlite::params_from_iter(values))?;
    let mut statement = tx.prepare_cached(&format!(
        "UPDATE jobs SET state = 'available', lease_until = NULL, lost = lost + {lost} WHERE state = 'running' AND {which}"
    ))?;
    Ok(statement.execute(rusqlite::params_from_iter(values))?)
}

/// Whether the lease is still held.
pub(super) fn is_held(tx: &Transaction<'_>, lease: &Lease) -> Result<bool, SqlError> {
    let mut statement = tx.prepare_cached("SELECT 1 FROM jobs WHERE id = ?1 AND token = ?2 AND state = 'running'")?;
    Ok(statement.query_row(params![lease.job.id.number(), lease.token.0], |_| Ok(())).optional()?.is_some())
}

fn summary(row: &Row<'_>) -> Result<JobSummary, SqlError> {
    let id: i64 = row.get("id")?;
    let corrupt = |column| StoreError::Corrupt { table: "jobs", row: id.to_string(), column };
    let (kind, space, state): (String, String, String) = (row.get("kind")?, row.get("space")?, row.get("state")?);
    Ok(JobSummary {
        job: Job {
            id: JobId::from(id),
            kind: JobKind::parse(&kind).ok_or_else(|| corrupt("kind"))?,
            track_id: row::track_id(row.get("track_id")?)?,
            space: Space::parse(&space).map_err(|_| corrupt("space"))?,
            attempts: Attempts { made: row.get("attempts")?, allowed: MAX_ATTEMPTS },
            told: None,
        },
        state: JobState::parse(&state).ok_or_else(|| corrupt("state"))?,
        priority: row.get("priority")?,
        run_at: Timestamp(row.get("run_at")?),
        reason: row.get("reason")?,
    })
}
