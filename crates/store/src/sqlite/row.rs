//! Tracks and vectors to and from rows.

use rusqlite::types::{FromSql, ValueRef};
use rusqlite::{Row, RowIndex, Transaction, named_params};
use serde_json::{Map, Value};
use soniquebay_domain::{
    Analysis, ContentHash, Facts, Features, Fingerprint, Identity, MetadataHash, Mode, PitchClass, StoreError,
    Timestamp, Track, TrackFields, TrackId, Vector, fold,
};

use super::error::SqlError;
use crate::counting::{AnalysisColumns, Counting};
use crate::{counting, numbers, text_match};

/// All columns of a track, in the order in which [`track`] reads them.
pub(super) const TRACK_COLUMNS: &str = "tracks.id, version, tracks.content_hash, tracks.metadata_hash, created_at, \
     tracks.updated_at, title, artist, album, album_artist, genre, genre_tags, mood_tags, tags, year, duration, bpm, key, \
     mode, danceability, energy, valence, acousticness, instrumentalness, loudness, bitrate, path, file_size, file_mtime, \
     musicbrainz_id, isrc, extra, filled, audio_hash, analysis_revision, analyzed_file, measured";

fn corrupt(table: &'static str, row: &Row<'_>, column: &'static str) -> SqlError {
    let row = match row.get_ref("id").or_else(|_| row.get_ref("track_id")) {
        Ok(ValueRef::Integer(id)) => id.to_string(),
        _ => "?".into(),
    };
    StoreError::Corrupt { table, row, column }.into()
}

/// Reads a row's columns one by one: finding thirty of them by name takes longer than SQLite takes to find the row.
struct Columns<'a, 'b> {
    row: &'a Row<'b>,
    at: usize,
}

impl Columns<'_, '_> {
    fn next<T: FromSql>(&mut self) -> Result<T, SqlError> {
        self.at += 1;
        Ok(self.row.get(self.at - 1)?)
    }

    fn list(&mut self, column: &'static str) -> Result<Vec<String>, SqlError> {
        self.at += 1;
        list(self.row, self.at - 1, column)
    }
}

fn list(row: &Row<'_>, at: usize, column: &'static str) -> Result<Vec<String>, SqlError> {
    match row.get_ref(at)? {
        ValueRef::Text(b"[]") => Ok(Vec::new()),
        ValueRef::Text(json) => serde_json::from_slice(json).map_err(|_| corrupt("tracks", row, column)),
        _ => Err(corrupt("tracks", row, column)),
    }
}

pub(super) fn track_id(id: i64) -> Result<TrackId, SqlError> {
    TrackId::new(id).ok_or_else(|| StoreError::Corrupt { table: "tracks", row: id.to_string(), column: "id" }.into())
}

/// A track of a row that holds [`TRACK_COLUMNS`].
pub(super) fn track(row: &Row<'_>) -> Result<Track, SqlError> {
    let columns = &mut Columns { row, at: 0 };
    let (id, version) = (track_id(columns.next()?)?, columns.next()?);
    let (content_hash, metadata_hash): (String, String) = (columns.next()?, columns.next()?);
    Ok(Track {
        id,
        version,
        content_hash: ContentHash::parse(&content_hash).ok_or_else(|| corrupt("tracks", row, "content_hash"))?,
        metadata_hash: MetadataHash::parse(&metadata_hash).ok_or_else(|| corrupt("tracks", row, "metadata_hash"))?,
        created_at: Timestamp(columns.next()?),
        updated_at: Timestamp(columns.next()?),
        fields: fields(columns)?,
        analysis: analysis(columns)?,
    })
}

/// Rust evaluates the fields of a literal in the order in which they are written, which here is that of the columns.
fn fields(columns: &mut Columns<'_, '_>) -> Result<TrackFields, SqlError> {
    let counts = TrackFields {
        title: columns.next()?,
        artist: columns.next()?,
        album: columns.next()?,
        album_artist: columns.next()?,
        genre: columns.next()?,
        genre_tags: columns.list("genre_tags")?,
        mood_tags: columns.list("mood_tags")?,
        tags: columns.list("tags")?,
        year: columns.next()?,
        duration: columns.next()?,
        features: Features {
            bpm: columns.next()?,
            key: columns.next::<Option<i64>>()?.map(PitchClass::from_semitones),
            mode: columns.next::<Option<String>>()?.as_deref().and_then(Mode::parse),
            danceability: columns.next()?,
            energy: columns.next()?,
            valence: columns.next()?,
            acousticness: columns.next()?,
            instrumentalness: columns.next()?,
            loudness: columns.next()?,
        },
        bitrate: columns.next()?,
        identity: Identity {
            path: columns.next()?,
            file_size: columns.next()?,
            file_mtime: columns.next()?,
            musicbrainz_id: columns.next()?,
            isrc: columns.next()?,
        },
        extra: match columns.next::<String>()?.as_str() {
            "{}" => Map::new(),
            extra => match serde_json::from_str(extra) {
                Ok(Value::Object(extra)) => extra,
                _ => return Err(corrupt("tracks", columns.row, "extra")),
            },
        },
    };
    Ok(counting::tags(counts, &columns.next::<String>()?))
}

