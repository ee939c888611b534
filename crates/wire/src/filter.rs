use std::collections::HashSet;
use std::fmt;

use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use soniquebay_domain::{FieldError, Filter, Key, Range, TrackId, bounds, fold, with_subgenres};
use utoipa::ToSchema;

use crate::shape::Object;
use crate::track::read_id;

/// Tracks that one filter can leave out.
pub const MAX_EXCLUDED_TRACKS: usize = 10_000;
/// Artists that one filter can leave out.
pub const MAX_EXCLUDED_ARTISTS: usize = 1_000;

/// Which tracks may be answered, as JSON and the command line say it. All conditions hold together.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FilterInput {
    /// A genre, or several of which the track must have one. Case and accents do not matter.
    #[serde(deserialize_with = "one_or_many")]
    #[schema(value_type = OneOrMany, required = false)]
    pub genre: Vec<String>,
    /// Whether the genres that are part of these pass too: "rock" then stands for "hard rock", "punk" and all the others.
    pub include_subgenres: Option<bool>,
    /// Tags or moods, all of which the track must have.
    #[serde(deserialize_with = "one_or_many")]
    #[schema(value_type = OneOrMany, required = false)]
    pub tags: Vec<String>,
    /// Year of release.
    #[schema(value_type = Option<RangeInput>)]
    pub year_range: Option<Object<RangeInput>>,
    /// Beats a minute.
    #[schema(value_type = Option<RangeInput>)]
    pub bpm_range: Option<Object<RangeInput>>,
    /// Whether tracks of half and of double such a tempo pass too.
    pub bpm_octaves: Option<bool>,
    /// Seconds.
    #[schema(value_type = Option<RangeInput>)]
    pub duration_range: Option<Object<RangeInput>>,
    /// A key, by name, Camelot or Open Key; harmonically compatible ones pass too.
    pub key: Option<String>,
    /// Leave out the artists of the seeds.
    pub exclude_same_artist: Option<bool>,
    /// Artists to leave out.
    #[serde(deserialize_with = "one_or_many")]
    #[schema(value_type = OneOrMany, required = false)]
    pub exclude_artists: Vec<String>,
    /// Tracks to leave out.
    #[schema(value_type = Option<Vec<i64>>)]
    pub exclude_track_ids: Option<Vec<Value>>,
    /// At most so many tracks of one artist.
    #[schema(minimum = 1)]
    pub max_per_artist: Option<u32>,
    /// Only files below this folder.
    pub path_prefix: Option<String>,
}

/// A name, or several.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes what `one_or_many` reads")]
pub(crate) enum OneOrMany {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

/// A closed interval; either end may be open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RangeInput {
    /// Smallest value that passes.
    pub min: Option<f64>,
    /// Largest value that passes.
    pub max: Option<f64>,
}

impl FilterInput {
    /// Checks everything and folds the names.
    ///
    /// # Errors
    /// One for every condition that is wrong.
    pub fn check(self) -> Result<Filter, Vec<FieldError>> {
        let mut checks = Checks::default();
        let filter = Filter {
            genres: checks.genres(&self.genre, self.include_subgenres.unwrap_or(false)),
            tags: checks.names("tags", &self.tags, bounds::LIST_ENTRIES),
            years: checks.range("year_range", self.year_range),
            bpm: checks.range("bpm_range", self.bpm_range),
            // Of no interval, no octave: filters that mean the same are equal.
            bpm_octaves: self.bpm_octaves.unwrap_or(false) && self.bpm_range.is_some(),
            duration: checks.range("duration_range", self.duration_range),
            key: checks.key(self.key.as_deref()),
            exclude_same_artist: self.exclude_same_artist.unwrap_or(false),
            excluded_artists: checks
                .names("exclude_artists", &self.exclude_artists, MAX_EXCLUDED_ARTISTS)
                .into_iter()
                .collect(),
            excluded_tracks: checks.ids(&self.exclude_track_ids.unwrap_or_default()),
            max_per_artist: checks.count(self.max_per_artist),
            path_prefix: checks.path(self.path_prefix),
        };
        if checks.errors.is_empty() { Ok(filter) } else { Err(checks.errors) }
    }
}

#[derive(Default)]
struct Checks {
    errors: Vec<FieldError>,
}

impl Checks {
    fn refuse(&mut self, field: &str, reason: impl Into<String>) {
        self.errors.push(FieldError::new(field, reason));
    }

    fn names(&mut self, field: &str, names: &[String], most: usize) -> Vec<String> {
        if names.len() > most {
            self.refuse(field, format!("{} entries; at most {most} are allowed", names.len()));
            return Vec::new();
        }
        if names.iter().any(|name| name.chars().count() > bounds::TEXT_CHARS) {
            self.refuse(field, format!("an entry has more than {} characters", bounds::TEXT_CHARS));
            return Vec::new();
        }
        let folded: Vec<String> = names.iter().map(|name| fold(name)).filter(|name| !name.is_empty()).collect();
        // Only blanks is no wish for "any": it is a form that was sent half filled in.
        if folded.is_empty() && !names.is_empty() {
            self.refuse(field, "is blank: leave it out, or name something");
        }
        folded
    }

