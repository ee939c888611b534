use std::sync::{MutexGuard, PoisonError};

use async_trait::async_trait;
use deadpool_postgres::{GenericClient, Transaction};
use futures_util::future::try_join_all;
use soniquebay_domain::{
    ContentHash, Fingerprint, Priority, Space, SpaceCoverage, SpaceSize, StoreError, StoredVector, Timestamp, TrackId,
    TrackState, VectorChanges, VectorStore, VectorWrite, Vectors,
};
use tokio_postgres::Row;

use super::connection::{execute, first, read, rows, transaction};
use super::error::SqlError;
use super::row::{self, Numbers, get, numbers_of};
use super::{PostgresStore, analyses, catalog, changes, jobs, spaces};
use crate::Duty;

/// Which transactions are seen: another text whenever one that writes has begun or ended since.
async fn snapshot(client: &impl GenericClient) -> Result<String, SqlError> {
    let seen = first(client, "SELECT pg_current_snapshot()::text", &[]).await?;
    Ok(seen.map(|row| row.try_get(0)).transpose()?.unwrap_or_default())
}

async fn coverage(client: &impl GenericClient) -> Result<Vec<SpaceCoverage>, SqlError> {
    let mut coverage = Vec::new();
    for (space, wanted) in spaces::all(client).await? {
        let made_from = jobs::made_from(&space);
        let sql = format!(
            "SELECT count(*) FILTER (WHERE v.content_hash IS NOT DISTINCT FROM {made_from}), \
                    count(*) FILTER (WHERE v.content_hash IS DISTINCT FROM {made_from}) \
             FROM track_vectors v JOIN tracks t ON t.id = v.track_id WHERE v.space = $1"
        );
        let row = client.query_one(&sql, &[&space.to_string()]).await?;
        let (ready, stale): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        coverage.push(SpaceCoverage { space, wanted, ready: ready.unsigned_abs(), stale: stale.unsigned_abs() });
    }
    Ok(coverage)
}

impl PostgresStore {
    fn counted(&self) -> MutexGuard<'_, Option<(String, Vec<SpaceCoverage>)>> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Vectors for PostgresStore {
    async fn put(&self, writes: Vec<VectorWrite>) -> Result<(), StoreError> {
        let (now, duty) = (self.clock.now(), self.duty);
        transaction!(self.server, |tx| async {
            if duty == Duty::Mirror {
                catalog::lock(tx).await?;
            }
            let mut known = Vec::new();
            for write in &writes {
                if !known.contains(&&write.space) {
                    spaces::ensure(tx, &write.space).await?;
                    known.push(&write.space);
                }
                if let (Duty::Mirror, Some(told)) = (duty, &write.told) {
                    catalog::mirror(tx, write.track_id, write.version, told, now).await?;
                }
            }
            match put(tx, &writes.iter().map(|write| (write, now)).collect::<Vec<_>>()).await? {
                Some(missing) => Err(StoreError::NoTrack(missing).into()),
                None => Ok(()),
            }
        })
    }

    async fn vectors(&self, space: &Space, ids: Vec<TrackId>) -> Result<Vec<StoredVector>, StoreError> {
        let ids = numbers_of(&ids);
        read!(self.server, |client| async {
            let sql = "SELECT * FROM track_vectors WHERE space = $1 AND track_id = ANY($2)";
            let found = rows(client, sql, &[&space.to_string(), &ids]).await?;
            found.iter().map(|row| stored(row, space)).collect()
        })
    }

