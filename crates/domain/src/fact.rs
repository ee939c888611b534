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
        Self {
            artist: track.artist.as_deref().map(fold).unwrap_or_default(),
            genres: Self::genres(track.genre.as_deref(), &track.genre_tags),
            tags: Self::tags(&track.mood_tags, &track.tags),
            year: track.year,
            bpm: track.features.bpm,
            key: track.features.key.map(|tonic| Key { tonic, mode: track.features.mode }),
            duration: track.duration,
            path: track.identity.path.clone(),
        }
    }

    /// [`Self::genres`] of a track with this genre and these genre tags.
    pub fn genres(genre: Option<&str>, genre_tags: &[String]) -> Vec<String> {
        let mut genres: Vec<String> =
            genre.into_iter().chain(genre_tags.iter().map(String::as_str)).map(fold).collect();
        genres.dedup();
        genres
    }

    /// [`Self::tags`] of a track with these moods and tags.
    pub fn tags(mood_tags: &[String], tags: &[String]) -> Vec<String> {
        mood_tags.iter().chain(tags).map(|tag| fold(tag)).collect()
    }
}