    fn genres(&mut self, given: &[String], with_parts: bool) -> Vec<String> {
        let genres = self.names("genre", given, bounds::LIST_ENTRIES);
        if !with_parts {
            return genres;
        }
        let mut all: Vec<String> = genres.iter().flat_map(|genre| with_subgenres(genre)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    fn range(&mut self, field: &str, range: Option<Object<RangeInput>>) -> Range {
        let Object(RangeInput { min, max }) = range.unwrap_or_default();
        for end in [min, max].into_iter().flatten().filter(|end| !end.is_finite()) {
            self.refuse(field, format!("{end} is no number"));
        }
        if let (Some(min), Some(max)) = (min, max)
            && min > max
        {
            self.refuse(field, format!("min {min} is above max {max}: nothing could pass"));
        }
        Range { min, max }
    }

    fn key(&mut self, text: Option<&str>) -> Option<Key> {
        let text = text?;
        let key = Key::parse(text);
        if key.is_none() {
            let shown: String = text.chars().take(40).collect();
            self.refuse("key", format!("{shown:?} is no key: write \"F# minor\", \"11A\" or \"4m\""));
        }
        key
    }

    fn ids(&mut self, ids: &[Value]) -> HashSet<TrackId> {
        if ids.len() > MAX_EXCLUDED_TRACKS {
            let reason = format!("{} ids; at most {MAX_EXCLUDED_TRACKS} are allowed", ids.len());
            self.refuse("exclude_track_ids", reason);
            return HashSet::new();
        }
        let mut found = HashSet::with_capacity(ids.len());
        for (index, id) in ids.iter().enumerate() {
            match read_id(id) {
                Ok(id) => {
                    found.insert(id);
                }
                Err(reason) => {
                    self.refuse("exclude_track_ids", format!("entry {}: {reason}", index + 1));
                    break;
                }
            }
        }
        found
    }

    fn count(&mut self, count: Option<u32>) -> Option<usize> {
        if count == Some(0) {
            self.refuse("max_per_artist", "0 would leave nothing: 1 or more, or leave it out");
        }
        count.and_then(|count| usize::try_from(count).ok())
    }

    fn path(&mut self, path: Option<String>) -> Option<String> {
        let path = path.filter(|path| !path.is_empty())?;
        if path.chars().count() > bounds::PATH_CHARS {
            self.refuse("path_prefix", format!("more than {} characters", bounds::PATH_CHARS));
        }
        Some(path)
    }
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct OneOrMany;

    impl<'de> Visitor<'de> for OneOrMany {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text or a list of texts")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok(vec![text.to_owned()])
        }

        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(Vec::new())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut texts = Vec::new();
            while let Some(text) = entries.next_element()? {
                texts.push(text);
            }
            Ok(texts)
        }
    }

    deserializer.deserialize_any(OneOrMany)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use soniquebay_domain::{Filter, Key};

    use super::FilterInput;

    fn check(value: Value) -> Result<Filter, Vec<String>> {
        let input: FilterInput = serde_json::from_value(value).map_err(|error| vec![error.to_string()])?;
        input.check().map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_python_form_is_valid_as_it_is() {
        let python = json!({"genre": "Rock", "exclude_same_artist": true, "year_range": {"min": 2000, "max": 2020}});
        let filter = check(python).unwrap();
        assert_eq!(filter.genres, ["rock"]);
        assert!(filter.exclude_same_artist);
        assert_eq!((filter.years.min, filter.years.max), (Some(2000.0), Some(2020.0)));
    }

    #[test]
    fn every_condition_is_read() {
        let filter = check(json!({
            "genre": ["Rock", "POP"], "bpm_range": {"min": 90}, "duration_range": {"max": 300}, "key": "8A",
            "exclude_track_ids": [1, "2"], "exclude_artists": ["Beyoncé"], "max_per_artist": 2, "tags": "Live",
            "path_prefix": "/music", "year_range": null, "exclude_same_artist": null,
        }))
        .unwrap();
        assert_eq!(filter.genres, ["rock", "pop"]);
        assert_eq!(filter.key, Key::parse("A minor"));
        assert_eq!((filter.excluded_tracks.len(), filter.max_per_artist), (2, Some(2)));
        assert!(filter.excluded_artists.contains("beyonce"));
        assert_eq!((filter.tags, filter.path_prefix.as_deref()), (vec!["live".into()], Some("/music")));
        assert_eq!(check(json!({})).unwrap(), Filter::default());
        assert_eq!(check(json!({"genre": null, "tags": []})).unwrap(), Filter::default());
    }

    #[test]
    fn a_genre_stands_for_its_parts_where_asked() {
        let genres =
            |parts: bool| check(json!({"genre": ["Rock", "Polka"], "include_subgenres": parts})).unwrap().genres;
        assert_eq!(genres(false), ["rock", "polka"]);
        assert!(genres(true).contains(&"hard rock".to_owned()) && genres(true).contains(&"polka".to_owned()));
        let tempo = check(json!({"bpm_range": {"min": 60}, "bpm_octaves": true})).unwrap();
        assert!(tempo.bpm_octaves);
        assert_eq!(check(json!({"bpm_octaves": true})).unwrap(), Filter::default());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (given, said) in [
            (json!({"year_range": {"min": 2020, "max": 2000}}), "year_range: min 2020 is above max 2000"),
            (json!({"key": "H dur-ish"}), "key: \"H dur-ish\" is no key"),
            (json!({"genr": "rock"}), "unknown field `genr`"),
            (json!({"year_range": {"from": 1}}), "unknown field `from`"),
            (json!({"genre": 5}), "a text or a list of texts"),
            (json!({"genre": vec!["x"; 65]}), "genre: 65 entries"),
            (json!({"genre": " "}), "genre: is blank"),
            (json!({"exclude_track_ids": vec![1; 10_001]}), "10001 ids"),
            (json!({"exclude_track_ids": [1, 0]}), "entry 2"),
            (json!({"max_per_artist": 0}), "max_per_artist: 0"),
        ] {
            let errors = check(given.clone()).unwrap_err();
            assert!(errors.iter().any(|error| error.contains(said)), "{given}: {errors:?}");
        }
        let two = check(json!({"key": "?", "max_per_artist": 0})).unwrap_err();
        assert_eq!(two.len(), 2, "all at once");
    }
}
