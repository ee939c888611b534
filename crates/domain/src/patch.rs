use serde_json::{Map, Value};

use crate::{Features, Identity, Mode, PitchClass, TrackFields};

/// Bounds on what a track may hold.
pub mod bounds {
    /// Characters in a text.
    pub const TEXT_CHARS: usize = 1024;
    /// Entries in a list of tags.
    pub const LIST_ENTRIES: usize = 64;
    /// Bytes of unknown fields, as JSON.
    pub const EXTRA_BYTES: usize = 16 * 1024;
    /// Characters in a file path.
    pub const PATH_CHARS: usize = 4096;
}

/// What a write says of one field.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Change<T> {
    /// Nothing: the field stays as it is.
    #[default]
    Keep,
    /// The field is unknown now.
    Clear,
    /// The field has this value now.
    Set(T),
}

/// A field that a source filled wrongly, in words for whoever wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct FieldError {
    /// Name of the field as it was sent.
    pub field: String,
    /// What is wrong and what is allowed.
    pub reason: String,
}

impl FieldError {
    /// A field and what is wrong with it.
    pub fn new(field: &str, reason: impl Into<String>) -> Self {
        Self { field: field.chars().take(64).collect(), reason: reason.into() }
    }
}

impl<T: Clone> Change<T> {
    /// `Set` what is known and `Clear` what is not: for a source that knows the whole field, as a file's tags do.
    pub fn from_known(value: Option<T>) -> Self {
        value.map_or(Self::Clear, Self::Set)
    }

    fn apply(&self, slot: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Clear => *slot = None,
            Self::Set(value) => *slot = Some(value.clone()),
        }
    }
}

/// What a source says of a track: some fields set, some cleared, the others left alone.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs, reason = "the fields are those of TrackFields, documented there")]
pub struct TrackPatch {
    pub title: Change<String>,
    pub artist: Change<String>,
    pub album: Change<String>,
    pub album_artist: Change<String>,
    pub genre: Change<String>,
    pub genre_tags: Change<Vec<String>>,
    pub mood_tags: Change<Vec<String>>,
    pub tags: Change<Vec<String>>,
    pub year: Change<i32>,
    pub duration: Change<f64>,
    pub bpm: Change<f64>,
    pub key: Change<PitchClass>,
    pub mode: Change<Mode>,
    pub danceability: Change<f64>,
    pub energy: Change<f64>,
    pub valence: Change<f64>,
    pub acousticness: Change<f64>,
    pub instrumentalness: Change<f64>,
    pub loudness: Change<f64>,
    pub bitrate: Change<i64>,
    pub path: Change<String>,
    pub file_size: Change<i64>,
    pub file_mtime: Change<i64>,
    pub musicbrainz_id: Change<String>,
    pub isrc: Change<String>,
    /// Unknown fields to keep; a null takes one away.
    pub extra: Map<String, Value>,
}

impl TrackPatch {
    /// The fields after this patch.
    ///
    /// # Errors
    /// Where no title would be left, or more unknown fields than are kept.
    pub fn apply(&self, to: &TrackFields) -> Result<TrackFields, FieldError> {
        let mut track = to.clone();
        self.title.apply(&mut track.title);
        self.artist.apply(&mut track.artist);
        self.album.apply(&mut track.album);
        self.album_artist.apply(&mut track.album_artist);
        self.genre.apply(&mut track.genre);
        apply_list(&self.genre_tags, &mut track.genre_tags);
        apply_list(&self.mood_tags, &mut track.mood_tags);
        apply_list(&self.tags, &mut track.tags);
        self.year.apply(&mut track.year);
        self.duration.apply(&mut track.duration);
        self.apply_features(&mut track.features);
        self.bitrate.apply(&mut track.bitrate);
        self.apply_identity(&mut track.identity);
        for (name, value) in &self.extra {
            if value.is_null() {
                track.extra.remove(name);
            } else {
                track.extra.insert(name.clone(), value.clone());
            }
        }
        if track.title.as_deref().is_none_or(|title| title.trim().is_empty()) {
            return Err(FieldError::new("title", "missing: a track needs a title"));
        }
        let extra_bytes = Value::Object(track.extra.clone()).to_string().len();
        if extra_bytes > bounds::EXTRA_BYTES {
            let reason = format!("{extra_bytes} bytes of unknown fields; {} are kept", bounds::EXTRA_BYTES);
            return Err(FieldError::new("extra", reason));
        }
        Ok(track)
    }

    fn apply_features(&self, features: &mut Features) {
        self.bpm.apply(&mut features.bpm);
        self.key.apply(&mut features.key);
        self.mode.apply(&mut features.mode);
        self.danceability.apply(&mut features.danceability);
        self.energy.apply(&mut features.energy);
        self.valence.apply(&mut features.valence);
        self.acousticness.apply(&mut features.acousticness);
        self.instrumentalness.apply(&mut features.instrumentalness);
        self.loudness.apply(&mut features.loudness);
    }

    fn apply_identity(&self, identity: &mut Identity) {
        self.path.apply(&mut identity.path);
        self.file_size.apply(&mut identity.file_size);
        self.file_mtime.apply(&mut identity.file_mtime);
        self.musicbrainz_id.apply(&mut identity.musicbrainz_id);
        self.isrc.apply(&mut identity.isrc);
    }
}

fn apply_list(change: &Change<Vec<String>>, list: &mut Vec<String>) {
    match change {
        Change::Keep => {}
        Change::Clear => list.clear(),
        Change::Set(values) => list.clone_from(values),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Change, TrackPatch};
    use crate::TrackFields;

    #[test]
    fn a_patch_keeps_what_it_does_not_name() {
        let before = TrackFields {
            title: Some("A".into()),
            album: Some("B".into()),
            year: Some(1999),
            ..TrackFields::default()
        };
        let patch = TrackPatch { album: Change::Clear, artist: Change::Set("C".into()), ..TrackPatch::default() };
        let after = patch.apply(&before).unwrap();
        assert_eq!((after.title.as_deref(), after.artist.as_deref()), (Some("A"), Some("C")));
        assert_eq!((after.album, after.year), (None, Some(1999)));
    }

    #[test]
    fn a_track_without_a_title_is_refused() {
        assert_eq!(TrackPatch::default().apply(&TrackFields::default()).unwrap_err().field, "title");
        let blank = TrackPatch { title: Change::Set("  ".into()), ..TrackPatch::default() };
        assert!(blank.apply(&TrackFields::default()).is_err());
    }

    #[test]
    fn unknown_fields_are_bounded_and_removable() {
        let mut patch = TrackPatch { title: Change::Set("A".into()), ..TrackPatch::default() };
        patch.extra.insert("rating".into(), json!(5));
        let track = patch.apply(&TrackFields::default()).unwrap();
        assert_eq!(track.extra["rating"], 5);
        patch.extra.insert("rating".into(), json!(null));
        assert!(patch.apply(&track).unwrap().extra.is_empty());
        patch.extra.insert("blob".into(), json!("x".repeat(20_000)));
        assert_eq!(patch.apply(&track).unwrap_err().field, "extra");
    }
}
