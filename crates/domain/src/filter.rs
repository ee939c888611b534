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
    /// Whether half and double the tempo count as the tempo: beat trackers mistake one for the other.
    pub bpm_octaves: bool,
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
        Condition::ALL.iter().all(|condition| self.meets(*condition, facts))
            && !self.excluded_artists.contains(&facts.artist)
            && !self.excluded_tracks.contains(&id)
            && self
                .path_prefix
                .as_deref()
                .is_none_or(|prefix| facts.path.as_deref().is_some_and(|path| is_below(path, prefix)))
    }

    /// The conditions that may be given up where too few tracks meet all of them, in that order: what a listener misses
    /// least goes first. What leaves tracks out is never given up, nor is the folder, nor how many there may be of an artist.
    pub fn relaxable(&self) -> impl Iterator<Item = Condition> {
        Condition::ALL.into_iter().filter(|condition| self.without(*condition) != *self)
    }

    /// The same filter, but for one condition.
    #[must_use]
    pub fn without(&self, condition: Condition) -> Self {
        let mut rest = self.clone();
        match condition {
            Condition::Key => rest.key = None,
            Condition::Bpm => rest.bpm = Range::default(),
            Condition::Duration => rest.duration = Range::default(),
            Condition::Tags => rest.tags.clear(),
            Condition::Years => rest.years = Range::default(),
            Condition::Genres => rest.genres.clear(),
        }
        rest
    }

    /// Whether a track meets this condition of the filter.
    pub fn meets(&self, condition: Condition, facts: &Facts) -> bool {
        match condition {
            Condition::Key => self.key.is_none_or(|key| facts.key.is_some_and(|k| k.is_compatible(key))),
            Condition::Bpm => self.meets_bpm(facts.bpm),
            Condition::Duration => self.duration.admits(facts.duration),
            Condition::Tags => self.tags.iter().all(|tag| facts.tags.contains(tag)),
            Condition::Years => self.years.admits(facts.year.map(f64::from)),
            Condition::Genres => self.genres.is_empty() || self.genres.iter().any(|genre| facts.genres.contains(genre)),
        }
    }

    fn meets_bpm(&self, bpm: Option<f64>) -> bool {
        let octaves: &[f64] = if self.bpm_octaves { &[1.0, 0.5, 2.0] } else { &[1.0] };
        octaves.iter().any(|octave| self.bpm.admits(bpm.map(|bpm| bpm * octave)))
    }
}

/// One condition of a [`Filter`] on what a track is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// A compatible key.
    Key,
    /// Beats a minute.
    Bpm,
    /// Seconds.
    Duration,
    /// Tags.
    Tags,
    /// Year of release.
    Years,
    /// Genres.
    Genres,
}

impl Condition {
    const ALL: [Self; 6] = [Self::Key, Self::Bpm, Self::Duration, Self::Tags, Self::Years, Self::Genres];

    /// The name that the condition has in a filter on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Bpm => "bpm_range",
            Self::Duration => "duration_range",
            Self::Tags => "tags",
            Self::Years => "year_range",
            Self::Genres => "genre",
        }
    }
}

/// "/music/a" holds "/music/a/b.mp3" and itself, not "/music/ab.mp3".
fn is_below(path: &str, folder: &str) -> bool {
    let folder = folder.trim_end_matches('/');
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::{Condition, Filter, Range};
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
    fn half_and_double_tempos_pass_where_they_may() {
        let bpm = Range { min: Some(120.0), max: Some(130.0) };
        let at = |bpm: f64| Facts { bpm: Some(bpm), ..Facts::default() };
        for (tempo, strict, tolerant) in
            [(125.0, true, true), (62.0, false, true), (250.0, false, true), (90.0, false, false)]
        {
            let passes = |bpm_octaves| Filter { bpm, bpm_octaves, ..Filter::default() }.admits(id(), &at(tempo));
            assert_eq!((passes(false), passes(true)), (strict, tolerant), "{tempo}");
        }
        let unknown = Filter { bpm, bpm_octaves: true, ..Filter::default() };
        assert!(!unknown.admits(id(), &Facts::default()));
    }

    #[test]
    fn conditions_are_given_up_one_by_one() {
        let filter = Filter {
            genres: vec!["rock".into()],
            key: Key::parse("8A"),
            bpm_octaves: true,
            excluded_artists: ["x".to_owned()].into(),
            ..Filter::default()
        };
        assert_eq!(filter.relaxable().collect::<Vec<_>>(), [Condition::Key, Condition::Genres]);
        let relaxed = filter.relaxable().fold(filter.clone(), |filter, condition| filter.without(condition));
        assert!(relaxed.admits(id(), &Facts::default()));
        assert!(!relaxed.admits(id(), &Facts { artist: "x".into(), ..Facts::default() }));
        let rock = Facts { genres: vec!["rock".into()], ..Facts::default() };
        assert!(filter.meets(Condition::Genres, &rock) && !filter.meets(Condition::Key, &rock));
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
