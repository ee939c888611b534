//! A filter as SQL: what [`Filter::admits`] says, of columns.

use soniquebay_domain::{Filter, Key, Mode, PitchClass, Range};
use tokio_postgres::types::ToSql;

use super::row::numbers_of;

/// What every track is.
const ANYTHING: &str = "TRUE";

/// Conditions on `tracks`, and the values that they name by number.
pub(super) struct Predicate {
    sql: String,
    /// Tracks that are left out by name.
    left_out: usize,
    /// Whether there is any other condition.
    narrows: bool,
    values: Vec<Box<dyn ToSql + Sync + Send>>,
    before: usize,
}

impl Predicate {
    /// The conditions of a filter, `max_per_artist` aside. Their values are numbered from `before` + 1.
    pub(super) fn new(filter: &Filter, before: usize) -> Self {
        // Named one by one, so that a new condition is thought of here.
        let Filter {
            genres,
            tags,
            years,
            bpm,
            bpm_octaves,
            duration,
            key,
            exclude_same_artist: _,
            excluded_artists,
            excluded_tracks,
            max_per_artist: _,
            path_prefix,
        } = filter;
        let mut predicate = Self::anything(before);
        if !genres.is_empty() {
            predicate.and("genres_folded && {}", genres.clone());
        }
        if !tags.is_empty() {
            predicate.and("tags_folded @> {}", tags.clone());
        }
        // The column is of whole numbers, and its index too.
        let years = Range { min: years.min.map(f64::ceil), max: years.max.map(f64::floor) };
        predicate.within(("year", "bigint"), &years, &[1.0], |year| Box::new(year as i64));
        let octaves: &[f64] = if *bpm_octaves { &[1.0, 2.0, 0.5] } else { &[1.0] };
        predicate.within(("bpm", "float8"), bpm, octaves, |bpm| Box::new(bpm));
        predicate.within(("duration", "float8"), duration, &[1.0], |seconds| Box::new(seconds));
        if let Some(key) = key {
            let code = "(3 * key + CASE mode WHEN 'major' THEN 1 WHEN 'minor' THEN 2 ELSE 0 END) = ANY({})";
            predicate.and(code, compatible(*key));
        }
        if !excluded_artists.is_empty() {
            predicate.and("artist_folded <> ALL({})", excluded_artists.iter().cloned().collect::<Vec<_>>());
        }
        match path_prefix.as_deref().map(|folder| folder.trim_end_matches('/').to_owned()) {
            // No path holds it, and PostgreSQL takes no such value.
            Some(folder) if folder.contains('\0') => predicate.sql.push_str(" AND FALSE"),
            Some(folder) => {
                predicate.and("(path ^@ {}", format!("{folder}/"));
                predicate.sql.push_str(&format!(" OR path = ${})", predicate.before + predicate.values.len() + 1));
                predicate.values.push(Box::new(folder));
            }
            None => {}
        }
        predicate.narrows = predicate.sql != ANYTHING;
        if !excluded_tracks.is_empty() {
            predicate.left_out = excluded_tracks.len();
            let excluded: Vec<_> = excluded_tracks.iter().copied().collect();
            predicate.and("tracks.id <> ALL({})", numbers_of(&excluded));
        }
        predicate
    }

    fn anything(before: usize) -> Self {
        Self { sql: ANYTHING.into(), left_out: 0, narrows: false, values: Vec::new(), before }
    }

    /// That a vector is of one of these tracks.
    pub(super) fn these(ids: &[i64], before: usize) -> Self {
        let mut predicate = Self::anything(before);
        predicate.and("track_id = ANY({})", ids.to_vec());
        predicate
    }

    /// Whether it asks for more than that some tracks be left out by name.
    pub(super) fn narrows(&self) -> bool {
        self.narrows
    }

    /// How many tracks are left out by name.
    pub(super) fn left_out(&self) -> usize {
        self.left_out
    }

    /// The conditions, all of which hold together.
    pub(super) fn sql(&self) -> &str {
        &self.sql
    }

    /// The values of a statement: those before, then those of the conditions.
    pub(super) fn values<'a>(&'a self, before: &[&'a (dyn ToSql + Sync)]) -> Vec<&'a (dyn ToSql + Sync)> {
        debug_assert_eq!(before.len(), self.before);
        let own = self.values.iter().map(|value| &**value as &(dyn ToSql + Sync));
        before.iter().copied().chain(own).collect()
    }

    fn and(&mut self, condition: &str, value: impl ToSql + Sync + Send + 'static) {
        let number = self.value(Box::new(value));
        self.sql.push_str(" AND ");
        self.sql.push_str(&condition.replace("{}", &number));
    }

    /// Names a value.
    fn value(&mut self, value: Box<dyn ToSql + Sync + Send>) -> String {
        self.values.push(value);
        format!("${}", self.before + self.values.len())
    }

    /// That a column, compared as this kind of number, lies within a range, or within that range times another one of `factors`, which are powers of two; an unknown
    /// number does not. `value` makes an end what the column is compared with.
    fn within(
        &mut self,
        (column, kind): (&str, &str),
        range: &Range,
        factors: &[f64],
        value: fn(f64) -> Box<dyn ToSql + Sync + Send>,
    ) {
        let ends: Vec<(&str, f64)> =
            [(">=", range.min), ("<=", range.max)].into_iter().filter_map(|(is, end)| Some((is, end?))).collect();
        if ends.iter().any(|(_, end)| end.is_nan()) {
            // Nothing is above or below it; PostgreSQL has an order for it.
            self.sql.push_str(" AND FALSE");
        } else if !ends.is_empty() {
            let mut any = Vec::new();
            for factor in factors {
                let mut end =
                    |(is, end): &(&str, f64)| format!("{column} {is} {}::{kind}", self.value(value(end * factor)));
                any.push(format!("({})", ends.iter().map(&mut end).collect::<Vec<_>>().join(" AND ")));
            }
            self.sql.push_str(&format!(" AND ({})", any.join(" OR ")));
        }
    }
}

/// The keys that pass, as the column's semitones and mode make them numbers.
fn compatible(key: Key) -> Vec<i32> {
    let modes = [(0, None), (1, Some(Mode::Major)), (2, Some(Mode::Minor))];
    let all = (0..12).flat_map(|semitones| modes.map(|(number, mode)| (3 * semitones + number, semitones, mode)));
    all.filter(|(_, semitones, mode)| {
        Key { tonic: PitchClass::from_semitones(i64::from(*semitones)), mode: *mode }.is_compatible(key)
    })
    .map(|(number, ..)| number)
    .collect()
}
