use serde_json::{Map, Value};
use soniquebay_domain::{Change, FieldError, TrackId, TrackPatch, bounds};

use super::source::Source;
use super::value;

/// A track as somebody sent it.
#[derive(Clone, Debug, PartialEq)]
pub struct TrackRecord {
    /// The id it bears, if any.
    pub id: Option<TrackId>,
    /// What is said of it.
    pub patch: TrackPatch,
    /// Numbers that were a little out of range and are kept at its end.
    pub clamped: Vec<FieldError>,
}

/// Fields of our own answers that nobody can set. They are dropped, so that what was got can be put back.
pub(super) const OURS: [&str; 10] = [
    "version",
    "content_hash",
    "metadata_hash",
    "file_hash",
    "created_at",
    "updated_at",
    "state",
    "camelot",
    "measured",
    "analysis",
];

/// Objects and lists within each other in `extra`; a reader of ours walks them recursively.
const EXTRA_DEPTH: usize = 16;

/// Reads a track with the names that we and the Python SoniqueBay use. Null and empty texts clear a field, absent
/// fields are left alone, unknown ones go to `extra`.
///
/// # Errors
/// One for every field that is wrong, in no particular order.
pub fn parse_track(fields: Map<String, Value>) -> Result<TrackRecord, Vec<FieldError>> {
    let mut source = Source::new(fields);
    let id = match source.read(&["id", "track_id"], value::id) {
        Change::Set(id) => TrackId::new(id),
        Change::Keep | Change::Clear => None,
    };
    let mut patch = TrackPatch {
        title: source.read(&["title"], value::text),
        artist: source.read(&["artist", "artist_name", "track_artist"], value::text),
        album: source.read(&["album", "album_title"], value::text),
        album_artist: source.read(&["album_artist"], value::text),
        mood_tags: source.read(&["mood_tags", "moods", "mood", "synthetic_tags"], value::list),
        tags: source.read(&["tags"], value::list),
        year: source.read(&["year"], value::year),
        duration: source.read(&["duration"], value::duration),
        bpm: source.read(&["bpm", "tempo"], value::bpm),
        danceability: source.read_within(&["danceability"], &value::SHARE),
        energy: read_energy(&mut source),
        valence: source.read_within(&["valence", "mood_happy"], &value::SHARE),
        acousticness: source.read_within(&["acousticness", "acoustic"], &value::SHARE),
        instrumentalness: source.read_within(&["instrumentalness", "instrumental"], &value::SHARE),
        loudness: source.read_within(&["loudness"], &value::LOUDNESS),
        bitrate: source.read(&["bitrate"], value::bitrate),
        path: source.read(&["path"], value::path),
        file_size: source.read(&["file_size"], value::size),
        file_mtime: source.read(&["file_mtime"], value::mtime),
        musicbrainz_id: source.read(&["musicbrainz_id", "mbid", "musicbrainz_track_id"], value::musicbrainz_id),
        isrc: source.read(&["isrc"], value::isrc),
        ..TrackPatch::default()
    };
    read_genres(&mut source, &mut patch);
    read_key(&mut source, &mut patch);
    patch.extra = read_extra(&mut source);
    let (rest, mut errors, clamped) = source.into_rest();
    patch.extra.extend(rest.into_iter().filter(|(name, _)| !OURS.contains(&name.as_str())));
    check_extra(&patch.extra, &mut errors);
    if errors.is_empty() { Ok(TrackRecord { id, patch, clamped }) } else { Err(errors) }
}

/// `genre` may be a list: its first entry is the main genre, the others go before the `genre_tags`.
fn read_genres(source: &mut Source, patch: &mut TrackPatch) {
    patch.genre_tags = source.read(&["genre_tags", "genres"], value::list);
    let Some((name, given)) = source.take(&["genre", "genre_main"]) else { return };
    let read = if given.is_array() {
        value::list(&given)
    } else {
        value::text(&given).map(|genre| genre.map(|genre| vec![genre]))
    };
    match read {
        Ok(genres) => {
            let mut genres = genres.unwrap_or_default().into_iter();
            patch.genre = Change::from_known(genres.next());
            let mut further: Vec<String> = genres.collect();
            if further.is_empty() {
                return;
            }
            if let Change::Set(tags) = &patch.genre_tags {
                further.extend(tags.iter().filter(|tag| !further.contains(tag)).cloned().collect::<Vec<_>>());
                further.truncate(bounds::LIST_ENTRIES);
            }
            patch.genre_tags = Change::Set(further);
        }
        Err(reason) => source.refuse(name, reason),
    }
}

/// A key may name its mode, and then sets both, unless a mode of its own is given.
fn read_key(source: &mut Source, patch: &mut TrackPatch) {
    patch.mode = source.read(&["mode", "scale"], value::mode);
    let Some((name, given)) = source.take(&["key", "camelot_key"]) else { return };
    match value::key(&given) {
        Ok(Some(key)) => {
            patch.key = Change::Set(key.tonic);
            if let (Some(mode), false) = (key.mode, matches!(patch.mode, Change::Set(_))) {
                patch.mode = Change::Set(mode);
            }
        }
        Ok(None) => patch.key = Change::Clear,
        Err(reason) => source.refuse(name, reason),
    }
}

/// Python's analysis knows moods instead: aggressive and party music has energy, relaxed music has little.
fn read_energy(source: &mut Source) -> Change<f64> {
    let given = source.read_within(&["energy"], &value::SHARE);
    let raising =
        [source.read_within(&["mood_aggressive"], &value::SHARE), source.read_within(&["mood_party"], &value::SHARE)];
    let lowering = match source.read_within(&["mood_relaxed"], &value::SHARE) {
        Change::Set(relaxed) => Change::Set(1.0 - relaxed),
        other => other,
    };
    if matches!(given, Change::Set(_)) {
        return given;
    }
    let moods = raising.into_iter().chain([lowering]);
    let known: Vec<f64> =
        moods.filter_map(|mood| if let Change::Set(mood) = mood { Some(mood) } else { None }).collect();
    if known.is_empty() { given } else { Change::Set(known.iter().sum::<f64>() / known.len() as f64) }
}

fn read_extra(source: &mut Source) -> Map<String, Value> {
    match source.take(&["extra"]) {
        None | Some((_, Value::Null)) => Map::new(),
        Some((_, Value::Object(extra))) => extra,
        Some((name, other)) => {
            source.refuse(name, format!("{} is no object", value::shown(&other)));
            Map::new()
        }
    }
}

fn check_extra(extra: &Map<String, Value>, errors: &mut Vec<FieldError>) {
    let mut bytes = 0;
    for (name, value) in extra {
        if depth_exceeds(value, EXTRA_DEPTH) {
            let reason = format!("lists or objects more than {EXTRA_DEPTH} deep within each other are not kept");
            errors.push(FieldError::new(name, reason));
            return;
        }
        bytes += name.len() + value.to_string().len();
    }
    if bytes > bounds::EXTRA_BYTES {
        let reason = format!("{bytes} bytes of fields that are not known here; {} are kept", bounds::EXTRA_BYTES);
        errors.push(FieldError::new("extra", reason));
    }
}

fn depth_exceeds(value: &Value, limit: usize) -> bool {
    match value {
        Value::Array(values) => limit == 0 || values.iter().any(|value| depth_exceeds(value, limit - 1)),
        Value::Object(fields) => limit == 0 || fields.values().any(|value| depth_exceeds(value, limit - 1)),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
