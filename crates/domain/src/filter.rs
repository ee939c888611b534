use std::collections::HashSet;

use crate::{Facts, Key, TrackId};

/// A closed interval; either end may be open. A track whose value is unknown is outside.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Range {
    /// Smallest value that passes.
    pub min: Option<f64>,
    /// Largest value that passes.
    pub max: Option<f64>,
}

impl Range {
    fn admits(&self, value: Option<f64>) -> bool {
        if self.min.is_none() && self.max.is_none() {
            return true;
        }
        value.is_some_and(|v| self.min.is_none_or(|min| v >= min) && self.max.is_none_or(|max| v <= max))
    }
}

/// Which tracks may be answered. All conditions hold together; an empty filter admits everything.
///
/// Names are compared folded: build them with [`crate::fold`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Folded genres, one of which the track must have.
    pub genres: Vec<String>,
    /// Folded tags, all of which the track must have.
    pub tags: Vec<String>,
    /// Year of release.
    pub years: Range,
    /// Beats a minute.
    pub bpm: Range,
    /// Seconds.
    pub duration: Range,
    /// A key; harmonically compatible ones pass too.
    pub key: Option<Key>,
    /// Leave out the artists of the seeds. Who they are is resolved into `excluded_artists` before the search.
    pub exclude_same_artist: bool,
    /// Folded artists to leave out.
    pub excluded_artists: HashSet<String>,
    /// Tracks to leave out.
    pub excluded_tracks: HashSet<TrackId>,
    /// At most so many tracks of one artist, best first. Tracks without an artist are not counted together.
    pub max_per_artist: Option<usize>,
    /// Only files below this folder.
    pub path_prefix: Option<String>,
}

impl Filter {
    /// Whether a track may be answered, `max_per_artist` aside, which needs the ranking.
    pub fn admits(&self, id: TrackId, facts: &Facts) -> bool {
        (self.genres.is_empty() || self.genres.iter().any(|genre| facts.genres.contains(genre)))
            && self.tags.iter().all(|tag| facts.tags.contains(tag))
            && self.years.admits(facts.year.map(f64::from))
            && self.bpm.admits(facts.bpm)
            && self.duration.admits(facts.duration)
            && self.key.is_none_or(|key| facts.key.is_some_and(|k| k.is_compatible(key)))
            && !self.excluded_artists.contains(&facts.artist)
            && !self.excluded_tracks.contains(&id)
            && self
                .path_prefix
                .as_deref()
                .is_none_or(|prefix| facts.path.as_deref().is_some_and(|path| is_below(path, prefix)))
    }
}

/// "/music/a" holds "/music/a/b.mp3" and itself, not "/music/ab.mp3".
fn is_below(path: &str, folder: &str) -> bool {
    let folder = folder.trim_end_matches('/');
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::{Filter, Range};
    use crate::{Facts, Key, TrackId, fold};

    fn id() -> TrackId {
        TrackId::new(7).unwrap()
    }

    #[test]
    fn unknown_values_pass_no_filter_on_them() {
        let years = Range { min: Some(1970.0), max: None };
        let filter = Filter { years, ..Filter::default() };
        assert!(!filter.admits(id(), &Facts::default()));
        assert!(filter.admits(id(), &Facts { year: Some(1970), ..Facts::default() }));
        assert!(!filter.admits(id(), &Facts { year: Some(1969), ..Facts::default() }));
        let key = Filter { key: Key::parse("8A"), ..Filter::default() };
        assert!(!key.admits(id(), &Facts::default()));
    }

    #[test]
    fn genres_meet_folded() {
        let filter = Filter { genres: vec![fold("Électro")], ..Filter::default() };
        assert!(filter.admits(id(), &Facts { genres: vec![fold("ELECTRO")], ..Facts::default() }));
        assert!(!filter.admits(id(), &Facts { genres: vec![fold("electro house")], ..Facts::default() }));
    }

    #[test]
    fn a_folder_is_not_a_string_prefix() {
        let filter = Filter { path_prefix: Some("/music/a/".into()), ..Filter::default() };
        let at = |path: &str| Facts { path: Some(path.into()), ..Facts::default() };
        assert!(filter.admits(id(), &at("/music/a/b.mp3")));
        assert!(!filter.admits(id(), &at("/music/ab.mp3")));
    }
}
