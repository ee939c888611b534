use std::fs::File;
use std::io::{BufRead, BufReader, Cursor};
use std::path::Path;

use anyhow::{Context, ensure};
use serde::Deserialize;
use serde_json::Value;
use soniquebay_domain::{TrackFields, bounds, fold};
use soniquebay_wire::RangeInput;

use super::input::each_object;

/// Queries that were written for the catalogue that ships.
const SHIPPED: &str = include_str!("../../../../../data/typed-queries.jsonl");

/// Queries in a file; each is asked three times.
const MOST_QUERIES: usize = 10_000;

/// Words that somebody might type, and what should come up.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    pub(super) query: String,
    /// What sort of query it is: the measure is told for each kind.
    pub(super) kind: String,
    /// For whoever reads the file.
    #[serde(rename = "language")]
    _language: Option<String>,
    /// Kept apart from the queries that the search was tuned with.
    #[serde(default)]
    pub(super) held_out: bool,
    pub(super) expect: Expect,
}

/// Which tracks are a right answer. All conditions hold together. Names are compared folded.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Expect {
    /// The whole title.
    title: Option<String>,
    /// A part of the artist: "João Gilberto" is one of "Stan Getz & João Gilberto".
    artist: Option<String>,
    /// The whole album.
    album: Option<String>,
    /// One of these genres.
    genre_any: Vec<String>,
    /// One of these moods.
    mood_any: Vec<String>,
    /// Year of release.
    year_range: Option<RangeInput>,
    /// One of these, where there are any.
    any: Vec<Expect>,
}

impl Expect {
    pub(super) fn admits(&self, track: &TrackFields) -> bool {
        let folded = |name: &Option<String>| fold(name.as_deref().unwrap_or_default());
        let same = |wanted: &Option<String>, name| wanted.is_none() || folded(wanted) == folded(name);
        let in_range = |range: RangeInput| {
            let year = track.year.map(f64::from);
            year.is_some_and(|year| range.min.is_none_or(|min| year >= min) && range.max.is_none_or(|max| year <= max))
        };
        same(&self.title, &track.title)
            && same(&self.album, &track.album)
            && folded(&track.artist).contains(&folded(&self.artist))
            && one_of(&self.genre_any, track.genre.iter().chain(&track.genre_tags))
            && one_of(&self.mood_any, &track.mood_tags)
            && self.year_range.is_none_or(in_range)
            && (self.any.is_empty() || self.any.iter().any(|expect| expect.admits(track)))
    }
}

/// Whether one of the `wanted` names is known, or none is wanted.
fn one_of<'a>(wanted: &[String], known: impl IntoIterator<Item = &'a String>) -> bool {
    let wanted: Vec<String> = wanted.iter().map(|name| fold(name)).collect();
    wanted.is_empty() || known.into_iter().any(|known| wanted.contains(&fold(known)))
}

/// The queries of this file, or those that ship.
///
/// # Errors
/// At the first line that is wrong.
pub(super) fn read(file: Option<&Path>) -> anyhow::Result<Vec<Query>> {
    let Some(file) = file else { return read_lines(Cursor::new(SHIPPED)) };
    let name = file.display();
    let reader = BufReader::new(File::open(file).with_context(|| format!("{name} cannot be read"))?);
    read_lines(reader).with_context(|| name.to_string())
}

fn read_lines(reader: impl BufRead) -> anyhow::Result<Vec<Query>> {
    let mut queries = Vec::new();
    each_object(reader, |fields| {
        let query: Query = serde_json::from_value(Value::Object(fields))?;
        ensure!(!query.query.trim().is_empty(), "query: says nothing");
        ensure!(
            query.query.chars().count() <= bounds::TEXT_CHARS,
            "query: more than {} characters",
            bounds::TEXT_CHARS
        );
        ensure!(queries.len() < MOST_QUERIES, "more than {MOST_QUERIES} queries");
        queries.push(query);
        Ok(())
    })?;
    ensure!(!queries.is_empty(), "there are no queries in it");
    Ok(queries)
}

#[cfg(test)]
mod tests {
    use soniquebay_domain::TrackFields;

    use super::{Expect, read, read_lines};

    #[test]
    fn right_answers_are_told_from_wrong_ones() {
        let track = TrackFields {
            title: Some("Desafinado".into()),
            artist: Some("Stan Getz & João Gilberto".into()),
            genre: Some("Bossa Nova".into()),
            mood_tags: vec!["calm".into()],
            year: Some(1962),
            ..TrackFields::default()
        };
        let admits = |json: &str| serde_json::from_str::<Expect>(json).unwrap().admits(&track);
        for right in [
            "{}",
            r#"{"title": "desafinado", "artist": "JOAO gilberto"}"#,
            r#"{"genre_any": ["Jazz", "bossa nova"], "year_range": {"min": 1960, "max": 1969}}"#,
            r#"{"mood_any": ["calm"]}"#,
            r#"{"any": [{"title": "other"}, {"year_range": {"max": 1962}}]}"#,
        ] {
            assert!(admits(right), "{right}");
        }
        for wrong in [
            r#"{"title": "Desafinado (Live)"}"#,
            r#"{"album": "Jazz Samba"}"#,
            r#"{"genre_any": ["Jazz"]}"#,
            r#"{"mood_any": ["calm"], "year_range": {"min": 1963}}"#,
            r#"{"any": [{"title": "other"}]}"#,
        ] {
            assert!(!admits(wrong), "{wrong}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let refused = |text: &str| format!("{:#}", read_lines(text.as_bytes()).unwrap_err());
        let good = r#"{"query": "x", "kind": "title", "expect": {"title": "X"}}"#;
        assert!(
            refused(&format!("{good}\n{}", good.replace("\"x\"", "\" \""))).starts_with("line 2: query: says nothing")
        );
        assert!(refused(&good.replace("\"title\": \"X\"", "\"titel\": \"X\"")).contains("unknown field `titel`"));
        assert_eq!(refused("\n"), "there are no queries in it");
    }

    #[test]
    fn the_shipped_queries_are_of_six_kinds_and_each_is_held_out_in_part() {
        let queries = read(None).unwrap();
        for kind in ["title", "typo", "artist", "album", "genre_era", "mood"] {
            let of_kind = |held_out| queries.iter().filter(|q| q.kind == kind && q.held_out == held_out).count();
            assert!(of_kind(false) + of_kind(true) >= 10 && of_kind(true) >= 5, "{kind}");
        }
    }
}
