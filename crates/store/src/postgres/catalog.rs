use async_trait::async_trait;
use deadpool_postgres::{GenericClient, Transaction};
use soniquebay_domain::{
    Applied, Catalog, CatalogCounts, FieldError, FileState, Fingerprint, Outcome, Space, StoreError, Target, TextHit,
    Timestamp, Track, TrackFields, TrackId, TrackWrite, Tracks, WriteMode,
};

use super::connection::{execute, first, read, rows, transaction};
use super::error::SqlError;
use super::row::{self, TRACK_COLUMNS};
use super::{PostgresStore, analyses, jobs, text};
use crate::counting::{Counting, asks_for};
use crate::{SAME_DURATION, text_match};

/// Held by whoever writes tracks: a track is looked for before it is made, so that two who bring the same one at one time
/// must come one after the other.
const CATALOG_LOCK: i64 = 0x5362_6179_0003;

#[async_trait]
impl Tracks for PostgresStore {
    async fn tracks(&self, ids: Vec<TrackId>) -> Result<Vec<Track>, StoreError> {
        read!(self.server, |client| by_ids(client, &ids))
    }

    async fn fingerprints(&self, after: i64, limit: usize) -> Result<Vec<Fingerprint>, StoreError> {
        read!(self.server, |client| async {
            let sql =
                "SELECT id, content_hash, metadata_hash, file_hash FROM tracks WHERE id > $1 ORDER BY id LIMIT $2";
            let found = rows(client, sql, &[&after, &(limit as i64)]).await?;
            found.iter().map(|row| row::fingerprint(row, "tracks")).collect()
        })
    }
}

#[async_trait]
impl Catalog for PostgresStore {
    async fn apply(&self, writes: Vec<TrackWrite>) -> Result<Vec<Applied>, StoreError> {
        let (now, duty) = (self.clock.now(), self.duty);
        transaction!(self.server, |tx| async {
            lock(tx).await?;
            let spaces = analyses::wanted(tx, duty).await?;
            let mut applied = Vec::with_capacity(writes.len());
            for write in &writes {
                applied.push(apply(tx, write, &spaces, now).await?);
            }
            Ok(applied)
        })
    }

    async fn remove(&self, ids: Vec<TrackId>, version: Option<i64>) -> Result<usize, StoreError> {
        transaction!(self.server, |tx| remove(tx, &ids, version))
    }

    async fn page(&self, after: i64, skip: usize, limit: usize) -> Result<Vec<Track>, StoreError> {
        read!(self.server, |client| async {
            let sql = format!("SELECT {TRACK_COLUMNS} FROM tracks WHERE id > $1 ORDER BY id LIMIT $2 OFFSET $3");
            let found = rows(client, &sql, &[&after, &(limit as i64), &(skip as i64)]).await?;
            found.iter().map(row::track).collect()
        })
    }

    async fn find_text(&self, words: String, limit: usize) -> Result<Vec<TextHit>, StoreError> {
        read!(self.server, |client| text::find(client, &words, limit))
    }

    async fn files_below(&self, folder: String) -> Result<Vec<FileState>, StoreError> {
        let below = format!("{}/", folder.trim_end_matches('/'));
        if below.contains('\0') {
            return Ok(Vec::new());
        }
        read!(self.server, |client| async {
            let sql = "SELECT id, path, file_size, file_mtime FROM tracks WHERE path ^@ $1 ORDER BY path COLLATE \"C\"";
            let state = |row: &tokio_postgres::Row| {
                Ok(FileState {
                    id: row::track_id(row.try_get(0)?)?,
                    path: row.try_get(1)?,
                    size: row.try_get(2)?,
                    mtime: row.try_get(3)?,
                })
            };
            rows(client, sql, &[&below]).await?.iter().map(state).collect()
        })
    }

    async fn without_file(&self, fields: TrackFields) -> Result<Option<TrackId>, StoreError> {
        if row::refused(&fields).is_some() {
            return Ok(None);
        }
        read!(self.server, |client| recognise_by_name(client, &fields, "path IS NULL"))
    }

    async fn counts(&self) -> Result<CatalogCounts, StoreError> {
        read!(self.server, |client| async {
            let sql = "SELECT (SELECT count(*) FROM tracks), (SELECT count(*) FROM \
                     (SELECT DISTINCT artist_folded FROM tracks WHERE artist_folded <> '') AS artists)";
            let row = client.query_one(sql, &[]).await?;
            let count = |index| Ok::<_, SqlError>(row.try_get::<_, i64>(index)?.unsigned_abs());
            Ok(CatalogCounts { tracks: count(0)?, artists: count(1)? })
        })
    }
}

/// Waits for its turn to write tracks, until the end of the transaction.
pub(super) async fn lock(tx: &Transaction<'_>) -> Result<(), SqlError> {
    execute(tx, "SELECT pg_advisory_xact_lock($1)", &[&CATALOG_LOCK]).await.map(drop)
}

/// Removes tracks, of one version alone where it is named; what hangs on them goes with them.
pub(super) async fn remove(tx: &Transaction<'_>, ids: &[TrackId], version: Option<i64>) -> Result<usize, SqlError> {
    let sql = "DELETE FROM tracks WHERE id = ANY($1) AND version = coalesce($2, version)";
    let removed = execute(tx, sql, &[&row::numbers_of(ids), &version]).await?;
    Ok(usize::try_from(removed).unwrap_or(usize::MAX))
}

