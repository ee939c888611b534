use async_trait::async_trait;
use rusqlite::{OptionalExtension, Transaction, params};
use soniquebay_domain::{Analyses, Analysis, AudioHash, ContentHash, Priority, StoreError, Timestamp, Track, TrackId};

use super::SqliteStore;
use super::error::SqlError;
use super::row::{self, TRACK_COLUMNS};
use super::{catalog, jobs, spaces};
use crate::counting::{Counting, asks_for};
use crate::{Duty, PAUSED};

#[async_trait]
impl Analyses for SqliteStore {
    async fn analysis_of(&self, audio: &AudioHash, revision: &str) -> Result<Option<(TrackId, Analysis)>, StoreError> {
        let (audio, revision) = (audio.to_string(), revision.to_owned());
        self.readers
            .read(move |conn| {
                let mut statement = conn.prepare_cached(&format!(
                    "SELECT {TRACK_COLUMNS} FROM tracks WHERE audio_hash = ?1 AND analysis_revision = ?2 \
                     ORDER BY id LIMIT 1"
                ))?;
                let mut rows = statement.query([audio, revision])?;
                let track = catalog::collect(&mut rows, row::track)?.pop();
                Ok(track.and_then(|track| Some((track.id, track.analysis?))))
            })
            .await
    }

    async fn keep_analyses(&self, analyses: Vec<(TrackId, Analysis)>) -> Result<Vec<Track>, StoreError> {
        let (now, duty) = (self.clock.now(), self.duty);
        let kept = self
            .writer
            .transaction(move |tx| {
                let mut kept = Vec::with_capacity(analyses.len());
                for (id, analysis) in &analyses {
                    keep(tx, *id, analysis, duty, now)?;
                    kept.extend(catalog::by_id(tx, *id)?);
                }
                Ok(kept)
            })
            .await?;
        self.tell_workers();
        Ok(kept)
    }

    async fn analysis_paused(&self) -> Result<bool, StoreError> {
        self.readers
            .read(|conn| {
                let mut statement = conn.prepare_cached("SELECT 1 FROM switches WHERE name = ?1")?;
                Ok(statement.query_row([PAUSED], |_| Ok(())).optional()?.is_some())
            })
            .await
    }

    async fn pause_analysis(&self, paused: bool) -> Result<(), StoreError> {
        let sql = match paused {
            true => "INSERT INTO switches (name) VALUES (?1) ON CONFLICT DO NOTHING",
            false => "DELETE FROM switches WHERE name = ?1",
        };
        self.writer.transaction(move |tx| Ok(tx.execute(sql, params![PAUSED]).map(drop)?)).await?;
        self.tell_workers();
        Ok(())
    }
}

/// Keeps what was found of a track whose file is still the one that was analysed, and queues the vectors that follow.
pub(super) fn keep(
    tx: &Transaction<'_>,
    id: TrackId,
    analysis: &Analysis,
    duty: Duty,
    now: Timestamp,
) -> Result<(), SqlError> {
    let Some(track) = catalog::by_id(tx, id)? else { return Ok(()) };
    let is_current = ContentHash::of_file(&track.fields.identity).as_ref() == Some(&analysis.file);
    if !is_current || track.analysis.as_ref() == Some(analysis) {
        return Ok(());
    }
    let counting = Counting::of(&track.fields, Some(analysis));
    row::write_track(tx, Some(id), &counting, Some(analysis), now)?;
    if duty == Duty::Queue {
        for space in spaces::wanted(tx)? {
            if asks_for(&space, Some(&track), &track.fields, &counting.content) {
                jobs::fill(tx, id, &space, Priority::Background, now)?;
            }
        }
    }
    Ok(())
}
