//! A filter as SQL: what [`Filter::admits`] says, of columns.

use soniquebay_domain::{Filter, Key, Mode, PitchClass, Range};
use tokio_postgres::types::ToSql;

use super::row::numbers_of;

/// Conditions on `tracks`, and the values that they name by number.
pub(super) struct Predicate {
    sql: String,
    values: Vec<Box<dyn ToSql + Sync + Send>>,
    before: usize,
}

impl Predicate {
    /// The conditions of a filter, `max_per_artist` aside. Their values are numbered from `before` + 1.
    pub(super) fn new(filter: &Filter, before: usize) -> Self {
        let mut predicate = Self { sql: "TRUE".into(), values: Vec::new(), before };
        if !filter.genres.is_empty() {
            predicate.and("genres_folded && {}", filter.genres.clone());
        }
        if !filter.tags.is_empty() {
            predicate.and("tags_folded @> {}", filter.tags.clone());
        }
        for (column, range) in [("year", &filter.years), ("bpm", &filter.bpm), ("duration", &filter.duration)] {
            predicate.within(column, range);
        }
        if let Some(key) = filter.key {
            let code = "(3 * key + CASE mode WHEN 'major' THEN 1 WHEN 'minor' THEN 2 ELSE 0 END) = ANY({})";
            predicate.and(code, compatible(key));
        }
        if !filter.excluded_artists.is_empty() {
            predicate.and("artist_folded <> ALL({})", filter.excluded_artists.iter().cloned().collect::<Vec<_>>());
        }
        if !filter.excluded_tracks.is_empty() {
            let excluded: Vec<_> = filter.excluded_tracks.iter().copied().collect();
            predicate.and("tracks.id <> ALL({})", numbers_of(&excluded));
        }
        match filter.path_prefix.as_deref().map(|folder| folder.trim_end_matches('/').to_owned()) {
            // No path holds it, and PostgreSQL takes no such value.
            Some(folder) if folder.contains('\0') => predicate.sql.push_str(" AND FALSE"),
            Some(folder) => {
                predicate.and("(path ^@ {}", format!("{folder}/"));
                predicate.sql.push_str(&format!(" OR path = ${})", predicate.before + predicate.values.len() + 1));
                predicate.values.push(Box::new(folder));
            }
            None => {}
        }
        predicate
    }

    /// That a track is one of these.
    pub(super) fn these(ids: &[i64], before: usize) -> Self {
        let mut predicate = Self { sql: "TRUE".into(), values: Vec::new(), before };
        predicate.and("tracks.id = ANY({})", ids.to_vec());
        predicate
    }

    /// Whether every track passes.
    pub(super) fn is_empty(&self) -> bool {
        self.sql == "TRUE"
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
        self.values.push(Box::new(value));
        let number = format!("${}", self.before + self.values.len());
        self.sql.push_str(" AND ");
        self.sql.push_str(&condition.replace("{}", &number));
    }

    fn within(&mut self, column: &str, range: &Range) {
        for (end, comparison) in [(range.min, ">="), (range.max, "<=")] {
            match end {
                // Nothing is above or below it; PostgreSQL has an order for it.
                Some(end) if end.is_nan() => self.sql.push_str(" AND FALSE"),
                Some(end) => self.and(&format!("{column}::float8 {comparison} {{}}"), end),
                None => {}
            }
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
