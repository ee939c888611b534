use std::sync::LazyLock;

use async_trait::async_trait;
use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use soniquebay_domain::{
    Applied, Catalog, CatalogCounts, FieldError, FileState, Fingerprint, Outcome, StoreError, Target, TextHit,
    Timestamp, Track, TrackFields, TrackId, TrackWrite, Tracks, WriteMode,
};

use super::error::SqlError;
use super::row::{self, TRACK_COLUMNS};
use super::{SqliteStore, jobs, text};
use crate::counting::{Counting, asks_for};
use crate::{Duty, SAME_DURATION, text_match};

#[async_trait]
impl Tracks for SqliteStore {
    async fn tracks(&self, ids: Vec<TrackId>) -> Result<Vec<Track>, StoreError> {
        self.readers.read(move |conn| by_ids(conn, &ids)).await
    }

    async fn fingerprints(&self, after: i64, limit: usize) -> Result<Vec<Fingerprint>, StoreError> {
        self.readers
            .read(move |conn| {
                let mut statement = conn.prepare_cached(
                    "SELECT id, content_hash, metadata_hash, file_hash FROM tracks WHERE id > ?1 ORDER BY id LIMIT ?2",
                )?;
                let mut rows = statement.query(params![after, limit])?;
                collect(&mut rows, |row| row::fingerprint(row, "tracks"))
            })
            .await
    }
}

#[async_trait]
impl Catalog for SqliteStore {
    async fn apply(&self, writes: Vec<TrackWrite>) -> Result<Vec<Applied>, StoreError> {
        let (now, duty) = (self.clock.now(), self.duty);
        let applied = self
            .writer
            .transaction(move |tx| {
                writes.iter().map(|write| apply(tx, write, duty, now)).collect::<Result<Vec<_>, _>>()
            })
            .await?;
        self.tell_workers();
        Ok(applied)
    }

    async fn remove(&self, ids: Vec<TrackId>, version: Option<i64>) -> Result<usize, StoreError> {
        self.writer.transaction(move |tx| remove(tx, &ids, version)).await
    }

    async fn page(&self, after: i64, skip: usize, limit: usize) -> Result<Vec<Track>, StoreError> {
        self.readers
            .read(move |conn| {
                let mut statement = conn.prepare_cached(&format!(
                    "SELECT {TRACK_COLUMNS} FROM tracks WHERE id > ?1 ORDER BY id LIMIT ?2 OFFSET ?3"
                ))?;
                let mut rows = statement.query(params![after, limit, skip])?;
                collect(&mut rows, row::track)
            })
            .await
    }

    async fn find_text(&self, words: String, limit: usize) -> Result<Vec<TextHit>, StoreError> {
        self.readers.read(move |conn| text::find(conn, &words, limit)).await
    }

    async fn files_below(&self, folder: String) -> Result<Vec<FileState>, StoreError> {
        self.readers
            .read(move |conn| {
                // "/" sorts right before "0": the paths below a folder are one stretch of the index.
                let folder = folder.trim_end_matches('/');
                let mut statement = conn.prepare_cached(
                    "SELECT id, path, file_size, file_mtime FROM tracks WHERE path >= ?1 AND path < ?2 ORDER BY path",
                )?;
                let mut rows = statement.query([format!("{folder}/"), format!("{folder}0")])?;
                collect(&mut rows, |row| {
                    Ok(FileState {
                        id: row::track_id(row.get(0)?)?,
                        path: row.get(1)?,
                        size: row.get(2)?,
                        mtime: row.get(3)?,
                    })
                })
            })
            .await
    }

    async fn without_file(&self, fields: TrackFields) -> Result<Option<TrackId>, StoreError> {
        self.readers.read(move |conn| recognise_by_name(conn, &fields, "path IS NULL")).await
    }

    async fn counts(&self) -> Result<CatalogCounts, StoreError> {
        self.readers
            .read(|conn| {
                Ok(conn.query_row(
                    // Artists in the order of their index: counted by any other expression, they would be sorted first.
                    "SELECT (SELECT count(*) FROM tracks), \
                            (SELECT count(*) FROM (SELECT DISTINCT artist_folded FROM tracks WHERE artist_folded > ''))",
                    [],
                    |row| Ok(CatalogCounts { tracks: row.get(0)?, artists: row.get(1)? }),
                )?)
            })
            .await
    }
}

