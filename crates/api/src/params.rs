//! The query string: every name must be known, every fault is named, all at once.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde_json::Value;
use soniquebay_domain::{FieldError, Filter, Space, TrackId, bounds};
use soniquebay_search::SimilarOptions;
use soniquebay_wire::{FilterInput, Object, RangeInput};

use crate::error::{ApiError, Code};

/// Items in one answer, at most.
pub(crate) const MAX_LIMIT: usize = 1000;

/// Vectors in one answer, at most: each is some kilobytes of text.
pub(crate) const MAX_VECTORS: usize = 200;

/// The parameters of a request. Take them, then ask [`Params::finish`] whether all was well.
pub(crate) struct Params {
    left: Vec<(String, String)>,
    errors: Vec<FieldError>,
}

/// Which part of a list.
pub(crate) struct PageParams {
    /// Given where the client walks by id and wants `{items, next}`.
    pub(crate) after: Option<i64>,
    pub(crate) skip: usize,
    pub(crate) limit: usize,
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let Query(mut left) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|_| ApiError::new(Code::InvalidFilter, "The query string cannot be read."))?;
        // "_=1" and the like only keep caches away.
        left.retain(|(name, _)| !name.starts_with('_'));
        Ok(Self { left, errors: Vec::new() })
    }
}

impl Params {
    /// Every value of a name that may come more than once.
    pub(crate) fn many(&mut self, name: &str) -> Vec<String> {
        self.left.extract_if(.., |(found, _)| found == name).map(|(_, value)| value).collect()
    }

    /// The value of a name that may come once. An empty one is none, as HTML forms send it.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        let mut values = self.many(name);
        if values.len() > 1 {
            self.refuse(name, "is given more than once");
        }
        let value = values.pop().filter(|value| !value.is_empty())?;
        if value.chars().count() > bounds::PATH_CHARS {
            self.refuse(name, format!("more than {} characters", bounds::PATH_CHARS));
            return None;
        }
        Some(value)
    }

    pub(crate) fn number<T: FromStr + PartialOrd + Display>(
        &mut self,
        name: &str,
        allowed: &RangeInclusive<T>,
    ) -> Option<T> {
        let text = self.text(name)?;
        let number = text.trim().parse().ok().filter(|number| allowed.contains(number));
        if number.is_none() {
            let shown: String = text.chars().take(40).collect();
            self.refuse(name, format!("{shown:?} is not a number from {} to {}", allowed.start(), allowed.end()));
        }
        number
    }

    pub(crate) fn flag(&mut self, name: &str) -> Option<bool> {
        match self.text(name)?.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => {
                self.refuse(name, "true or false");
                None
            }
        }
    }

    pub(crate) fn limit(&mut self, default: usize, most: usize) -> usize {
        self.number("limit", &(1..=most)).unwrap_or(default)
    }

    /// Which part of a list of which at most so many items come at once.
    pub(crate) fn page(&mut self, most: usize) -> PageParams {
        PageParams {
            after: self.number("after", &(0..=i64::MAX)),
            skip: self.number("skip", &(0..=u32::MAX as usize)).unwrap_or(0),
            limit: self.limit(100, most),
        }
    }

    /// The tracks that are asked for one by one, with commas between; `None` where they are not. Take it before the page,
    /// which is another way to ask.
    pub(crate) fn ids(&mut self, most: usize) -> Option<Vec<TrackId>> {
        let lists = self.many("ids");
        if lists.is_empty() {
            return None;
        }
        for other in ["after", "skip", "limit"] {
            if self.left.iter().any(|(name, _)| name == other) {
                self.refuse(other, "is for walking through all: leave it out beside `ids`");
            }
        }
        let texts = lists.iter().flat_map(|list| list.split(',')).map(str::trim).filter(|text| !text.is_empty());
        let ids: Vec<Option<TrackId>> = texts.map(|text| text.parse().ok().and_then(TrackId::new)).collect();
        if ids.len() > most {
            self.refuse("ids", format!("{} tracks; at most {most} are answered at once", ids.len()));
        }
        if let Some(place) = ids.iter().position(Option::is_none) {
            self.refuse("ids", format!("entry {} is no track id: a whole number above 0", place + 1));
        }
        Some(ids.into_iter().flatten().collect())
    }

    /// The fields to answer, of those that there are; `None` for all of them.
    pub(crate) fn fields(&mut self, known: &[String]) -> Option<Vec<String>> {
        let text = self.text("fields")?;
        let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
        if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
            let shown: String = unknown.chars().take(40).collect();
            self.refuse("fields", format!("{shown:?} is none of {}", known.join(", ")));
        }
        Some(names)
    }

    pub(crate) fn space(&mut self) -> Option<Space> {
        let text = self.text("space")?;
        match Space::parse(&text) {
            Ok(space) => Some(space),
            Err(error) => {
                self.refuse("space", error.to_string());
                None
            }
        }
    }

    /// What the recommender's GET routes share.
    pub(crate) fn options(&mut self) -> SimilarOptions {
        SimilarOptions {
            filter: self.filter(),
            limit: self.limit(10, MAX_LIMIT),
            space: self.space(),
            numbers: None,
            sound: None,
            relax: self.flag("relax").unwrap_or(false),
            fold: self.flag("fold").unwrap_or(false),
        }
    }

    /// The filter of [`Self::options`].
    pub(crate) fn filter(&mut self) -> Filter {
        let ids = self.many("exclude_track_ids");
        let ids: Vec<Value> =
            ids.iter().flat_map(|list| list.split(',')).map(|id| Value::from(id.trim().to_owned())).collect();
        let input = FilterInput {
            genre: self.many("genre"),
            include_subgenres: self.flag("include_subgenres"),
            tags: self.many("tags"),
            year_range: self.range("year"),
            bpm_range: self.range("bpm"),
            bpm_octaves: self.flag("bpm_octaves"),
            duration_range: self.range("duration"),
            key: self.text("key"),
            exclude_same_artist: self.flag("exclude_same_artist"),
            exclude_artists: self.many("exclude_artists"),
            exclude_track_ids: (!ids.is_empty()).then_some(ids),
            max_per_artist: self.number("max_per_artist", &(1..=u32::MAX)),
            path_prefix: self.text("path_prefix"),
        };
        input.check().unwrap_or_else(|errors| {
            self.errors.extend(errors);
            Filter::default()
        })
    }

    fn range(&mut self, of: &str) -> Option<Object<RangeInput>> {
        let mut end = |which: &str| self.number(&format!("{of}_{which}"), &(-1e9..=1e9));
        let (min, max) = (end("min"), end("max"));
        (min.is_some() || max.is_some()).then_some(Object(RangeInput { min, max }))
    }

    pub(crate) fn refuse(&mut self, name: &str, reason: impl Into<String>) {
        self.errors.push(FieldError::new(name, reason));
    }

    /// Whether everything was right and nothing is left: a filter with a typing error must not answer everything.
    pub(crate) fn finish(mut self) -> Result<(), ApiError> {
        for (name, _) in self.left.iter().take(10) {
            self.errors.push(FieldError::new(name, "is no parameter of this route"));
        }
        if self.errors.is_empty() { Ok(()) } else { Err(ApiError::fields(Code::InvalidFilter, self.errors)) }
    }
}

