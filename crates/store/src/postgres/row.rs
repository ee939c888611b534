//! Tracks and vectors to and from rows.

use std::error::Error;
use std::sync::LazyLock;

use bytes::{BufMut, BytesMut};
use deadpool_postgres::GenericClient;
use serde_json::Value;
use soniquebay_domain::{
    Analysis, ContentHash, Facts, Features, FieldError, Fingerprint, Identity, MetadataHash, Mode, PitchClass,
    StoreError, Timestamp, Track, TrackFields, TrackId, Vector,
};
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, FromSqlOwned, IsNull, ToSql, Type, to_sql_checked};

use super::connection::first;
use super::error::SqlError;
use super::text;
use crate::counting::{AnalysisColumns, Counting};
use crate::{counting, text_match};

/// All columns of a track, as [`track`] reads them by name.
pub(super) const TRACK_COLUMNS: &str = "tracks.id, version, title, artist, album, album_artist, genre, genre_tags, \
     mood_tags, tags, year, duration, bpm, key, mode, danceability, energy, valence, acousticness, instrumentalness, \
     loudness, bitrate, path, file_size, file_mtime, musicbrainz_id, isrc, extra, tracks.content_hash, \
     tracks.metadata_hash, created_at, tracks.updated_at, audio_hash, analysis_revision, analyzed_file, measured, \
     filled, file_hash";

/// A column's value. A wrong type is a damaged table, not a panic.
pub(super) fn get<T: FromSqlOwned>(row: &Row, column: &str) -> Result<T, SqlError> {
    Ok(row.try_get(column)?)
}

pub(super) fn corrupt(table: &'static str, row: &Row, column: &'static str) -> SqlError {
    let id = row.try_get::<_, i64>("id").or_else(|_| row.try_get("track_id"));
    let row = id.map_or_else(|_| "?".into(), |id| id.to_string());
    StoreError::Corrupt { table, row, column }.into()
}

pub(super) fn track_id(id: i64) -> Result<TrackId, SqlError> {
    TrackId::new(id).ok_or_else(|| StoreError::Corrupt { table: "tracks", row: id.to_string(), column: "id" }.into())
}

/// The ids as a value that `= ANY($n)` takes.
pub(super) fn numbers_of(ids: &[TrackId]) -> Vec<i64> {
    ids.iter().map(|id| id.get()).collect()
}

fn list(row: &Row, column: &'static str) -> Result<Vec<String>, SqlError> {
    serde_json::from_str(&get::<String>(row, column)?).map_err(|_| corrupt("tracks", row, column))
}

/// What counts of a track.
fn counts(row: &Row) -> Result<TrackFields, SqlError> {
    let mode: Option<String> = get(row, "mode")?;
    let key: Option<i16> = get(row, "key")?;
    Ok(TrackFields {
        title: get(row, "title")?,
        artist: get(row, "artist")?,
        album: get(row, "album")?,
        album_artist: get(row, "album_artist")?,
        genre: get(row, "genre")?,
        genre_tags: list(row, "genre_tags")?,
        mood_tags: list(row, "mood_tags")?,
        tags: list(row, "tags")?,
        year: get(row, "year")?,
        duration: get(row, "duration")?,
        features: Features {
            bpm: get(row, "bpm")?,
            key: key.map(|key| PitchClass::from_semitones(i64::from(key))),
            mode: mode.as_deref().and_then(Mode::parse),
            danceability: get(row, "danceability")?,
            energy: get(row, "energy")?,
            valence: get(row, "valence")?,
            acousticness: get(row, "acousticness")?,
            instrumentalness: get(row, "instrumentalness")?,
            loudness: get(row, "loudness")?,
        },
        bitrate: get(row, "bitrate")?,
        identity: Identity {
            path: get(row, "path")?,
            file_size: get(row, "file_size")?,
            file_mtime: get(row, "file_mtime")?,
            musicbrainz_id: get(row, "musicbrainz_id")?,
            isrc: get(row, "isrc")?,
        },
        extra: match serde_json::from_str(&get::<String>(row, "extra")?) {
            Ok(Value::Object(extra)) => extra,
            _ => return Err(corrupt("tracks", row, "extra")),
        },
    })
}