fn analysis(columns: &mut Columns<'_, '_>) -> Result<Option<Analysis>, SqlError> {
    let kept = AnalysisColumns {
        audio: columns.next()?,
        revision: columns.next()?,
        file: columns.next()?,
        measured: columns.next()?,
    };
    kept.read().map_err(|column| corrupt("tracks", columns.row, column))
}

/// The columns that [`facts`] reads, in its order: an index reads them of every track when it starts.
pub(super) const FACT_COLUMNS: &str =
    "artist, genre, genre_tags, mood_tags, tags, year, duration, bpm, key, mode, path";

/// The facts of a row that holds [`FACT_COLUMNS`] from column `first` on. By number and without the rest of the track: that
/// is a third of the time that a large library takes to load.
pub(super) fn facts(row: &Row<'_>, first: usize) -> Result<Facts, SqlError> {
    let text = |at: usize| -> Result<Option<String>, SqlError> { Ok(row.get(first + at)?) };
    let list = |at: usize, column: &'static str| list(row, first + at, column);
    let (key, mode): (Option<i64>, Option<String>) = (row.get(first + 8)?, row.get(first + 9)?);
    Ok(Facts::of(&TrackFields {
        artist: text(0)?,
        genre: text(1)?,
        genre_tags: list(2, "genre_tags")?,
        mood_tags: list(3, "mood_tags")?,
        tags: list(4, "tags")?,
        year: row.get(first + 5)?,
        duration: row.get(first + 6)?,
        features: Features {
            bpm: row.get(first + 7)?,
            key: key.map(PitchClass::from_semitones),
            mode: mode.as_deref().and_then(Mode::parse),
            ..Features::default()
        },
        identity: Identity { path: text(10)?, ..Identity::default() },
        ..TrackFields::default()
    }))
}

/// The id in the first column and the hashes.
pub(super) fn fingerprint(row: &Row<'_>, table: &'static str) -> Result<Fingerprint, SqlError> {
    let (content_hash, metadata_hash): (String, String) = (row.get("content_hash")?, row.get("metadata_hash")?);
    Ok(Fingerprint {
        track_id: track_id(row.get(0)?)?,
        content_hash: ContentHash::parse(&content_hash).ok_or_else(|| corrupt(table, row, "content_hash"))?,
        metadata_hash: MetadataHash::parse(&metadata_hash).ok_or_else(|| corrupt(table, row, "metadata_hash"))?,
        file_hash: match table {
            "tracks" => row.get::<_, Option<String>>("file_hash")?.as_deref().and_then(ContentHash::parse),
            _ => None,
        },
    })
}

/// The numbers of a blob of little-endian float32, in this column.
pub(super) fn vector(row: &Row<'_>, column: impl RowIndex) -> Result<Vector, SqlError> {
    let values = numbers::read(blob(row, column)?);
    values.and_then(|values| Vector::new(values).ok()).ok_or_else(|| corrupt("track_vectors", row, "vector"))
}

/// The bytes of a vector.
pub(super) fn blob<'a>(row: &'a Row<'_>, column: impl RowIndex) -> Result<&'a [u8], SqlError> {
    match row.get_ref(column)? {
        ValueRef::Blob(bytes) => Ok(bytes),
        other => Err(rusqlite::Error::InvalidColumnType(0, "vector".into(), other.data_type()).into()),
    }
}

