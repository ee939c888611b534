use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::{GenericClient, Transaction};
use soniquebay_domain::{
    Attempts, Backlog, Discarded, Job, JobCounts, JobId, JobKind, JobQueue, JobState, JobSummary, Lease, LeaseToken,
    NewJob, Priority, Reconcile, Space, StoreError, Timestamp, TrackId,
};
use tokio_postgres::Row;

use super::connection::{execute, first, read, rows, transaction};
use super::error::SqlError;
use super::row::{get, numbers_of, track_id};
use super::{PostgresStore, spaces};
use crate::MAX_ATTEMPTS;

/// How often work is looked for while nothing is heard: a notification may be lost with its connection.
const POLL: Duration = Duration::from_secs(1);

const COLUMNS: &str = "jobs.id, jobs.kind, jobs.track_id, jobs.space, jobs.priority, jobs.state, jobs.attempts, jobs.run_at, \
     jobs.token, jobs.reason, jobs.lost";

/// Whether a claim ended without a word, or was given back.
#[derive(Clone, Copy)]
enum End {
    Lost,
    GivenBack,
}

/// What a change of a track asks for: its vector in a space.
pub(super) async fn fill(
    tx: &Transaction<'_>,
    id: TrackId,
    space: &Space,
    priority: Priority,
    now: Timestamp,
) -> Result<(), SqlError> {
    enqueue(tx, JobKind::of(space), id, &space.to_string(), priority, (now, now)).await.map(drop)
}

/// Makes a job, or leaves the one that waits already, raised to the higher of both priorities. An earlier failure is
/// forgotten. Whether it is new. None for a track that is gone.
async fn enqueue(
    tx: &Transaction<'_>,
    kind: JobKind,
    id: TrackId,
    space: &str,
    priority: Priority,
    (now, run_at): (Timestamp, Timestamp),
) -> Result<bool, SqlError> {
    let forget = "DELETE FROM jobs WHERE track_id = $1 AND space = $2 AND state = 'discarded'";
    execute(tx, forget, &[&id.get(), &space]).await?;
    // Inserted where xmax is none, else updated.
    let sql = "INSERT INTO jobs (kind, track_id, space, priority, state, run_at, created_at) \
         SELECT $1, id, $3, $4, 'available', $5, $6 FROM tracks WHERE id = $2 \
         ON CONFLICT (track_id, space, kind) WHERE state = 'available' DO UPDATE \
         SET priority = least(jobs.priority, excluded.priority), attempts = 0, lost = 0, \
             run_at = CASE WHEN jobs.attempts > 0 THEN excluded.run_at ELSE least(jobs.run_at, excluded.run_at) END \
         RETURNING xmax = 0";
    let made = first(tx, sql, &[&kind.name(), &id.get(), &space, &priority.level(), &run_at.0, &now.0]).await?;
    Ok(made.map(|row| row.try_get(0)).transpose()?.unwrap_or(false))
}

#[async_trait]
impl JobQueue for PostgresStore {
    async fn enqueue(&self, jobs: Vec<NewJob>) -> Result<usize, StoreError> {
        let now = self.clock.now();
        transaction!(self.server, |tx| async {
            let mut made = 0;
            for NewJob { kind, track_id, space, priority, delay, told: _ } in &jobs {
                spaces::ensure(tx, space).await?;
                let at = (now, now.after(*delay));
                made += usize::from(enqueue(tx, *kind, *track_id, &space.to_string(), *priority, at).await?);
            }
            Ok(made)
        })
    }

    async fn claim(&self, space: &Space, limit: usize, lease: Duration) -> Result<Vec<Lease>, StoreError> {
        let (now, space, limit) = (self.clock.now(), space.to_string(), limit as i64);
        // A look before the transaction: an idle worker asks often.
        if !read!(self.server, |client| claimable(client, &space, now))? {
            return Ok(Vec::new());
        }
        transaction!(self.server, |tx| claim(tx, &space, limit, now, now.after(lease)))
    }

