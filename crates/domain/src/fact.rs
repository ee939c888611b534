use crate::{Key, TrackFields, fold};

/// What filters ask of a track, folded for comparison. Small, so that an index can hold one a vector.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Folded artist; empty when unknown.
    pub artist: String,
    /// Folded genre and genre tags.
    pub genres: Vec<String>,
    /// Folded tags and mood tags.
    pub tags: Vec<String>,
    /// Year of release.
    pub year: Option<i32>,
    /// Beats a minute.
    pub bpm: Option<f64>,
    /// Musical key.
    pub key: Option<Key>,
    /// Seconds.
    pub duration: Option<f64>,
    /// Path of the audio file.
    pub path: Option<String>,
}

impl Facts {
    /// The facts of `track`.
    pub fn of(track: &TrackFields) -> Self {
        let mut genres: Vec<String> = track.genre.iter().chain(&track.genre_tags).map(|g| fold(g)).collect();
        genres.dedup();
        Self {
            artist: track.artist.as_deref().map(fold).unwrap_or_default(),
            genres,
            tags: track.mood_tags.iter().chain(&track.tags).map(|t| fold(t)).collect(),
            year: track.year,
            bpm: track.features.bpm,
            key: track.features.key.map(|tonic| Key { tonic, mode: track.features.mode }),
            duration: track.duration,
            path: track.identity.path.clone(),
        }
    }
}