/// Keeps what a library elsewhere says of a track, under its id and version. Needs [`lock`].
///
/// # Errors
/// [`StoreError::Outdated`] where a newer version is known.
pub(super) async fn mirror(
    tx: &Transaction<'_>,
    id: TrackId,
    version: Option<i64>,
    fields: &TrackFields,
    now: Timestamp,
) -> Result<(), SqlError> {
    if let Some(error) = row::refused(fields) {
        return Err(StoreError::Unavailable(format!("track {id}: {error}")).into());
    }
    let known = by_id(tx, id).await?;
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
        execute(tx, "UPDATE tracks SET path = NULL WHERE path = $1 AND id <> $2", &[path, &id.get()]).await?;
    }
    row::reserve(tx, id).await?;
    row::write_track(tx, Some(id), &Counting::of(fields, None), None, now).await?;
    execute(tx, "UPDATE tracks SET version = $2 WHERE id = $1", &[&id.get(), &version]).await.map(drop)
}

async fn by_ids(client: &impl GenericClient, ids: &[TrackId]) -> Result<Vec<Track>, SqlError> {
    let sql = format!("SELECT {TRACK_COLUMNS} FROM tracks WHERE id = ANY($1)");
    rows(client, &sql, &[&row::numbers_of(ids)]).await?.iter().map(row::track).collect()
}

pub(super) async fn by_id(client: &impl GenericClient, id: TrackId) -> Result<Option<Track>, SqlError> {
    Ok(by_ids(client, &[id]).await?.pop())
}

async fn apply(
    tx: &Transaction<'_>,
    write: &TrackWrite,
    spaces: &[Space],
    now: Timestamp,
) -> Result<Applied, SqlError> {
    let patch = &write.patch;
    // What the writer says of the track, for recognising it; a patch that lacks a title may still name a known track.
    let described = patch.apply(&TrackFields::default());
    if let Some(error) = described.as_ref().ok().and_then(row::refused) {
        return Ok(Applied::Refused(error));
    }
    let known = match &write.target {
        Target::Existing { id, version } => {
            let Some(track) = by_id(tx, *id).await? else { return Ok(Applied::Missing(*id)) };
            if version.is_some_and(|version| version != track.version) {
                return Ok(Applied::Outdated { id: *id, version: track.version });
            }
            Some(track)
        }
        Target::Recognised { id: Some(id) } => by_id(tx, *id).await?,
        Target::Recognised { id: None } => match &described {
            Ok(fields) => match recognise(tx, fields).await? {
                Some(id) => by_id(tx, id).await?,
                None => None,
            },
            Err(_) => None,
        },
        Target::File => match described.as_ref().ok().and_then(|fields| fields.identity.path.as_deref()) {
            Some(path) => match by_path(tx, path).await? {
                Some(id) => by_id(tx, id).await?,
                None => None,
            },
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
    if let Some(error) = row::refused(&after) {
        return Ok(Applied::Refused(error));
    }
    if let Some(path) = &after.identity.path
        && let Some(owner) = by_path(tx, path).await?
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
    if let (None, Some(id)) = (&known, wanted_id) {
        row::reserve(tx, id).await?;
    }
    let analysis = known.as_ref().and_then(|track| track.analysis.as_ref());
    let counting = Counting::of(&after, analysis);
    let id = known.as_ref().map(|track| track.id).or(wanted_id);
    let id = row::write_track(tx, id, &counting, analysis, now).await?;
    for space in spaces.iter().filter(|space| asks_for(space, known.as_ref(), &after, &counting.content)) {
        jobs::fill(tx, id, space, write.priority, now).await?;
    }
    let outcome = if known.is_some() { Outcome::Updated } else { Outcome::Created };
    Ok(Applied::Done { id, outcome })
}

async fn by_path(client: &impl GenericClient, path: &str) -> Result<Option<TrackId>, SqlError> {
    found(first(client, "SELECT id FROM tracks WHERE path = $1", &[&path]).await?)
}

fn found(row: Option<tokio_postgres::Row>) -> Result<Option<TrackId>, SqlError> {
    row.map(|row| row::track_id(row.try_get(0)?)).transpose()
}

/// The track that these fields describe: by path, MusicBrainz id or ISRC, or folded names and duration.
async fn recognise(client: &impl GenericClient, fields: &TrackFields) -> Result<Option<TrackId>, SqlError> {
    if let Some(path) = &fields.identity.path
        && let Some(id) = by_path(client, path).await?
    {
        return Ok(Some(id));
    }
    // Another path is another copy of the recording, and a track of its own.
    let condition = if fields.identity.path.is_some() { "path IS NULL" } else { "TRUE" };
    recognise_by_name(client, fields, condition).await
}

async fn recognise_by_name(
    client: &impl GenericClient,
    fields: &TrackFields,
    condition: &'static str,
) -> Result<Option<TrackId>, SqlError> {
    for (column, value) in [("musicbrainz_id", &fields.identity.musicbrainz_id), ("isrc", &fields.identity.isrc)] {
        if let Some(value) = value {
            let sql = format!("SELECT id FROM tracks WHERE {column} = $1 AND {condition} ORDER BY id LIMIT 1");
            if let Some(id) = found(first(client, &sql, &[value]).await?)? {
                return Ok(Some(id));
            }
        }
    }
    let sql = format!(
        "SELECT id FROM tracks WHERE name_folded = $1 AND {condition} \
         AND ($2::float8 IS NULL OR duration IS NULL OR abs(duration - $2) <= $3) \
         AND ($4::text IS NULL OR musicbrainz_id IS NULL) AND ($5::text IS NULL OR isrc IS NULL) ORDER BY id LIMIT 1"
    );
    let (name, identity) = (text_match::name(fields), &fields.identity);
    found(
        first(client, &sql, &[&name, &fields.duration, &SAME_DURATION, &identity.musicbrainz_id, &identity.isrc])
            .await?,
    )
}