    async fn extend(&self, leases: Vec<Lease>, by: Duration) -> Result<Vec<Lease>, StoreError> {
        let until = self.clock.now().after(by);
        let (ids, tokens) = names(&leases);
        let held = transaction!(self.server, |tx| async {
            let sql = "UPDATE jobs SET lease_until = $3 FROM unnest($1::bigint[], $2::bigint[]) AS held (id, token) \
                     WHERE jobs.id = held.id AND jobs.token = held.token AND state = 'running' RETURNING jobs.id";
            numbers(&rows(tx, sql, &[&ids, &tokens, &until.0]).await?)
        })?;
        let held: HashSet<i64> = held.into_iter().collect();
        let still = |lease: &Lease| lease.job.id.number().is_some_and(|id| held.contains(&id));
        Ok(leases.into_iter().filter(still).map(|lease| Lease { expires_at: until, ..lease }).collect())
    }

    async fn release(&self, leases: Vec<Lease>) -> Result<(), StoreError> {
        transaction!(self.server, |tx| async {
            let held = lock_held(tx, &leases).await?;
            release(tx, End::GivenBack, &held).await.map(drop)
        })
    }

    async fn wait(&self, at_most: Duration) {
        let _ = tokio::time::timeout(at_most.min(POLL), self.heard.jobs()).await;
    }

    async fn backlog(&self) -> Result<Vec<Backlog>, StoreError> {
        let now = self.clock.now();
        read!(self.server, |client| async {
            let sql = "SELECT kind, count(*) FILTER (WHERE state = 'available' AND run_at <= $1), \
                            count(*) FILTER (WHERE state = 'available' AND run_at > $1), \
                            count(*) FILTER (WHERE state = 'running'), \
                            count(*) FILTER (WHERE state = 'discarded'), \
                            min(run_at) FILTER (WHERE state = 'available' AND run_at <= $1) \
                       FROM jobs GROUP BY kind ORDER BY kind";
            let read = |row: &Row| {
                let count = |index: usize| Ok::<_, SqlError>(row.try_get::<_, i64>(index)?.unsigned_abs());
                let counts =
                    JobCounts { available: count(1)?, scheduled: count(2)?, running: count(3)?, discarded: count(4)? };
                let waits_since = row.try_get::<_, Option<i64>>(5)?.map(Timestamp);
                Ok(Backlog { kind: JobKind::parse(row.try_get(0)?), counts, waits_since })
            };
            rows(client, sql, &[&now.0]).await?.iter().map(read).collect()
        })
    }

    async fn jobs(
        &self,
        state: Option<JobState>,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<Vec<JobSummary>, StoreError> {
        let after = after.and_then(|id| id.number()).unwrap_or(0);
        read!(self.server, |client| async {
            let sql = format!(
                "SELECT {COLUMNS} FROM jobs WHERE id > $1 AND ($2::text IS NULL OR state = $2) ORDER BY id LIMIT $3"
            );
            let found = rows(client, &sql, &[&after, &state.map(JobState::name), &(limit as i64)]).await?;
            found.iter().map(summary).collect()
        })
    }

    async fn job(&self, id: &JobId) -> Result<Option<JobSummary>, StoreError> {
        let id = id.number();
        read!(self.server, |client| async {
            let sql = format!("SELECT {COLUMNS} FROM jobs WHERE id = $1");
            first(client, &sql, &[&id]).await?.as_ref().map(summary).transpose()
        })
    }

    async fn cancel(&self, id: &JobId) -> Result<bool, StoreError> {
        let id = id.number();
        transaction!(self.server, |tx| async {
            // The next token is nobody's: whoever holds the job has lost it.
            let sql = "UPDATE jobs SET state = 'discarded', token = token + 1, lease_until = NULL, \
                     reason = 'cancelled' WHERE id = $1 AND state <> 'discarded'";
            Ok(execute(tx, sql, &[&id]).await? > 0)
        })
    }

    async fn retry(&self, which: Discarded) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let (id, kind) = match &which {
            // No job bears the number 0.
            Discarded::One(id) => (Some(id.number().unwrap_or(0)), None),
            Discarded::Kind(kind) => (None, Some(kind.name())),
            Discarded::All => (None, None),
        };
        transaction!(self.server, |tx| async {
            // Of several that were given up for the same, the last is tried again.
            let sql = "UPDATE jobs SET state = 'available', attempts = 0, lost = 0, run_at = $2, reason = NULL \
                     WHERE state = 'discarded' AND ($1::bigint IS NULL OR id = $1) AND ($3::text IS NULL OR kind = $3) \
                     AND NOT EXISTS (SELECT 1 FROM jobs w WHERE w.track_id = jobs.track_id AND w.space = jobs.space \
                         AND w.kind = jobs.kind AND (w.state = 'available' OR (w.state = 'discarded' AND w.id > jobs.id)))";
            let retried = execute(tx, sql, &[&id, &now.0, &kind]).await?;
            Ok(usize::try_from(retried).unwrap_or(usize::MAX))
        })
    }

