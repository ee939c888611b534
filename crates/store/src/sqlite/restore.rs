use async_trait::async_trait;
use rusqlite::params;
use soniquebay_domain::{JobSummary, StoreError, StoredVector, Track, VectorWrite};

use super::SqliteStore;
use super::{row, spaces, vectors};
use crate::counting::Counting;
use crate::transfer::Destination;

#[async_trait]
impl Destination for SqliteStore {
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
}