/// Reads all rows by `read`.
pub(super) fn collect<T>(
    rows: &mut rusqlite::Rows<'_>,
    read: impl Fn(&rusqlite::Row<'_>) -> Result<T, SqlError>,
) -> Result<Vec<T>, SqlError> {
    let mut items = Vec::new();
    while let Some(row) = rows.next()? {
        items.push(read(row)?);
    }
    Ok(items)
}

/// The ids as a value that `rarray(?)` takes.
pub(super) fn id_array(ids: &[TrackId]) -> std::rc::Rc<Vec<SqlValue>> {
    std::rc::Rc::new(ids.iter().map(|id| SqlValue::Integer(id.get())).collect())
}

/// Removes tracks, of one version alone where it is named; what hangs on them goes with them.
pub(super) fn remove(tx: &Transaction<'_>, ids: &[TrackId], version: Option<i64>) -> Result<usize, SqlError> {
    let mut statement = tx.prepare_cached("DELETE FROM tracks WHERE id = ?1 AND version = coalesce(?2, version)")?;
    let mut removed = 0;
    for id in ids {
        removed += statement.execute(params![id.get(), version])?;
    }
    Ok(removed)
}

/// Keeps what a library elsewhere says of a track, under its id and version.
///
/// # Errors
/// [`StoreError::Outdated`] where a newer version is known.
pub(super) fn mirror(
    tx: &Transaction<'_>,
    id: TrackId,
    version: Option<i64>,
    fields: &TrackFields,
    now: Timestamp,
) -> Result<(), SqlError> {
    let known = by_id(tx, id)?;
    let newest = known.as_ref().map_or(0, |track| track.version);
    if version.is_some_and(|version| version < newest) {
        return Err(StoreError::Outdated(id).into());
    }
    let version = version.unwrap_or(newest.max(1));
    if known.is_some_and(|track| track.version == version && track.fields == *fields) {
        return Ok(());
    }
    if let Some(path) = &fields.identity.path {
        // Of two tracks that say they are one file, the one heard of last is right.
        tx.prepare_cached("UPDATE tracks SET path = NULL WHERE path = ?1 AND id <> ?2")?
            .execute(params![path, id.get()])?;
    }
    row::write_track(tx, Some(id), &Counting::of(fields, None), None, now)?;
    tx.prepare_cached("UPDATE tracks SET version = ?2 WHERE id = ?1")?.execute(params![id.get(), version])?;
    Ok(())
}

fn by_ids(conn: &Connection, ids: &[TrackId]) -> Result<Vec<Track>, SqlError> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    // Not `IN`, which would build a table of the ids first. The cross join reads them in order.
    static SQL: LazyLock<String> = LazyLock::new(|| {
        format!("SELECT {TRACK_COLUMNS} FROM rarray(?1) AS asked CROSS JOIN tracks ON tracks.id = asked.value")
    });
    let mut statement = conn.prepare_cached(&SQL)?;
    let mut rows = statement.query([id_array(&ids)])?;
    collect(&mut rows, row::track)
}

pub(super) fn by_id(conn: &Connection, id: TrackId) -> Result<Option<Track>, SqlError> {
    Ok(by_ids(conn, &[id])?.pop())
}