    async fn failures(&self, space: &Space, ids: Vec<TrackId>) -> Result<Vec<(TrackId, String)>, StoreError> {
        let (space, ids) = (space.to_string(), numbers_of(&ids));
        read!(self.server, |client| async {
            let sql = "SELECT track_id, coalesce(reason, '') FROM jobs \
                     WHERE state = 'discarded' AND space = $1 AND track_id = ANY($2) ORDER BY id";
            let found = rows(client, sql, &[&space, &ids]).await?;
            found.iter().map(|row| Ok((track_id(row.try_get(0)?)?, row.try_get(1)?))).collect()
        })
    }
}

#[async_trait]
impl Reconcile for PostgresStore {
    async fn reconcile(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        transaction!(self.server, |tx| async {
            let mut made = 0;
            for space in spaces::wanted(tx).await? {
                let made_from = made_from(&space);
                let sql = format!(
                    "INSERT INTO jobs (kind, track_id, space, priority, state, run_at, created_at) \
                     SELECT $1, t.id, $4, $2, 'available', $3, $3 FROM tracks t \
                     LEFT JOIN track_vectors v ON v.track_id = t.id AND v.space = $4 \
                     WHERE {made_from} IS NOT NULL AND v.content_hash IS DISTINCT FROM {made_from} \
                       AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.track_id = t.id AND j.space = $4) \
                     ON CONFLICT DO NOTHING"
                );
                let (kind, level) = (JobKind::of(&space).name(), Priority::Background.level());
                made += execute(tx, &sql, &[&kind, &level, &now.0, &space.to_string()]).await?;
            }
            Ok(usize::try_from(made).unwrap_or(usize::MAX))
        })
    }
}

/// What vectors of this space are made of, as a column of the track `t`.
pub(super) fn made_from(space: &Space) -> &'static str {
    if space.is_sound() { "t.file_hash" } else { "t.content_hash" }
}

async fn claimable(client: &impl GenericClient, space: &str, now: Timestamp) -> Result<bool, SqlError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM jobs WHERE state = 'available' AND space = $1 AND run_at <= $2) \
             OR EXISTS (SELECT 1 FROM jobs WHERE state = 'running' AND lease_until < $2)";
    let answer = first(client, sql, &[&space, &now.0]).await?;
    Ok(answer.map(|row| row.try_get(0)).transpose()?.unwrap_or(false))
}

