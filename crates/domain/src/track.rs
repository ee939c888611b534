use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};

use crate::{Analysis, ContentHash, MetadataHash, Mode, PitchClass, Space, Timestamp};

/// A track's number in the catalogue, always positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackId(i64);

impl TrackId {
    /// `None` for zero and negative numbers.
    pub fn new(id: i64) -> Option<Self> {
        (id > 0).then_some(Self(id))
    }

    /// The number itself.
    pub fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for TrackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the sound is like, as far as tags or analysis say. Unknown stays unknown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Features {
    /// Beats a minute.
    pub bpm: Option<f64>,
    /// The tonic of the key.
    pub key: Option<PitchClass>,
    /// Major or minor.
    pub mode: Option<Mode>,
    /// 0 (not at all) to 1 (very).
    pub danceability: Option<f64>,
    /// 0 (calm) to 1 (intense).
    pub energy: Option<f64>,
    /// 0 (sad) to 1 (happy).
    pub valence: Option<f64>,
    /// 0 (electric) to 1 (acoustic).
    pub acousticness: Option<f64>,
    /// 0 (sung) to 1 (no voice).
    pub instrumentalness: Option<f64>,
    /// Mean loudness in dB below full scale, about −60 to 0.
    pub loudness: Option<f64>,
}

/// What tells one track from another beside its name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Identity {
    /// Path of the audio file.
    pub path: Option<String>,
    /// Bytes in the file.
    pub file_size: Option<i64>,
    /// Modification time of the file, nanoseconds since the epoch.
    pub file_mtime: Option<i64>,
    /// MusicBrainz recording id.
    pub musicbrainz_id: Option<String>,
    /// International Standard Recording Code.
    pub isrc: Option<String>,
}

/// Everything that a source says of a track.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrackFields {
    /// Name of the track.
    pub title: Option<String>,
    /// Who performs it.
    pub artist: Option<String>,
    /// The release it is on.
    pub album: Option<String>,
    /// Who the release is by, where it differs.
    pub album_artist: Option<String>,
    /// Main genre.
    pub genre: Option<String>,
    /// Further genres.
    pub genre_tags: Vec<String>,
    /// Moods.
    pub mood_tags: Vec<String>,
    /// Free tags.
    pub tags: Vec<String>,
    /// Year of release.
    pub year: Option<i32>,
    /// Seconds.
    pub duration: Option<f64>,
    /// What the sound is like.
    pub features: Features,
    /// Kilobits a second. Stored, not used.
    pub bitrate: Option<i64>,
    /// File and registry identity.
    pub identity: Identity,
    /// Fields that nobody here knows, kept as they came.
    pub extra: Map<String, Value>,
}

/// A track of the catalogue.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    /// Its number.
    pub id: TrackId,
    /// Grows with each change, never shrinks.
    pub version: i64,
    /// What is said of it.
    pub fields: TrackFields,
    /// What is known of its audio.
    pub analysis: Option<Analysis>,
    /// Fingerprint of what its vectors are made of, [`Track::counts`].
    pub content_hash: ContentHash,
    /// Fingerprint of what filters use.
    pub metadata_hash: MetadataHash,
    /// When it was first seen.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Track {
    /// What counts of it: what tags say, and what was measured where they say nothing.
    pub fn counts(&self) -> Cow<'_, TrackFields> {
        match &self.analysis {
            Some(analysis) => Cow::Owned(analysis.measured.fill(&self.fields).0),
            None => Cow::Borrowed(&self.fields),
        }
    }

    /// Fingerprint of what its vectors of this space are made of; nothing where there can be none.
    pub fn made_from(&self, space: &Space) -> Option<ContentHash> {
        if space.is_sound() { ContentHash::of_file(&self.fields.identity) } else { Some(self.content_hash.clone()) }
    }

    /// "Artist – Title", as a person would name it.
    pub fn name(&self) -> String {
        let title = self.fields.title.as_deref().unwrap_or("(untitled)");
        match self.fields.artist.as_deref() {
            Some(artist) => format!("{artist} – {title}"),
            None => title.to_owned(),
        }
    }
}