pub(super) fn facts(row: &Row) -> Result<Facts, SqlError> {
    counts(row).map(|counts| Facts::of(&counts))
}

fn analysis(row: &Row) -> Result<Option<Analysis>, SqlError> {
    let columns = AnalysisColumns {
        audio: get(row, "audio_hash")?,
        revision: get(row, "analysis_revision")?,
        file: get(row, "analyzed_file")?,
        measured: get(row, "measured")?,
    };
    columns.read().map_err(|column| corrupt("tracks", row, column))
}

pub(super) fn track(row: &Row) -> Result<Track, SqlError> {
    let print = fingerprint(row, "tracks")?;
    Ok(Track {
        id: print.track_id,
        version: get(row, "version")?,
        fields: counting::tags(counts(row)?, &get::<String>(row, "filled")?),
        analysis: analysis(row)?,
        content_hash: print.content_hash,
        metadata_hash: print.metadata_hash,
        created_at: Timestamp(get(row, "created_at")?),
        updated_at: Timestamp(get(row, "updated_at")?),
    })
}

/// The id in the first column and the hashes.
pub(super) fn fingerprint(row: &Row, table: &'static str) -> Result<Fingerprint, SqlError> {
    let (content_hash, metadata_hash): (String, String) = (get(row, "content_hash")?, get(row, "metadata_hash")?);
    Ok(Fingerprint {
        track_id: track_id(row.try_get(0)?)?,
        content_hash: ContentHash::parse(&content_hash).ok_or_else(|| corrupt(table, row, "content_hash"))?,
        metadata_hash: MetadataHash::parse(&metadata_hash).ok_or_else(|| corrupt(table, row, "metadata_hash"))?,
        file_hash: match table {
            "tracks" => get::<Option<String>>(row, "file_hash")?.as_deref().and_then(ContentHash::parse),
            _ => None,
        },
    })
}

/// The first field that holds U+0000, which PostgreSQL's text cannot.
pub(super) fn refused(fields: &TrackFields) -> Option<FieldError> {
    let identity = &fields.identity;
    let texts = [
        ("title", &fields.title),
        ("artist", &fields.artist),
        ("album", &fields.album),
        ("album_artist", &fields.album_artist),
        ("genre", &fields.genre),
        ("path", &identity.path),
        ("musicbrainz_id", &identity.musicbrainz_id),
        ("isrc", &identity.isrc),
    ];
    let (name, _) = texts.into_iter().find(|(_, text)| text.as_deref().is_some_and(|text| text.contains('\0')))?;
    Some(FieldError::new(name, "holds U+0000, which PostgreSQL does not store"))
}

/// What [`write_track`] writes, in the order of its values.
const WRITTEN: [&str; 39] = [
    "title",
    "artist",
    "album",
    "album_artist",
    "genre",
    "genre_tags",
    "mood_tags",
    "tags",
    "year",
    "duration",
    "bpm",
    "key",
    "mode",
    "danceability",
    "energy",
    "valence",
    "acousticness",
    "instrumentalness",
    "loudness",
    "bitrate",
    "path",
    "file_size",
    "file_mtime",
    "musicbrainz_id",
    "isrc",
    "extra",
    "artist_folded",
    "name_folded",
    "genres_folded",
    "tags_folded",
    "name_words",
    "name_trigrams",
    "content_hash",
    "metadata_hash",
    "audio_hash",
    "analysis_revision",
    "analyzed_file",
    "measured",
    "filled",
];

