use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use deadpool_postgres::Transaction;
use soniquebay_domain::{ContentHash, Lease, Setback, SettledJob, Settlement, StoreError, Timestamp, VectorWrite};

use super::PostgresStore;
use super::connection::{execute, rows, transaction};
use super::error::SqlError;
use super::{analyses, catalog, jobs, vectors};

#[async_trait]
impl Settlement for PostgresStore {
    async fn settle(&self, settled: Vec<SettledJob>) -> Result<usize, StoreError> {
        let (now, duty) = (self.clock.now(), self.duty);
        let is_heard = settled.iter().any(|job| job.analysis.is_some());
        let leases: Vec<Lease> = settled.iter().map(|job| job.lease.clone()).collect();
        transaction!(self.server, |tx| async {
            if is_heard {
                catalog::lock(tx).await?;
            }
            // Looked at inside the transaction: another worker may have claimed a job a moment ago.
            let held: HashSet<i64> = jobs::lock_held(tx, &leases).await?.into_iter().collect();
            let (mut finished, mut made) = (Vec::new(), Vec::new());
            for job in &settled {
                let Some(id) = job.lease.job.id.number().filter(|id| held.contains(id)) else { continue };
                match &job.result {
                    Ok(vector) => {
                        finished.push(id);
                        made.extend(vector);
                    }
                    Err(setback) => set_back(tx, id, setback, now).await?,
                }
            }
            let current = current(tx, made).await?;
            vectors::put(tx, &current.into_iter().map(|write| (write, now)).collect::<Vec<_>>()).await?;
            execute(tx, "DELETE FROM jobs WHERE id = ANY($1)", &[&finished]).await?;
            let wanted = if is_heard { analyses::wanted(tx, duty).await? } else { Vec::new() };
            for job in settled.iter().filter(|job| job.lease.job.id.number().is_some_and(|id| held.contains(&id))) {
                if let Some(analysis) = &job.analysis {
                    analyses::keep(tx, job.lease.job.track_id, analysis, &wanted, now).await?;
                }
            }
            Ok(held.len())
        })
    }
}

/// The vectors that were made from what their tracks are now. A track that changed while we worked has a second job, whose
/// vector is the right one. The tracks stay as they are until the end of the transaction.
async fn current<'a>(tx: &Transaction<'_>, made: Vec<&'a VectorWrite>) -> Result<Vec<&'a VectorWrite>, SqlError> {
    let ids: Vec<i64> = made.iter().map(|write| write.track_id.get()).collect();
    let sql = "SELECT id, content_hash, file_hash FROM tracks WHERE id = ANY($1) ORDER BY id FOR SHARE";
    let mut hashes = HashMap::new();
    for row in rows(tx, sql, &[&ids]).await? {
        let (content, file): (String, Option<String>) = (row.try_get(1)?, row.try_get(2)?);
        hashes.insert(row.try_get::<_, i64>(0)?, (content, file));
    }
    let is_current = |write: &&VectorWrite| {
        let (content, file) = hashes.get(&write.track_id.get()).map_or((None, None), |(c, f)| (Some(c), f.as_ref()));
        let now = if write.space.is_sound() { file } else { content };
        now.is_some() && now.map(String::as_str) == write.content_hash.as_ref().map(ContentHash::as_str)
    };
    Ok(made.into_iter().filter(is_current).collect())
}

async fn set_back(tx: &Transaction<'_>, id: i64, setback: &Setback, now: Timestamp) -> Result<(), SqlError> {
    let (state, attempts, run_at, reason) = match setback {
        Setback::Retry { delay, reason } => ("available", 1_i64, now.after(*delay), reason),
        Setback::Snooze { delay, reason } => ("available", 0, now.after(*delay), reason),
        Setback::Discard { reason } => ("discarded", 1, now, reason),
    };
    // A job that waits for the same track replaces this one: it is newer.
    let sql = "DELETE FROM jobs WHERE id = $1 AND EXISTS (SELECT 1 FROM jobs w WHERE w.track_id = jobs.track_id \
         AND w.space = jobs.space AND w.kind = jobs.kind AND w.state = 'available')";
    if execute(tx, sql, &[&id]).await? == 0 {
        let sql = "UPDATE jobs SET state = $2, attempts = attempts + $3, run_at = $4, reason = $5, lease_until = NULL, \
             lost = 0 WHERE id = $1";
        // What an embedding server says may hold anything.
        let reason = reason.replace('\0', "\u{fffd}");
        execute(tx, sql, &[&id, &state, &attempts, &run_at.0, &reason]).await?;
    }
    Ok(())
}
