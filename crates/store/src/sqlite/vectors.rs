use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use soniquebay_domain::{
    ContentHash, Fingerprint, MetadataHash, Priority, Space, SpaceCoverage, SpaceSize, StoreError, StoredVector,
    Timestamp, TrackId, TrackState, VectorChanges, VectorStore, VectorWrite, Vectors,
};

use super::catalog::{collect, id_array};
use super::error::SqlError;
use super::row::{self, FACT_COLUMNS};
use super::{SqliteStore, catalog, jobs, spaces};
use crate::{Duty, numbers};

#[async_trait]
impl Vectors for SqliteStore {
    async fn put(&self, writes: Vec<VectorWrite>) -> Result<(), StoreError> {
        let (now, duty) = (self.clock.now(), self.duty);
        self.writer
            .transaction(move |tx| {
                for write in &writes {
                    spaces::ensure(tx, &write.space)?;
                    if let (Duty::Mirror, Some(told)) = (duty, &write.told) {
                        catalog::mirror(tx, write.track_id, write.version, told, now)?;
                    }
                    if !put(tx, write, now)? {
                        return Err(StoreError::NoTrack(write.track_id).into());
                    }
                }
                Ok(())
            })
            .await
    }

    async fn vectors(&self, space: &Space, ids: Vec<TrackId>) -> Result<Vec<StoredVector>, StoreError> {
        let space = space.clone();
        self.readers
            .read(move |conn| {
                let mut statement = conn.prepare_cached(
                    "SELECT track_id, vector, content_hash, metadata_hash, updated_at FROM track_vectors \
                     WHERE space = ?1 AND track_id IN (SELECT value FROM rarray(?2))",
                )?;
                let mut rows = statement.query(params![space.to_string(), id_array(&ids)])?;
                collect(&mut rows, |row| stored(row, &space))
            })
            .await
    }

    async fn space_names(&self) -> Result<Vec<Space>, StoreError> {
        let all = self.readers.read(spaces::all).await?;
        Ok(all.into_iter().map(|(space, _)| space).collect())
    }

    async fn spaces(&self) -> Result<Vec<SpaceSize>, StoreError> {
        self.readers.read(spaces::sizes).await
    }