/// `$1` is the id or nothing, `$2` the moment; then the columns.
static WRITE: LazyLock<String> = LazyLock::new(|| {
    let value = |(number, column): (usize, &&str)| match *column {
        "name_words" | "name_trigrams" => format!("array_to_tsvector(${number}::text[])"),
        _ => format!("${number}"),
    };
    let values: Vec<String> = (3..).zip(&WRITTEN).map(value).collect();
    let replaced: Vec<String> = WRITTEN.iter().map(|column| format!("{column} = excluded.{column}")).collect();
    format!(
        "INSERT INTO tracks (id, version, created_at, updated_at, {}) \
         VALUES (coalesce($1, nextval('tracks_id_seq')), 1, $2, $2, {}) \
         ON CONFLICT (id) DO UPDATE SET version = tracks.version + 1, updated_at = excluded.updated_at, {} RETURNING id",
        WRITTEN.join(", "),
        values.join(", "),
        replaced.join(", ")
    )
});

/// Writes a whole track: a new row where `id` is `None`.
pub(super) async fn write_track(
    client: &impl GenericClient,
    id: Option<TrackId>,
    counting: &Counting,
    analysis: Option<&Analysis>,
    now: Timestamp,
) -> Result<TrackId, SqlError> {
    let fields = &counting.counts;
    let [genre_tags, mood_tags, tags] =
        [&fields.genre_tags, &fields.mood_tags, &fields.tags].map(|list| Value::from(list.clone()).to_string());
    let (features, identity, facts) = (&fields.features, &fields.identity, Facts::of(fields));
    let key = features.key.map(|key| i16::from(key.semitones()));
    let extra = Value::Object(fields.extra.clone()).to_string();
    let name = text_match::name(fields);
    let row = first(
        client,
        &WRITE,
        &[
            &id.map(TrackId::get),
            &now.0,
            &fields.title,
            &fields.artist,
            &fields.album,
            &fields.album_artist,
            &fields.genre,
            &genre_tags,
            &mood_tags,
            &tags,
            &fields.year,
            &fields.duration,
            &features.bpm,
            &key,
            &features.mode.map(Mode::name),
            &features.danceability,
            &features.energy,
            &features.valence,
            &features.acousticness,
            &features.instrumentalness,
            &features.loudness,
            &fields.bitrate,
            &identity.path,
            &identity.file_size,
            &identity.file_mtime,
            &identity.musicbrainz_id,
            &identity.isrc,
            &extra,
            &facts.artist,
            &name,
            &facts.genres,
            &facts.tags,
            &text::words(&name),
            &text::trigrams(&name),
            &counting.content.as_str(),
            &counting.metadata.as_str(),
            &analysis.map(|analysis| analysis.audio.as_str()),
            &analysis.map(|analysis| analysis.revision.as_str()),
            &analysis.map(|analysis| analysis.file.as_str()),
            &counting.measured,
            &counting.filled,
        ],
    )
    .await?
    .ok_or_else(|| StoreError::Unavailable("a written track was not answered".into()))?;
    track_id(row.try_get(0)?)
}

/// Sees to it that an id which a caller chose is not given again.
pub(super) async fn reserve(client: &impl GenericClient, id: TrackId) -> Result<(), SqlError> {
    let sql = "SELECT setval('tracks_id_seq', $1) WHERE $1 >= (SELECT last_value FROM tracks_id_seq)";
    first(client, sql, &[&id.get()]).await.map(drop)
}

/// pgvector's `vector` on the wire: its length as two bytes, two that are zero, big-endian float32.
#[derive(Debug)]
pub(super) struct Numbers(pub(super) Vec<f32>);

impl ToSql for Numbers {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.put_u16(u16::try_from(self.0.len())?);
        out.put_u16(0);
        self.0.iter().for_each(|number| out.put_f32(*number));
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        ty.name() == "vector"
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Numbers {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let (numbers, rest) = raw.get(4..).ok_or("a vector without a length")?.as_chunks::<4>();
        if !rest.is_empty() {
            return Err("a vector that ends within a number".into());
        }
        Ok(Self(numbers.iter().map(|number| f32::from_be_bytes(*number)).collect()))
    }

    fn accepts(ty: &Type) -> bool {
        <Self as ToSql>::accepts(ty)
    }
}

pub(super) fn vector(row: &Row) -> Result<Vector, SqlError> {
    let Numbers(numbers) = get(row, "vector")?;
    Vector::new(numbers).map_err(|_| corrupt("track_vectors", row, "vector"))
}
