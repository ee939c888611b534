use async_trait::async_trait;
use deadpool_postgres::{GenericClient, Transaction};
use soniquebay_domain::{JobSummary, StoreError, StoredKey, StoredVector, Timestamp, Track, TrackId, VectorWrite};

use super::PostgresStore;
use super::connection::{execute, first, read, transaction};
use super::error::SqlError;
use super::{hnsw, row, spaces, vectors};
use crate::counting::Counting;
use crate::transfer::{Begun, Portable};

/// Where the library that is being moved into this database comes from; `None` where it is whole.
pub(super) async fn unfinished(client: &impl GenericClient) -> Result<Option<String>, SqlError> {
    let sql = "SELECT to_regclass(format('%I.unfinished_move', current_schema())) IS NOT NULL";
    if !client.query_one(sql, &[]).await?.try_get::<_, bool>(0)? {
        return Ok(None);
    }
    let row = client.query_opt("SELECT source FROM unfinished_move", &[]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

async fn begin(tx: &Transaction<'_>, source: &str) -> Result<Begun, SqlError> {
    if let Some(begun) = unfinished(tx).await? {
        return Ok(if begun == source { Begun::Again } else { Begun::FromElsewhere(begun) });
    }
    let tracks: i64 = tx.query_one("SELECT count(*) FROM tracks", &[]).await?.try_get(0)?;
    if tracks > 0 {
        return Ok(Begun::Occupied(tracks.unsigned_abs()));
    }
    tx.batch_execute("CREATE TABLE unfinished_move (source TEXT NOT NULL)").await?;
    tx.execute("INSERT INTO unfinished_move VALUES ($1)", &[&source]).await?;
    Ok(Begun::Anew)
}

#[async_trait]
impl Portable for PostgresStore {
    fn address(&self) -> String {
        self.server.address().to_owned()
    }

    async fn last_track_id(&self) -> Result<i64, StoreError> {
        read!(self.server, |client| async {
            // A sequence that was never asked says 1 as well.
            let sql = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM tracks_id_seq";
            let found = first(client, sql, &[]).await?;
            Ok(found.map(|row| row.try_get(0)).transpose()?.unwrap_or(0))
        })
    }

    async fn begin_move(&self, source: &str) -> Result<Begun, StoreError> {
        transaction!(self.server, |tx| begin(tx, source))
    }

    async fn end_move(&self, last_track_id: i64) -> Result<(), StoreError> {
        transaction!(self.server, |tx| async {
            if let Some(id) = TrackId::new(last_track_id) {
                row::reserve(tx, id).await?;
            }
            Ok(tx.batch_execute("DROP TABLE IF EXISTS unfinished_move").await?)
        })
    }

    async fn clear(&self) -> Result<(), StoreError> {
        transaction!(self.server, |tx| async {
            for number in spaces::numbers(tx).await? {
                tx.batch_execute(&format!("DROP INDEX IF EXISTS {}", hnsw::name(number))).await?;
            }
            Ok(tx
                .batch_execute(
                    "TRUNCATE tracks, track_vectors, spaces, jobs, vector_changes, keys; DROP TABLE IF EXISTS unfinished_move",
                )
                .await?)
        })
    }

    async fn clear_jobs(&self) -> Result<(), StoreError> {
        transaction!(self.server, |tx| async { execute(tx, "DELETE FROM jobs", &[]).await.map(drop) })
    }

    async fn restore_tracks(&self, tracks: Vec<Track>) -> Result<(), StoreError> {
        if let Some((track, error)) = tracks.iter().find_map(|track| Some((track, row::refused(&track.fields)?))) {
            return Err(StoreError::Unavailable(format!("track {}: {error}", track.id)));
        }
        transaction!(self.server, |tx| async {
            for track in &tracks {
                let Track { id, version, fields, analysis, created_at, updated_at, .. } = track;
                let (content, metadata) = (track.content_hash.clone(), track.metadata_hash.clone());
                let counting = Counting { content, metadata, ..Counting::of(fields, analysis.as_ref()) };
                row::reserve(tx, *id).await?;
                row::write_track(tx, Some(*id), &counting, analysis.as_ref(), *created_at).await?;
                let sql = "UPDATE tracks SET version = $2, created_at = $3, updated_at = $4 WHERE id = $1";
                execute(tx, sql, &[&id.get(), version, &created_at.0, &updated_at.0]).await?;
            }
            Ok(())
        })
    }

    async fn restore_vectors(&self, stored: Vec<StoredVector>) -> Result<(), StoreError> {
        let written = |stored: StoredVector| {
            let StoredVector { track_id, space, vector, content_hash, updated_at, .. } = stored;
            (VectorWrite::new(track_id, space, vector, Some(content_hash)), updated_at)
        };
        let writes: Vec<(VectorWrite, Timestamp)> = stored.into_iter().map(written).collect();
        transaction!(self.server, |tx| async {
            let mut dated: Vec<(&VectorWrite, Timestamp)> = Vec::with_capacity(writes.len());
            for (write, moment) in &writes {
                if dated.last().is_none_or(|(before, _)| before.space != write.space) {
                    spaces::ensure(tx, &write.space).await?;
                }
                dated.push((write, *moment));
            }
            match vectors::put(tx, &dated).await? {
                Some(missing) => Err(StoreError::NoTrack(missing).into()),
                None => Ok(()),
            }
        })
    }

    async fn restore_jobs(&self, jobs: Vec<JobSummary>) -> Result<(), StoreError> {
        let now = self.clock.now();
        transaction!(self.server, |tx| async {
            for JobSummary { job, state, priority, run_at, reason } in &jobs {
                spaces::ensure(tx, &job.space).await?;
                let sql = "INSERT INTO jobs (id, kind, track_id, space, priority, state, attempts, run_at, reason, created_at) \
                     OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
                     ON CONFLICT (id) DO UPDATE SET state = excluded.state, attempts = excluded.attempts, \
                         run_at = excluded.run_at, reason = excluded.reason, priority = excluded.priority";
                let (id, space, made) = (job.id.number(), job.space.to_string(), i64::from(job.attempts.made));
                let (kind, reason) = (job.kind.name(), reason.as_ref().map(|reason| reason.replace('\0', "\u{fffd}")));
                let track = job.track_id.get();
                execute(
                    tx,
                    sql,
                    &[&id, &kind, &track, &space, priority, &state.name(), &made, &run_at.0, &reason, &now.0],
                )
                .await?;
            }
            let sql = "SELECT setval('jobs_id_seq', max(id)) FROM jobs HAVING max(id) >= (SELECT last_value FROM jobs_id_seq)";
            execute(tx, sql, &[]).await.map(drop)
        })
    }

    async fn restore_keys(&self, keys: Vec<StoredKey>) -> Result<(), StoreError> {
        transaction!(self.server, |tx| async {
            execute(tx, "DELETE FROM keys", &[]).await?;
            for StoredKey { name, hash, scope, created_at, revoked_at } in &keys {
                let sql = "INSERT INTO keys (name, hash, scope, created_at, revoked_at) VALUES ($1, $2, $3, $4, $5)";
                let (hash, revoked) = (hash.0.as_slice(), revoked_at.map(|moment| moment.0));
                execute(tx, sql, &[name, &hash, &scope.name(), &created_at.0, &revoked]).await?;
            }
            Ok(())
        })
    }
}