/// Jobs that another worker claims at this moment are passed over, not waited for.
async fn claim(
    tx: &Transaction<'_>,
    space: &str,
    limit: i64,
    now: Timestamp,
    until: Timestamp,
) -> Result<Vec<Lease>, SqlError> {
    let ended = "SELECT id FROM jobs WHERE state = 'running' AND lease_until < $1 ORDER BY id FOR UPDATE SKIP LOCKED";
    let ended = numbers(&rows(tx, ended, &[&now.0]).await?)?;
    release(tx, End::Lost, &ended).await?;
    let sql = format!(
        "WITH due AS MATERIALIZED \
             (SELECT id FROM jobs WHERE state = 'available' AND space = $1 AND run_at <= $2 \
              ORDER BY priority, id LIMIT $3 FOR UPDATE SKIP LOCKED) \
         UPDATE jobs SET state = 'running', token = token + 1, lease_until = $4 FROM due WHERE jobs.id = due.id \
         RETURNING {COLUMNS}"
    );
    let lease = |row: &Row| {
        let lost: i64 = get(row, "lost")?;
        Ok::<_, SqlError>(Lease {
            job: summary(row)?.job,
            token: LeaseToken(get(row, "token")?),
            expires_at: until,
            lost: u32::try_from(lost).unwrap_or(u32::MAX),
        })
    };
    let claimed = rows(tx, &sql, &[&space, &now.0, &limit, &until.0]).await?;
    let mut leases = claimed.iter().map(lease).collect::<Result<Vec<_>, _>>()?;
    leases.sort_by_key(|lease| lease.job.id.number());
    Ok(leases)
}

/// Makes running jobs, which are locked, available again. One whose track has a newer job waiting is done with.
async fn release(tx: &Transaction<'_>, end: End, ids: &[i64]) -> Result<u64, SqlError> {
    if ids.is_empty() {
        return Ok(0);
    }
    let superseded = "DELETE FROM jobs WHERE id = ANY($1) AND EXISTS \
         (SELECT 1 FROM jobs w WHERE w.track_id = jobs.track_id AND w.space = jobs.space AND w.kind = jobs.kind \
          AND (w.state = 'available' OR (w.state = 'running' AND w.id > jobs.id)))";
    execute(tx, superseded, &[&ids]).await?;
    let lost: i64 = match end {
        End::Lost => 1,
        End::GivenBack => 0,
    };
    let sql = "UPDATE jobs SET state = 'available', lease_until = NULL, lost = lost + $2 WHERE id = ANY($1)";
    execute(tx, sql, &[&ids, &lost]).await
}

/// The jobs whose leases are still held; nobody else touches them until the end of the transaction.
pub(super) async fn lock_held(tx: &Transaction<'_>, leases: &[Lease]) -> Result<Vec<i64>, SqlError> {
    let (ids, tokens) = names(leases);
    let sql = "SELECT jobs.id FROM jobs JOIN unnest($1::bigint[], $2::bigint[]) AS held (id, token) \
         ON jobs.id = held.id AND jobs.token = held.token WHERE state = 'running' ORDER BY jobs.id FOR UPDATE OF jobs";
    numbers(&rows(tx, sql, &[&ids, &tokens]).await?)
}

fn names(leases: &[Lease]) -> (Vec<i64>, Vec<i64>) {
    leases.iter().filter_map(|lease| Some((lease.job.id.number()?, lease.token.0))).unzip()
}

fn numbers(rows: &[Row]) -> Result<Vec<i64>, SqlError> {
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

fn summary(row: &Row) -> Result<JobSummary, SqlError> {
    let id: i64 = get(row, "id")?;
    let corrupt = |column| StoreError::Corrupt { table: "jobs", row: id.to_string(), column };
    let (kind, space, state): (String, String, String) = (get(row, "kind")?, get(row, "space")?, get(row, "state")?);
    let made: i64 = get(row, "attempts")?;
    Ok(JobSummary {
        job: Job {
            id: JobId::from(id),
            kind: JobKind::parse(&kind).ok_or_else(|| corrupt("kind"))?,
            track_id: track_id(get(row, "track_id")?)?,
            space: Space::parse(&space).map_err(|_| corrupt("space"))?,
            attempts: Attempts { made: u32::try_from(made).map_err(|_| corrupt("attempts"))?, allowed: MAX_ATTEMPTS },
            told: None,
        },
        state: JobState::parse(&state).ok_or_else(|| corrupt("state"))?,
        priority: get(row, "priority")?,
        run_at: Timestamp(get(row, "run_at")?),
        reason: get(row, "reason")?,
    })
}