    async fn vector_fingerprints(
        &self,
        space: &Space,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Fingerprint>, StoreError> {
        read!(self.server, |client| async {
            let sql = "SELECT track_id, content_hash, metadata_hash FROM track_vectors \
                     WHERE space = $1 AND track_id > $2 ORDER BY track_id LIMIT $3";
            let found = rows(client, sql, &[&space.to_string(), &after, &(limit as i64)]).await?;
            found.iter().map(|row| row::fingerprint(row, "track_vectors")).collect()
        })
    }

    async fn space_names(&self) -> Result<Vec<Space>, StoreError> {
        let all = read!(self.server, |client| spaces::all(client))?;
        Ok(all.into_iter().map(|(space, _)| space).collect())
    }

    async fn spaces(&self) -> Result<Vec<SpaceSize>, StoreError> {
        read!(self.server, |client| spaces::sizes(client))
    }

    async fn forget(&self, ids: Vec<TrackId>) -> Result<usize, StoreError> {
        if self.duty != Duty::Mirror {
            // A library's own tracks are gone when it says so: nobody's word from elsewhere removes them.
            return Ok(0);
        }
        transaction!(self.server, |tx| catalog::remove(tx, &ids, None))
    }
}

#[async_trait]
impl VectorStore for PostgresStore {
    async fn vector_page(
        &self,
        space: &Space,
        after: i64,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<StoredVector>, StoreError> {
        read!(self.server, |client| async {
            let sql =
                "SELECT * FROM track_vectors WHERE space = $1 AND track_id > $2 ORDER BY track_id LIMIT $3 OFFSET $4";
            let found = rows(client, sql, &[&space.to_string(), &after, &(limit as i64), &(skip as i64)]).await?;
            found.iter().map(|row| stored(row, space)).collect()
        })
    }

    /// Done again only where something was written since.
    async fn coverage(&self) -> Result<Vec<SpaceCoverage>, StoreError> {
        let seen = read!(self.server, |client| snapshot(client))?;
        if let Some((_, known)) = self.counted().as_ref().filter(|(of, _)| *of == seen) {
            return Ok(known.clone());
        }
        let coverage = read!(self.server, |client| coverage(client))?;
        // Nothing was written while it was counted, so that all of it is of one moment.
        if read!(self.server, |client| snapshot(client))? == seen {
            *self.counted() = Some((seen, coverage.clone()));
        }
        Ok(coverage)
    }

    async fn remove_vector(&self, space: &Space, id: TrackId) -> Result<bool, StoreError> {
        let (now, duty) = (self.clock.now(), self.duty);
        transaction!(self.server, |tx| async {
            let sql = "DELETE FROM track_vectors WHERE space = $1 AND track_id = $2";
            let removed = execute(tx, sql, &[&space.to_string(), &id.get()]).await? > 0;
            if removed && analyses::wanted(tx, duty).await?.contains(space) {
                let sql = format!("SELECT 1 FROM tracks t WHERE id = $1 AND {} IS NOT NULL", jobs::made_from(space));
                if first(tx, &sql, &[&id.get()]).await?.is_some() {
                    jobs::fill(tx, id, space, Priority::Normal, now).await?;
                }
            }
            Ok(removed)
        })
    }

    async fn drop_space(&self, space: &Space) -> Result<u64, StoreError> {
        transaction!(self.server, |tx| spaces::forget(tx, space))
    }

    async fn states(&self, space: &Space, ids: Vec<TrackId>) -> Result<Vec<(TrackId, TrackState)>, StoreError> {
        let ids = numbers_of(&ids);
        read!(self.server, |client| async {
            let made_from = jobs::made_from(space);
            let sql = format!(
                "SELECT t.id, \
                        CASE WHEN v.track_id IS NOT NULL THEN v.content_hash IS NOT DISTINCT FROM {made_from} END, \
                        (SELECT state || ':' || coalesce(reason, '') FROM jobs \
                         WHERE track_id = t.id AND space = $1 ORDER BY state = 'discarded', id DESC LIMIT 1) \
                     FROM tracks t LEFT JOIN track_vectors v ON v.track_id = t.id AND v.space = $1 \
                     WHERE t.id = ANY($2) AND (v.track_id IS NOT NULL OR {made_from} IS NOT NULL) ORDER BY t.id"
            );
            rows(client, &sql, &[&space.to_string(), &ids]).await?.iter().map(state).collect()
        })
    }

    async fn changes(&self, space: &Space, sequence: i64, limit: usize) -> Result<VectorChanges, StoreError> {
        let news = read!(self.server, |client| changes::news(client, space, sequence))?;
        if news.unnumbered {
            transaction!(self.server, |tx| changes::number(tx, space, limit))?;
        } else if !news.numbered {
            return Ok(VectorChanges::default());
        }
        read!(self.server, |client| changes::after(client, space, sequence, limit))
    }
}

/// Stores vectors, each with its moment, of tracks that are there; the first one that is not. What is copied of a track cannot change until the
/// end of the transaction.
pub(super) async fn put(
    tx: &Transaction<'_>,
    writes: &[(&VectorWrite, Timestamp)],
) -> Result<Option<TrackId>, SqlError> {
    if writes.is_empty() {
        return Ok(None);
    }
    let sql = "INSERT INTO track_vectors (track_id, space, vector, content_hash, metadata_hash, metadata, updated_at) \
         SELECT id, $2, $3, coalesce($4, CASE WHEN $2 LIKE 'sound/%' THEN file_hash END, content_hash), \
             metadata_hash, filter_metadata(tracks), $5 \
         FROM tracks WHERE id = $1 FOR SHARE \
         ON CONFLICT (space, track_id) DO UPDATE SET vector = excluded.vector, content_hash = excluded.content_hash, \
             metadata_hash = excluded.metadata_hash, metadata = excluded.metadata, updated_at = excluded.updated_at";
    let statement = tx.prepare_cached(sql).await?;
    // One order for all: two that write the same tracks do not wait for each other in a circle.
    let mut places: Vec<usize> = (0..writes.len()).collect();
    places.sort_by_key(|place| writes[*place].0.track_id);
    let statement = &statement;
    // Sent one behind the other, answered together.
    let stored = try_join_all(places.iter().map(|place| async move {
        let (write, now) = writes[*place];
        let (space, vector) = (write.space.to_string(), Numbers(write.vector.as_slice().to_vec()));
        let hash = write.content_hash.as_ref().map(ContentHash::as_str);
        tx.execute(statement, &[&write.track_id.get(), &space, &vector, &hash, &now.0]).await
    }))
    .await?;
    let missing = places.iter().zip(stored).filter(|(_, stored)| *stored == 0).map(|(place, _)| *place).min();
    Ok(missing.map(|place| writes[place].0.track_id))
}

fn stored(row: &Row, space: &Space) -> Result<StoredVector, SqlError> {
    let print = row::fingerprint(row, "track_vectors")?;
    Ok(StoredVector {
        track_id: print.track_id,
        space: space.clone(),
        vector: row::vector(row)?,
        content_hash: print.content_hash,
        metadata_hash: print.metadata_hash,
        updated_at: Timestamp(get(row, "updated_at")?),
    })
}

fn state(row: &Row) -> Result<(TrackId, TrackState), SqlError> {
    let (current, job): (Option<bool>, Option<String>) = (row.try_get(1)?, row.try_get(2)?);
    let failed = job.as_deref().and_then(|job| job.strip_prefix("discarded:"));
    let state = match (current, failed) {
        (Some(true), _) => TrackState::Ready,
        (_, Some(reason)) => TrackState::Failed { reason: reason.to_owned() },
        (Some(false), None) => TrackState::Stale,
        (None, None) => TrackState::Pending,
    };
    Ok((row::track_id(row.try_get(0)?)?, state))
}