#[cfg(test)]
mod tests {
    use super::Params;

    fn params(pairs: &[(&str, &str)]) -> Params {
        let left = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Params { left, errors: Vec::new() }
    }

    #[test]
    fn a_filter_is_read_from_the_query() {
        let mut query = params(&[
            ("genre", "Rock"),
            ("genre", "Pop"),
            ("year_min", "1970"),
            ("exclude_same_artist", "True"),
            ("exclude_track_ids", "1,2"),
            ("bpm_max", ""),
            ("bpm_min", "120"),
            ("bpm_octaves", "1"),
            ("include_subgenres", "true"),
            ("relax", "true"),
            ("limit", "7"),
        ]);
        let options = query.options();
        let filter = options.filter;
        query.finish().unwrap();
        assert!(filter.genres.contains(&"hard rock".to_owned()) && filter.genres.contains(&"pop".to_owned()));
        assert!(filter.bpm_octaves && options.relax && !options.fold && options.limit == 7);
        assert_eq!((filter.years.min, filter.years.max, filter.bpm.max), (Some(1970.0), None, None));
        assert!(filter.exclude_same_artist && filter.excluded_tracks.len() == 2);
    }

    #[test]
    fn tracks_are_named_one_by_one() {
        let mut query = params(&[("ids", "3, 1,"), ("ids", "2")]);
        let ids = query.ids(3).unwrap();
        query.finish().unwrap();
        assert_eq!(ids.iter().map(|id| id.get()).collect::<Vec<_>>(), [3, 1, 2]);
        assert_eq!(params(&[]).ids(3), None);
        for wrong in [&[("ids", "1,x")][..], &[("ids", "0")], &[("ids", "1,2,3,4")], &[("ids", "1"), ("limit", "2")]] {
            let mut query = params(wrong);
            query.ids(3);
            query.page(3);
            assert!(query.finish().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn faults_are_named() {
        for wrong in [
            ("fold", "maybe"),
            ("limit", "0"),
            ("limit", "1001"),
            ("limit", "x"),
            ("gener", "rock"),
            ("bpm_min", "NaN"),
        ] {
            let mut query = params(&[wrong]);
            query.options();
            assert!(format!("{:?}", query.finish().unwrap_err()).contains(wrong.0), "{wrong:?}");
        }
    }
}
