use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use soniquebay_domain::{JobSummary, StoreError, StoredKey, StoredVector, Track, VectorWrite};

use super::SqliteStore;
use super::error::SqlError;
use super::{row, spaces, vec0, vectors};
use crate::counting::Counting;
use crate::transfer::{Begun, Portable};

/// Where the library that is being moved into this file comes from; `None` where it is whole.
pub(super) fn unfinished(conn: &Connection) -> Result<Option<String>, SqlError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'unfinished_move')";
    if !conn.query_row(sql, [], |row| row.get(0))? {
        return Ok(None);
    }
    Ok(conn.query_row("SELECT source FROM unfinished_move", [], |row| row.get(0)).optional()?)
}

#[async_trait]
impl Portable for SqliteStore {
    fn address(&self) -> String {
        self.path.display().to_string()
    }

    async fn last_track_id(&self) -> Result<i64, StoreError> {
        let sql = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'tracks'), 0)";
        self.readers.read(move |conn| Ok(conn.query_row(sql, [], |row| row.get(0))?)).await
    }

    async fn begin_move(&self, source: &str) -> Result<Begun, StoreError> {
        let source = source.to_owned();
        self.writer
            .transaction(move |tx| {
                if let Some(begun) = unfinished(tx)? {
                    return Ok(if begun == source { Begun::Again } else { Begun::FromElsewhere(begun) });
                }
                let tracks: u64 = tx.query_row("SELECT count(*) FROM tracks", [], |row| row.get(0))?;
                if tracks > 0 {
                    return Ok(Begun::Occupied(tracks));
                }
                tx.execute_batch("CREATE TABLE unfinished_move (source TEXT NOT NULL) STRICT")?;
                tx.execute("INSERT INTO unfinished_move VALUES (?1)", [source])?;
                Ok(Begun::Anew)
            })
            .await
    }

    async fn end_move(&self, last_track_id: i64) -> Result<(), StoreError> {
        self.writer
            .transaction(move |tx| {
                // A sequence has no row before its first use.
                tx.execute(
                    "INSERT INTO sqlite_sequence (name, seq) SELECT 'tracks', 0 \
                     WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'tracks')",
                    [],
                )?;
                tx.execute("UPDATE sqlite_sequence SET seq = max(seq, ?1) WHERE name = 'tracks'", [last_track_id])?;
                Ok(tx.execute_batch("DROP TABLE IF EXISTS unfinished_move")?)
            })
            .await
    }

    async fn clear(&self) -> Result<(), StoreError> {
        self.writer
            .transaction(|tx| {
                for table in spaces::vec0_tables(tx)? {
                    vec0::drop(tx, &table.name)?;
                }
                Ok(tx.execute_batch(
                    "DELETE FROM jobs; DELETE FROM track_vectors; DELETE FROM spaces; DELETE FROM tracks; \
                     DELETE FROM vector_changes; DELETE FROM keys; DROP TABLE IF EXISTS unfinished_move",
                )?)
            })
            .await
    }

    async fn clear_jobs(&self) -> Result<(), StoreError> {
        self.writer.transaction(|tx| Ok(tx.execute_batch("DELETE FROM jobs")?)).await
    }

    async fn restore_tracks(&self, tracks: Vec<Track>) -> Result<(), StoreError> {
        self.writer
            .transaction(move |tx| {
                for track in &tracks {
                    let Track { id, version, fields, analysis, created_at, updated_at, .. } = track;
                    let (content, metadata) = (track.content_hash.clone(), track.metadata_hash.clone());
                    let counting = Counting { content, metadata, ..Counting::of(fields, analysis.as_ref()) };
                    row::write_track(tx, Some(*id), &counting, analysis.as_ref(), *created_at)?;
                    tx.prepare_cached(
                        "UPDATE tracks SET version = ?2, created_at = ?3, updated_at = ?4 WHERE id = ?1",
                    )?
                    .execute(params![id.get(), version, created_at.0, updated_at.0])?;
                }
                Ok(())
            })
            .await
    }

    async fn restore_vectors(&self, stored: Vec<StoredVector>) -> Result<(), StoreError> {
        self.writer
            .transaction(move |tx| {
                for StoredVector { track_id, space, vector, content_hash, updated_at, .. } in stored {
                    spaces::ensure(tx, &space)?;
                    let write = VectorWrite::new(track_id, space, vector, Some(content_hash));
                    if !vectors::put(tx, &write, updated_at)? {
                        return Err(StoreError::NoTrack(track_id).into());
                    }
                }
                Ok(())
            })
            .await
    }

    async fn restore_jobs(&self, jobs: Vec<JobSummary>) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.writer
            .transaction(move |tx| {
                for JobSummary { job, state, priority, run_at, reason } in jobs {
                    spaces::ensure(tx, &job.space)?;
                    tx.prepare_cached(
                        "INSERT OR REPLACE INTO jobs \
                             (id, kind, track_id, space, priority, state, attempts, run_at, reason, created_at) \
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                    )?
                    .execute(params![
                        job.id.number(),
                        job.kind.name(),
                        job.track_id.get(),
                        job.space.to_string(),
                        priority,
                        state.name(),
                        job.attempts.made,
                        run_at.0,
                        reason,
                        now.0
                    ])?;
                }
                Ok(())
            })
            .await
    }

    async fn restore_keys(&self, keys: Vec<StoredKey>) -> Result<(), StoreError> {
        self.writer
            .transaction(move |tx| {
                tx.execute("DELETE FROM keys", [])?;
                for StoredKey { name, hash, scope, created_at, revoked_at } in keys {
                    tx.execute(
                        "INSERT INTO keys (name, hash, scope, created_at, revoked_at) VALUES (?1, ?2, ?3, ?4, ?5)",
                        params![name, hash.0, scope.name(), created_at.0, revoked_at.map(|moment| moment.0)],
                    )?;
                }
                Ok(())
            })
            .await
    }
}