fn apply(tx: &Transaction<'_>, write: &TrackWrite, duty: Duty, now: Timestamp) -> Result<Applied, SqlError> {
    let patch = &write.patch;
    // What the writer says of the track, for recognising it; a patch that lacks a title may still name a known track.
    let described = patch.apply(&TrackFields::default());
    let known = match &write.target {
        Target::Existing { id, version } => {
            let Some(track) = by_id(tx, *id)? else { return Ok(Applied::Missing(*id)) };
            if version.is_some_and(|version| version != track.version) {
                return Ok(Applied::Outdated { id: *id, version: track.version });
            }
            Some(track)
        }
        Target::Recognised { id } => {
            let found = match id {
                Some(id) => by_id(tx, *id)?.map(|track| track.id),
                None => described.as_ref().map_or(Ok(None), |fields| recognise(tx, fields))?,
            };
            found.map_or(Ok(None), |id| by_id(tx, id))?
        }
        Target::File => match described.as_ref().ok().and_then(|fields| fields.identity.path.as_deref()) {
            Some(path) => by_path(tx, path)?.map_or(Ok(None), |id| by_id(tx, id))?,
            None => return Ok(Applied::Refused(FieldError::new("path", "missing: a file has a path"))),
        },
    };
    let before = match (&known, write.mode) {
        (Some(track), WriteMode::Merge) => track.fields.clone(),
        _ => TrackFields::default(),
    };
    let after = match patch.apply(&before) {
        Ok(fields) => fields,
        Err(error) => return Ok(Applied::Refused(error)),
    };
    if let Some(path) = &after.identity.path
        && let Some(owner) = by_path(tx, path)?
        && known.as_ref().is_none_or(|track| track.id != owner)
    {
        return Ok(Applied::Refused(FieldError::new("path", format!("is the file of track {owner} already"))));
    }
    if let Some(track) = &known
        && track.fields == after
    {
        return Ok(Applied::Done { id: track.id, outcome: Outcome::Unchanged });
    }
    let wanted_id = match &write.target {
        Target::Recognised { id } => *id,
        _ => None,
    };
    let analysis = known.as_ref().and_then(|track| track.analysis.as_ref());
    let counting = Counting::of(&after, analysis);
    let id = row::write_track(tx, known.as_ref().map(|track| track.id).or(wanted_id), &counting, analysis, now)?;
    if duty == Duty::Queue {
        for space in super::spaces::wanted(tx)? {
            if asks_for(&space, known.as_ref(), &after, &counting.content) {
                jobs::fill(tx, id, &space, write.priority, now)?;
            }
        }
    }
    let outcome = if known.is_some() { Outcome::Updated } else { Outcome::Created };
    Ok(Applied::Done { id, outcome })
}

fn by_path(conn: &Connection, path: &str) -> Result<Option<TrackId>, SqlError> {
    first(conn, "SELECT id FROM tracks WHERE path = ?1", path)
}

fn first(conn: &Connection, sql: &str, value: &str) -> Result<Option<TrackId>, SqlError> {
    let id: Option<i64> = conn.prepare_cached(sql)?.query_row([value], |row| row.get(0)).optional()?;
    id.map(row::track_id).transpose()
}

/// The track that these fields describe: by path, MusicBrainz id or ISRC, or folded names and duration.
fn recognise(conn: &Connection, fields: &TrackFields) -> Result<Option<TrackId>, SqlError> {
    if let Some(path) = &fields.identity.path
        && let Some(id) = by_path(conn, path)?
    {
        return Ok(Some(id));
    }
    // Another path is another copy of the recording, and a track of its own.
    let condition = if fields.identity.path.is_some() { "path IS NULL" } else { "TRUE" };
    recognise_by_name(conn, fields, condition)
}

fn recognise_by_name(
    conn: &Connection,
    fields: &TrackFields,
    condition: &'static str,
) -> Result<Option<TrackId>, SqlError> {
    for (column, value) in [("musicbrainz_id", &fields.identity.musicbrainz_id), ("isrc", &fields.identity.isrc)] {
        if let Some(value) = value {
            let sql = format!("SELECT id FROM tracks WHERE {column} = ?1 AND {condition} ORDER BY id LIMIT 1");
            if let Some(id) = first(conn, &sql, value)? {
                return Ok(Some(id));
            }
        }
    }
    let sql = format!(
        "SELECT id FROM tracks WHERE name_folded = ?1 AND {condition} \
         AND (?2 IS NULL OR duration IS NULL OR abs(duration - ?2) <= ?3) \
         AND (?4 IS NULL OR musicbrainz_id IS NULL) AND (?5 IS NULL OR isrc IS NULL) ORDER BY id LIMIT 1"
    );
    let id: Option<i64> = conn
        .prepare_cached(&sql)?
        .query_row(
            params![
                text_match::name(fields),
                fields.duration,
                SAME_DURATION,
                fields.identity.musicbrainz_id,
                fields.identity.isrc
            ],
            |row| row.get(0),
        )
        .optional()?;
    id.map(row::track_id).transpose()
}
