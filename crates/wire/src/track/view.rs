use serde::Serialize;
use serde_json::{Map, Value};
use soniquebay_domain::{ContentHash, Key, MetadataHash, Mode, Timestamp, Track, TrackFields, TrackId, TrackState};
use utoipa::ToSchema;

use super::analysis::{AnalysisView, write_measured};
use super::parse::OURS;
use crate::rfc3339;

/// A track as it is answered. What is unknown is absent; lists are always there.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct TrackView {
    /// Its number.
    pub id: i64,
    /// Grows with each change.
    pub version: i64,
    /// Name of the track.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Who performs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artist: Option<String>,
    /// The release it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub album: Option<String>,
    /// Who the release is by, where it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub album_artist: Option<String>,
    /// Main genre.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub genre: Option<String>,
    /// Further genres.
    pub genre_tags: Vec<String>,
    /// Moods.
    pub mood_tags: Vec<String>,
    /// Free tags.
    pub tags: Vec<String>,
    /// Year of release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub year: Option<i32>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// Beats a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bpm: Option<f64>,
    /// The tonic: "F#".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<&'static str>,
    /// "major" or "minor".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<&'static str>,
    /// Key and mode as DJs write them: "11A".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub camelot: Option<String>,
    /// 0 (not at all) to 1 (very).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub danceability: Option<f64>,
    /// 0 (calm) to 1 (intense).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub energy: Option<f64>,
    /// 0 (sad) to 1 (happy).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valence: Option<f64>,
    /// 0 (electric) to 1 (acoustic).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acousticness: Option<f64>,
    /// 0 (sung) to 1 (no voice).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instrumentalness: Option<f64>,
    /// Mean loudness in dB below full scale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loudness: Option<f64>,
    /// Kilobits a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bitrate: Option<i64>,
    /// Path of the audio file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Bytes in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_size: Option<i64>,
    /// Modification time of the file, nanoseconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_mtime: Option<i64>,
    /// MusicBrainz recording id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub musicbrainz_id: Option<String>,
    /// International Standard Recording Code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isrc: Option<String>,
    /// Fingerprint of what its vectors are made of.
    pub content_hash: String,
    /// Fingerprint of what filters use.
    pub metadata_hash: String,
    /// Fingerprint of its file, as far as size and moment of its last change tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_hash: Option<String>,
    /// When it was first seen, RFC 3339.
    pub created_at: String,
    /// When it last changed, RFC 3339.
    pub updated_at: String,
    /// How far its vector is, where that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<StateView>,
    /// What was measured of its audio, by name: value and confidence, 0 to 1. It counts where the field above says nothing
    /// and the confidence is at least 0.5.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub measured: Option<Map<String, Value>>,
    /// What is known of its audio, and how far its analysis is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analysis: Option<AnalysisView>,
    /// Fields that are not known here, as they came.
    #[schema(value_type = Object)]
    pub extra: Map<String, Value>,
}

/// How far a track's vector is.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct StateView {
    /// "pending", "ready", "stale" or "failed".
    pub status: &'static str,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl TrackView {
    /// The same, saying how far the track's vector is.
    pub fn with_state(mut self, state: TrackState) -> Self {
        self.state = Some(state.into());
        self
    }

    /// The same, saying how far its analysis is.
    pub fn with_analysis_state(mut self, state: TrackState) -> Self {
        self.analysis = Some(self.analysis.unwrap_or_default().with_state(state));
        self
    }
}

impl From<&Track> for TrackView {
    fn from(track: &Track) -> Self {
        let fields = track.fields.clone();
        let (features, identity) = (fields.features, fields.identity);
        let key = features.key.map(|tonic| Key { tonic, mode: features.mode });
        Self {
            id: track.id.get(),
            version: track.version,
            title: fields.title,
            artist: fields.artist,
            album: fields.album,
            album_artist: fields.album_artist,
            genre: fields.genre,
            genre_tags: fields.genre_tags,
            mood_tags: fields.mood_tags,
            tags: fields.tags,
            year: fields.year,
            duration: fields.duration,
            bpm: features.bpm,
            key: key.map(|key| key.tonic.name()),
            mode: features.mode.map(Mode::name),
            camelot: key.and_then(camelot),
            danceability: features.danceability,
            energy: features.energy,
            valence: features.valence,
            acousticness: features.acousticness,
            instrumentalness: features.instrumentalness,
            loudness: features.loudness,
            bitrate: fields.bitrate,
            path: identity.path,
            file_size: identity.file_size,
            file_mtime: identity.file_mtime,
            musicbrainz_id: identity.musicbrainz_id,
            isrc: identity.isrc,
            content_hash: track.content_hash.to_string(),
            metadata_hash: track.metadata_hash.to_string(),
            file_hash: ContentHash::of_file(&track.fields.identity).map(|hash| hash.to_string()),
            measured: track.analysis.as_ref().map(|analysis| write_measured(&analysis.measured)),
            analysis: track.analysis.as_ref().map(AnalysisView::from),
            created_at: rfc3339(track.created_at),
            updated_at: rfc3339(track.updated_at),
            state: None,
            extra: fields.extra,
        }
    }
}

/// What is known of a track, under the names that [`parse_track`](crate::parse_track) reads: reading gives back the same
/// fields. What is unknown is absent.
pub fn write_fields(fields: &TrackFields) -> Map<String, Value> {
    let Some(any) = TrackId::new(1) else { return Map::new() };
    let track = Track {
        id: any,
        version: 0,
        fields: fields.clone(),
        analysis: None,
        content_hash: ContentHash::of(fields),
        metadata_hash: MetadataHash::of(fields),
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
    };
    let Ok(Value::Object(mut members)) = serde_json::to_value(TrackView::from(&track)) else { return Map::new() };
    members.retain(|name, value| name != "id" && !OURS.contains(&name.as_str()) && !is_empty(value));
    members
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty)
}

fn camelot(key: Key) -> Option<String> {
    let letter = if key.mode? == Mode::Minor { 'A' } else { 'B' };
    Some(format!("{}{letter}", key.camelot_hour()))
}

impl From<TrackState> for StateView {
    fn from(state: TrackState) -> Self {
        let (status, reason) = match state {
            TrackState::Pending => ("pending", None),
            TrackState::Ready => ("ready", None),
            TrackState::Stale => ("stale", None),
            TrackState::Failed { reason } => ("failed", Some(reason)),
        };
        Self { status, reason }
    }
}
