use async_trait::async_trait;
use rusqlite::{OptionalExtension, Transaction, params};
use soniquebay_domain::{ContentHash, Lease, Setback, SettledJob, Settlement, StoreError, Timestamp, VectorWrite};

use super::SqliteStore;
use super::error::SqlError;
use super::{analyses, jobs, vectors};

#[async_trait]
impl Settlement for SqliteStore {
    async fn settle(&self, settled: Vec<SettledJob>) -> Result<usize, StoreError> {
        let (now, duty) = (self.clock.now(), self.duty);
        let is_heard = settled.iter().any(|job| job.analysis.is_some());
        let held = self
            .writer
            .transaction(move |tx| {
                let mut held = 0;
                for job in &settled {
                    // Checked inside the transaction: another worker may have claimed the job a moment ago.
                    if !jobs::is_held(tx, &job.lease)? {
                        continue;
                    }
                    held += 1;
                    match &job.result {
                        Ok(vector) => finish(tx, &job.lease, vector.as_ref(), now)?,
                        Err(setback) => set_back(tx, &job.lease, setback, now)?,
                    }
                    if let Some(analysis) = &job.analysis {
                        analyses::keep(tx, job.lease.job.track_id, analysis, duty, now)?;
                    }
                }
                Ok(held)
            })
            .await?;
        if is_heard {
            self.tell_workers();
        }
        Ok(held)
    }
}

fn finish(tx: &Transaction<'_>, lease: &Lease, vector: Option<&VectorWrite>, now: Timestamp) -> Result<(), SqlError> {
    if let Some(write) = vector {
        let sql = format!("SELECT {} FROM tracks t WHERE id = ?1", jobs::made_from(&write.space));
        let mut statement = tx.prepare_cached(&sql)?;
        let current: Option<Option<String>> =
            statement.query_row([write.track_id.get()], |row| row.get(0)).optional()?;
        // The track changed while we worked: its change made a second job, whose vector is the right one.
        if current.flatten().as_deref() == write.content_hash.as_ref().map(ContentHash::as_str) {
            vectors::put(tx, write, now)?;
        }
    }
    tx.prepare_cached("DELETE FROM jobs WHERE id = ?1")?.execute([lease.job.id.number()])?;
    Ok(())
}

fn set_back(tx: &Transaction<'_>, lease: &Lease, setback: &Setback, now: Timestamp) -> Result<(), SqlError> {
    let (state, attempts, run_at, reason) = match setback {
        Setback::Retry { delay, reason } => ("available", 1, now.after(*delay), reason),
        Setback::Snooze { delay, reason } => ("available", 0, now.after(*delay), reason),
        Setback::Discard { reason } => ("discarded", 1, now, reason),
    };
    // A job that waits for the same track replaces this one: it is newer.
    let superseded = tx
        .prepare_cached(
            "DELETE FROM jobs WHERE id = ?1 AND EXISTS (SELECT 1 FROM jobs w WHERE w.track_id = jobs.track_id \
             AND w.space = jobs.space AND w.kind = jobs.kind AND w.state = 'available')",
        )?
        .execute([lease.job.id.number()])?;
    if superseded == 0 {
        tx.prepare_cached(
            "UPDATE jobs SET state = ?2, attempts = attempts + ?3, run_at = ?4, reason = ?5, lease_until = NULL, lost = 0 \
             WHERE id = ?1",
        )?
        .execute(params![lease.job.id.number(), state, attempts, run_at.0, reason])?;
    }
    Ok(())
}