    async fn vector_fingerprints(
        &self,
        space: &Space,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Fingerprint>, StoreError> {
        let space = space.to_string();
        self.readers
            .read(move |conn| {
                let mut statement = conn.prepare_cached(
                    "SELECT track_id, content_hash, metadata_hash FROM track_vectors \
                     WHERE space = ?1 AND track_id > ?2 ORDER BY track_id LIMIT ?3",
                )?;
                let mut rows = statement.query(params![space, after, limit])?;
                collect(&mut rows, |row| row::fingerprint(row, "track_vectors"))
            })
            .await
    }

    async fn forget(&self, ids: Vec<TrackId>) -> Result<usize, StoreError> {
        if self.duty != Duty::Mirror {
            // A library's own tracks are gone when it says so: nobody's word from elsewhere removes them.
            return Ok(0);
        }
        self.writer.transaction(move |tx| catalog::remove(tx, &ids, None)).await
    }
}

#[async_trait]
impl VectorStore for SqliteStore {
    async fn vector_page(
        &self,
        space: &Space,
        after: i64,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<StoredVector>, StoreError> {
        let space = space.clone();
        self.readers
            .read(move |conn| {
                let mut statement = conn.prepare_cached(
                    "SELECT track_id, vector, content_hash, metadata_hash, updated_at FROM track_vectors \
                     WHERE space = ?1 AND track_id > ?2 ORDER BY track_id LIMIT ?3 OFFSET ?4",
                )?;
                let mut rows = statement.query(params![space.to_string(), after, limit, skip])?;
                collect(&mut rows, |row| stored(row, &space))
            })
            .await
    }

    /// Done again only where something was written since.
    async fn coverage(&self) -> Result<Vec<SpaceCoverage>, StoreError> {
        let counted = Arc::clone(&self.counted);
        self.watcher
            .read(move |conn| {
                // Opens the snapshot that both are read from.
                conn.query_row("SELECT count(*) FROM spaces", [], |_| Ok(()))?;
                // Changes with each write of any other connection, and this one writes nothing.
                let version: i64 = conn.pragma_query_value(None, "data_version", |row| row.get(0))?;
                let mut counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some((_, known)) = counted.as_ref().filter(|(of, _)| *of == version) {
                    return Ok(known.clone());
                }
                let coverage = coverage(conn)?;
                *counted = Some((version, coverage.clone()));
                Ok(coverage)
            })
            .await
    }

    async fn remove_vector(&self, space: &Space, id: TrackId) -> Result<bool, StoreError> {
        let (space, now, duty) = (space.clone(), self.clock.now(), self.duty);
        let removed = self
            .writer
            .transaction(move |tx| {
                let removed = tx.execute(
                    "DELETE FROM track_vectors WHERE space = ?1 AND track_id = ?2",
                    params![space.to_string(), id.get()],
                )?;
                if removed > 0 && duty == Duty::Queue && spaces::wanted(tx)?.contains(&space) {
                    let made_from = jobs::made_from(&space);
                    let sql =
                        format!("SELECT EXISTS (SELECT 1 FROM tracks t WHERE id = ?1 AND {made_from} IS NOT NULL)");
                    if tx.query_row(&sql, [id.get()], |row| row.get(0))? {
                        jobs::fill(tx, id, &space, Priority::Normal, now)?;
                    }
                }
                Ok(removed > 0)
            })
            .await?;
        self.tell_workers();
        Ok(removed)
    }

    async fn drop_space(&self, space: &Space) -> Result<u64, StoreError> {
        let space = space.clone();
        self.writer.transaction(move |tx| spaces::forget(tx, &space)).await
    }

    async fn states(&self, space: &Space, ids: Vec<TrackId>) -> Result<Vec<(TrackId, TrackState)>, StoreError> {
        let space = space.clone();
        self.readers.read(move |conn| states(conn, &space, &ids)).await
    }

    async fn changes(&self, space: &Space, sequence: i64, limit: usize) -> Result<VectorChanges, StoreError> {
        let space = space.to_string();
        self.readers.read(move |conn| changes(conn, &space, sequence, limit)).await
    }
}

fn coverage(conn: &Connection) -> Result<Vec<SpaceCoverage>, SqlError> {
    let mut coverage = Vec::new();
    for (space, wanted) in spaces::all(conn)? {
        let made_from = jobs::made_from(&space);
        let (ready, stale) = conn.query_row(
            &format!(
                "SELECT count(*) FILTER (WHERE v.content_hash IS {made_from}), \
                        count(*) FILTER (WHERE v.content_hash IS NOT {made_from}) \
                 FROM track_vectors v JOIN tracks t ON t.id = v.track_id WHERE v.space = ?1"
            ),
            [space.to_string()],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        coverage.push(SpaceCoverage { space, wanted, ready, stale });
    }
    Ok(coverage)
}

/// Stores a vector; whether its track is there.
pub(super) fn put(tx: &Transaction<'_>, write: &VectorWrite, now: Timestamp) -> Result<bool, SqlError> {
    let rows = tx
        .prepare_cached(&format!(
            "INSERT INTO track_vectors (track_id, space, vector, content_hash, metadata_hash, metadata, updated_at) \
             SELECT id, ?2, ?3, coalesce(?4, {}, content_hash), metadata_hash, \
                    json_object('title', title, 'artist', artist, 'album', album, 'genre', genre, \
                                'year', year, 'bpm', bpm, 'duration', duration), ?5 \
             FROM tracks t WHERE id = ?1 \
             ON CONFLICT (track_id, space) DO UPDATE SET vector = excluded.vector, \
                    content_hash = excluded.content_hash, metadata_hash = excluded.metadata_hash, \
                    metadata = excluded.metadata, updated_at = excluded.updated_at",
            jobs::made_from(&write.space)
        ))?
        .execute(params![
            write.track_id.get(),
            write.space.to_string(),
            numbers::write(write.vector.as_slice()),
            write.content_hash.as_ref().map(ContentHash::as_str),
            now.0
        ])?;
    Ok(rows > 0)
}

fn stored(row: &rusqlite::Row<'_>, space: &Space) -> Result<StoredVector, SqlError> {
    let track_id = row::track_id(row.get("track_id")?)?;
    let corrupt = |column| StoreError::Corrupt { table: "track_vectors", row: track_id.to_string(), column };
    let content_hash: String = row.get("content_hash")?;
    let metadata_hash: String = row.get("metadata_hash")?;
    Ok(StoredVector {
        track_id,
        space: space.clone(),
        vector: row::vector(row, "vector")?,
        content_hash: ContentHash::parse(&content_hash).ok_or_else(|| corrupt("content_hash"))?,
        metadata_hash: MetadataHash::parse(&metadata_hash).ok_or_else(|| corrupt("metadata_hash"))?,
        updated_at: Timestamp(row.get("updated_at")?),
    })
}

fn states(conn: &Connection, space: &Space, ids: &[TrackId]) -> Result<Vec<(TrackId, TrackState)>, SqlError> {
    let made_from = jobs::made_from(space);
    let mut statement = conn.prepare_cached(&format!(
        "SELECT t.id, CASE WHEN v.track_id IS NOT NULL THEN v.content_hash IS {made_from} END, \
                (SELECT state || ':' || coalesce(reason, '') FROM jobs \
                 WHERE track_id = t.id AND space = ?1 ORDER BY state = 'discarded', id DESC LIMIT 1) \
         FROM tracks t LEFT JOIN track_vectors v ON v.track_id = t.id AND v.space = ?1 \
         WHERE t.id IN (SELECT value FROM rarray(?2)) AND (v.track_id IS NOT NULL OR {made_from} IS NOT NULL) \
         ORDER BY t.id",
    ))?;
    let mut rows = statement.query(params![space.to_string(), id_array(ids)])?;
    collect(&mut rows, |row| {
        let current: Option<bool> = row.get(1)?;
        let job: Option<String> = row.get(2)?;
        let failed = job.as_deref().and_then(|job| job.strip_prefix("discarded:"));
        let state = match (current, failed) {
            (Some(true), _) => TrackState::Ready,
            (_, Some(reason)) => TrackState::Failed { reason: reason.to_owned() },
            (Some(false), None) => TrackState::Stale,
            (None, None) => TrackState::Pending,
        };
        Ok((row::track_id(row.get(0)?)?, state))
    })
}

fn changes(conn: &Connection, space: &str, sequence: i64, limit: usize) -> Result<VectorChanges, SqlError> {
    // The usual answer is "nothing new": found out without the joins.
    let newest: Option<i64> = conn
        .prepare_cached("SELECT sequence FROM vector_changes WHERE space = ?1 ORDER BY sequence DESC LIMIT 1")?
        .query_row([space], |row| row.get(0))
        .optional()?;
    if newest.is_none_or(|newest| newest <= sequence) {
        return Ok(VectorChanges::default());
    }
    let mut statement = conn.prepare_cached(&format!(
        "SELECT sequence, vector_changes.track_id AS track_id, tracks.id, vector, {FACT_COLUMNS} FROM vector_changes \
         LEFT JOIN track_vectors ON track_vectors.track_id = vector_changes.track_id \
             AND track_vectors.space = vector_changes.space \
         LEFT JOIN tracks ON tracks.id = track_vectors.track_id \
         WHERE vector_changes.space = ?1 AND sequence > ?2 ORDER BY sequence LIMIT ?3"
    ))?;
    let mut rows = statement.query(params![space, sequence, limit])?;
    let mut changes = VectorChanges::default();
    while let Some(row) = rows.next()? {
        let (sequence, track_id) = (row.get(0)?, row::track_id(row.get(1)?)?);
        if row.get::<_, Option<i64>>(2)?.is_none() {
            changes.removed(sequence, track_id);
            continue;
        }
        let corrupt = || StoreError::Corrupt { table: "track_vectors", row: track_id.to_string(), column: "vector" };
        let numbers = numbers::of(row::blob(row, 3)?).ok_or_else(corrupt)?;
        changes.stored(sequence, track_id, numbers, row::facts(row, 4)?).map_err(|_| corrupt())?;
    }
    Ok(changes)
}
