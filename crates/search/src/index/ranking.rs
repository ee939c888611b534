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

    /// The score that a row needs to be among the best, as far as these rows tell: more rows can only raise it. Nothing,
    /// where they are too few.
    pub(super) fn floor(&self, rows: Vec<Scored>) -> Option<f32> {
        let best = self.best(rows);
        if best.len() < self.k { None } else { best.last().map(|row| row.score) }
    }

    /// The scores that rows of each artist need to be among the artist's best: see [`Self::floor`].
    pub(super) fn artist_floors(&self, mut rows: Vec<Scored>) -> HashMap<u32, f32> {
        let Some(most) = self.of_one_artist else { return HashMap::new() };
        rows.sort_unstable_by(|a, b| b.cmp(a));
        let unknown = self.facts.unknown_artist();
        let mut taken: HashMap<u32, usize> = HashMap::new();
        let mut floors = HashMap::new();
        for row in rows {
            let Some(artist) = self.facts.artist(row.row).filter(|artist| Some(*artist) != unknown) else { continue };
            let count = taken.entry(artist).or_default();
            *count += 1;
            if *count == most.max(1) {
                floors.insert(artist, row.score);
            }
        }
        floors
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
        let floor = |k, most| ask(&ROWS, k, most, |wanted, rows| wanted.floor(rows));
        assert_eq!(
            [floor(3, None), floor(3, Some(1)), floor(7, None), floor(5, Some(1))],
            [Some(0.7), Some(0.5), None, None]
        );
        let floors = ask(&ROWS, 3, Some(2), |wanted, rows| {
            let floors = wanted.artist_floors(rows);
            (floors.len(), floors[&0])
        });
        assert_eq!(floors, (1, 0.8), "b has too few to need one");
    }
}