/// Writes a whole track: a new row where `id` is `None`.
pub(super) fn write_track(
    tx: &Transaction<'_>,
    id: Option<TrackId>,
    counting: &Counting,
    analysis: Option<&Analysis>,
    now: Timestamp,
) -> Result<TrackId, SqlError> {
    let fields = &counting.counts;
    let lists = [&fields.genre_tags, &fields.mood_tags, &fields.tags].map(|list| Value::from(list.clone()).to_string());
    let mut statement = tx.prepare_cached(
        "INSERT INTO tracks (id, version, title, artist, album, album_artist, genre, genre_tags, mood_tags, tags, year, \
             duration, bpm, key, mode, danceability, energy, valence, acousticness, instrumentalness, loudness, bitrate, \
             path, file_size, file_mtime, musicbrainz_id, isrc, extra, artist_folded, name_folded, content_hash, \
             metadata_hash, audio_hash, analysis_revision, analyzed_file, measured, filled, created_at, updated_at) \
         VALUES (:id, 1, :title, :artist, :album, :album_artist, :genre, :genre_tags, :mood_tags, :tags, :year, \
             :duration, :bpm, :key, :mode, :danceability, :energy, :valence, :acousticness, :instrumentalness, :loudness, \
             :bitrate, :path, :file_size, :file_mtime, :musicbrainz_id, :isrc, :extra, :artist_folded, :name_folded, \
             :content_hash, :metadata_hash, :audio_hash, :analysis_revision, :analyzed_file, :measured, :filled, \
             :now, :now) \
         ON CONFLICT (id) DO UPDATE SET version = version + 1, title = excluded.title, artist = excluded.artist, \
             album = excluded.album, album_artist = excluded.album_artist, genre = excluded.genre, \
             genre_tags = excluded.genre_tags, mood_tags = excluded.mood_tags, tags = excluded.tags, \
             year = excluded.year, duration = excluded.duration, bpm = excluded.bpm, key = excluded.key, \
             mode = excluded.mode, danceability = excluded.danceability, energy = excluded.energy, \
             valence = excluded.valence, acousticness = excluded.acousticness, \
             instrumentalness = excluded.instrumentalness, loudness = excluded.loudness, bitrate = excluded.bitrate, \
             path = excluded.path, file_size = excluded.file_size, file_mtime = excluded.file_mtime, \
             musicbrainz_id = excluded.musicbrainz_id, isrc = excluded.isrc, extra = excluded.extra, \
             artist_folded = excluded.artist_folded, name_folded = excluded.name_folded, \
             content_hash = excluded.content_hash, metadata_hash = excluded.metadata_hash, \
             audio_hash = excluded.audio_hash, analysis_revision = excluded.analysis_revision, \
             analyzed_file = excluded.analyzed_file, measured = excluded.measured, filled = excluded.filled, \
             updated_at = excluded.updated_at \
         RETURNING id",
    )?;
    let features = &fields.features;
    let id: i64 = statement.query_row(
        named_params! {
            ":id": id.map(TrackId::get),
            ":title": fields.title,
            ":artist": fields.artist,
            ":album": fields.album,
            ":album_artist": fields.album_artist,
            ":genre": fields.genre,
            ":genre_tags": lists[0],
            ":mood_tags": lists[1],
            ":tags": lists[2],
            ":year": fields.year,
            ":duration": fields.duration,
            ":bpm": features.bpm,
            ":key": features.key.map(PitchClass::semitones),
            ":mode": features.mode.map(Mode::name),
            ":danceability": features.danceability,
            ":energy": features.energy,
            ":valence": features.valence,
            ":acousticness": features.acousticness,
            ":instrumentalness": features.instrumentalness,
            ":loudness": features.loudness,
            ":bitrate": fields.bitrate,
            ":path": fields.identity.path,
            ":file_size": fields.identity.file_size,
            ":file_mtime": fields.identity.file_mtime,
            ":musicbrainz_id": fields.identity.musicbrainz_id,
            ":isrc": fields.identity.isrc,
            ":extra": Value::Object(fields.extra.clone()).to_string(),
            ":artist_folded": fields.artist.as_deref().map(fold).unwrap_or_default(),
            ":name_folded": text_match::name(fields),
            ":content_hash": counting.content.as_str(),
            ":metadata_hash": counting.metadata.as_str(),
            ":audio_hash": analysis.map(|analysis| analysis.audio.as_str()),
            ":analysis_revision": analysis.map(|analysis| analysis.revision.as_str()),
            ":analyzed_file": analysis.map(|analysis| analysis.file.as_str()),
            ":measured": counting.measured,
            ":filled": counting.filled,
            ":now": now.0,
        },
        |row| row.get(0),
    )?;
    track_id(id)
}
