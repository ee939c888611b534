//! Order among scored rows.

use std::cmp::Ordering;
use std::collections::HashMap;

use soniquebay_domain::TrackId;

use super::facts::FactTable;

/// A scored row. The greater one is the better answer: the higher score, then the smaller id.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Scored {
    pub(super) score: f32,
    pub(super) id: TrackId,
    pub(super) row: u32,
}

impl Eq for Scored {}

impl Ord for Scored {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then_with(|| other.id.cmp(&self.id))
    }
}

impl PartialOrd for Scored {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// How many rows are wanted, and how many of one artist.
pub(super) struct Wanted<'a> {
    pub(super) k: usize,
    /// At most so many rows of one artist; rows whose artist is unknown are not counted together.
    pub(super) of_one_artist: Option<usize>,
    pub(super) facts: &'a FactTable,
}

impl Wanted<'_> {
    /// The best rows, best first.
    pub(super) fn best(&self, mut rows: Vec<Scored>) -> Vec<Scored> {
        let best_first = |a: &Scored, b: &Scored| b.cmp(a);
        let Some(most) = self.of_one_artist else {
            if rows.len() > self.k && self.k > 0 {
                rows.select_nth_unstable_by(self.k - 1, best_first);
            }
            rows.truncate(self.k);
            rows.sort_unstable_by(best_first);
            return rows;
        };
        // How far down the ranking k rows reach, their artists alone decide.
        rows.sort_unstable_by(best_first);
        let unknown = self.facts.unknown_artist();
        let mut taken: HashMap<Option<u32>, usize> = HashMap::new();
        rows.retain(|row| {
            let artist = self.facts.artist(row.row);
            if artist == unknown {
                return true;
            }
            let count = taken.entry(artist).or_default();
            *count += 1;
            *count <= most
        });
        rows.truncate(self.k);
        rows
    }

    /// What a row's score must be at least for the row to be among the best, as far as these scores of rows tell: more
    /// rows can only raise it.
    pub(super) fn floors(&self, mut scores: Vec<(f32, u32)>) -> Floors<'_> {
        let best_first = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0);
        let mut floors = Floors { of_all: f32::NEG_INFINITY, of_artists: HashMap::new(), facts: self.facts };
        let Some(most) = self.of_one_artist else {
            if scores.len() >= self.k && self.k > 0 {
                floors.of_all = scores.select_nth_unstable_by(self.k - 1, best_first).1.0;
            }
            return floors;
        };
        scores.sort_unstable_by(best_first);
        let unknown = self.facts.unknown_artist();
        let mut taken: HashMap<u32, usize> = HashMap::new();
        let mut found = 0;
        for (score, row) in scores {
            let artist = self.facts.artist(row).filter(|artist| Some(*artist) != unknown);
            let is_taken = artist.is_none_or(|artist| {
                let count = taken.entry(artist).or_default();
                *count += 1;
                if *count == most.max(1) {
                    floors.of_artists.insert(artist, score);
                }
                *count <= most
            });
            found += usize::from(is_taken);
            if is_taken && found == self.k {
                floors.of_all = score;
            }
        }
        floors
    }
}

/// See [`Wanted::floors`].
pub(super) struct Floors<'a> {
    of_all: f32,
    /// Those of artists that have more rows than may be answered.
    of_artists: HashMap<u32, f32>,
    facts: &'a FactTable,
}

impl Floors<'_> {
    /// The floor of a row; −∞ where too few rows are known.
    pub(super) fn of(&self, row: u32) -> f32 {
        if self.of_artists.is_empty() {
            return self.of_all;
        }
        let of_artist = self.facts.artist(row).and_then(|artist| self.of_artists.get(&artist));
        of_artist.copied().unwrap_or(self.of_all).max(self.of_all)
    }
}

#[cfg(test)]
mod tests {
    use soniquebay_domain::{Facts, TrackId};

    use super::{Scored, Wanted};
    use crate::index::facts::FactTable;

    const ROWS: [(i64, f32, &str); 6] =
        [(1, 0.9, "a"), (2, 0.8, "a"), (3, 0.7, "a"), (4, 0.6, "b"), (5, 0.5, ""), (6, 0.4, "")];

    fn ask<T>(
        rows: &[(i64, f32, &str)],
        k: usize,
        most: Option<usize>,
        ask: impl Fn(&Wanted<'_>, Vec<Scored>) -> T,
    ) -> T {
        let mut facts = FactTable::new();
        let mut scored = Vec::new();
        for (row, (id, score, artist)) in (0..).zip(rows) {
            facts.set(row, &Facts { artist: (*artist).into(), ..Facts::default() });
            scored.push(Scored { score: *score, id: TrackId::new(*id).unwrap(), row });
        }
        ask(&Wanted { k, of_one_artist: most, facts: &facts }, scored)
    }

    fn best(rows: &[(i64, f32, &str)], k: usize, most: Option<usize>) -> Vec<i64> {
        ask(rows, k, most, |wanted, rows| wanted.best(rows).iter().map(|row| row.id.get()).collect())
    }

    #[test]
    fn the_best_come_first_and_ties_go_by_id() {
        let rows = [(9, 0.5, ""), (4, 0.2, ""), (3, 0.5, ""), (7, -1.0, ""), (1, 0.0, "")];
        assert_eq!(best(&rows, 2, None), [3, 9]);
        assert_eq!(best(&rows, 99, None), [3, 9, 4, 1, 7]);
        assert_eq!(best(&rows, 0, None), [0i64; 0]);
    }

    #[test]
    fn an_artist_gives_its_best_and_unknown_artists_do_not_share_one_place() {
        assert_eq!(best(&ROWS, 4, Some(1)), [1, 4, 5, 6]);
        assert_eq!(best(&ROWS, 3, Some(2)), [1, 2, 4]);
        assert_eq!(best(&ROWS, 3, Some(0)), [5, 6]);
    }

    #[test]
    fn floors_are_what_the_last_one_has() {
        let floors = |k, most| {
            ask(&ROWS, k, most, |wanted, rows| {
                let floors = wanted.floors(rows.iter().map(|row| (row.score, row.row)).collect());
                [0, 3, 4].map(|row| floors.of(row))
            })
        };
        assert_eq!(floors(3, None), [0.7; 3]);
        assert_eq!(floors(7, None), [f32::NEG_INFINITY; 3]);
        assert_eq!(floors(3, Some(1)), [0.9, 0.6, 0.5], "of an artist only the best");
        assert_eq!(floors(5, Some(2)), [0.8, 0.4, 0.4], "b has too few to need more than all do");
        assert_eq!(floors(6, Some(2)), [0.8, f32::NEG_INFINITY, f32::NEG_INFINITY]);
    }
}
