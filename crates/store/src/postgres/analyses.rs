use async_trait::async_trait;
use deadpool_postgres::Transaction;
use soniquebay_domain::{
    Analyses, Analysis, AudioHash, ContentHash, Priority, Space, StoreError, Timestamp, Track, TrackId,
};

use super::PostgresStore;
use super::connection::{execute, first, read, transaction};
use super::error::SqlError;
use super::row::{self, TRACK_COLUMNS};
use super::{catalog, jobs, spaces};
use crate::counting::{Counting, asks_for};
use crate::{Duty, PAUSED};

#[async_trait]
impl Analyses for PostgresStore {
    async fn analysis_of(&self, audio: &AudioHash, revision: &str) -> Result<Option<(TrackId, Analysis)>, StoreError> {
        read!(self.server, |client| async {
            let sql = format!(
                "SELECT {TRACK_COLUMNS} FROM tracks WHERE audio_hash = $1 AND analysis_revision = $2 ORDER BY id LIMIT 1"
            );
            let found = first(client, &sql, &[&audio.as_str(), &revision]).await?;
            let track = found.as_ref().map(row::track).transpose()?;
            Ok(track.and_then(|track| Some((track.id, track.analysis?))))
        })
    }

    async fn keep_analyses(&self, analyses: Vec<(TrackId, Analysis)>) -> Result<Vec<Track>, StoreError> {
        let (now, duty) = (self.clock.now(), self.duty);
        transaction!(self.server, |tx| async {
            catalog::lock(tx).await?;
            let wanted = wanted(tx, duty).await?;
            let mut kept = Vec::with_capacity(analyses.len());
            for (id, analysis) in &analyses {
                keep(tx, *id, analysis, &wanted, now).await?;
                kept.extend(catalog::by_id(tx, *id).await?);
            }
            Ok(kept)
        })
    }

    async fn analysis_paused(&self) -> Result<bool, StoreError> {
        read!(self.server, |client| async {
            Ok(first(client, "SELECT 1 FROM switches WHERE name = $1", &[&PAUSED]).await?.is_some())
        })
    }

    async fn pause_analysis(&self, paused: bool) -> Result<(), StoreError> {
        let sql = match paused {
            true => "INSERT INTO switches (name) VALUES ($1) ON CONFLICT DO NOTHING",
            false => "DELETE FROM switches WHERE name = $1",
        };
        transaction!(self.server, |tx| async { execute(tx, sql, &[&PAUSED]).await.map(drop) })
    }
}

/// The spaces whose vectors may have to be made anew after an analysis.
pub(super) async fn wanted(tx: &Transaction<'_>, duty: Duty) -> Result<Vec<Space>, SqlError> {
    if duty == Duty::Queue { spaces::wanted(tx).await } else { Ok(Vec::new()) }
}

/// Keeps what was found of a track whose file is still the one that was analysed, and queues the vectors that follow. Needs
/// [`catalog::lock`].
pub(super) async fn keep(
    tx: &Transaction<'_>,
    id: TrackId,
    analysis: &Analysis,
    wanted: &[Space],
    now: Timestamp,
) -> Result<(), SqlError> {
    let Some(track) = catalog::by_id(tx, id).await? else { return Ok(()) };
    let is_current = ContentHash::of_file(&track.fields.identity).as_ref() == Some(&analysis.file);
    if !is_current || track.analysis.as_ref() == Some(analysis) {
        return Ok(());
    }
    let counting = Counting::of(&track.fields, Some(analysis));
    row::write_track(tx, Some(id), &counting, Some(analysis), now).await?;
    for space in wanted.iter().filter(|space| asks_for(space, Some(&track), &track.fields, &counting.content)) {
        jobs::fill(tx, id, space, Priority::Background, now).await?;
    }
    Ok(())
}
