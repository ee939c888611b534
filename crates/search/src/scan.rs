//! The exact scan over a segment's rows: sync and pure.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

use soniquebay_domain::{Facts, Filter, Hit, TrackId, dot};

/// The rows of one space: unit vectors lying one behind the other, and what belongs to each.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// Numbers in a row.
    pub(crate) dims: usize,
    /// All rows.
    pub(crate) numbers: &'a [f32],
    /// Whose each row is.
    pub(crate) ids: &'a [TrackId],
    /// What filters ask of each row.
    pub(crate) facts: &'a [Facts],
}

/// A scored row. The greater one is the better answer: the higher score, then the smaller id.
#[derive(Clone, Copy, PartialEq)]
struct Scored {
    score: f32,
    id: TrackId,
    row: usize,
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

/// The `k` best rows that pass `filter`, best first. `query` is a unit vector of the rows' length.
pub(crate) fn nearest(rows: Rows<'_>, query: &[f32], k: usize, filter: &Filter) -> Vec<Hit> {
    if k == 0 {
        return Vec::new();
    }
    let scored =
        rows.ids.iter().enumerate().filter(|&(row, &id)| filter.admits(id, &rows.facts[row])).map(|(row, &id)| {
            let numbers = &rows.numbers[row * rows.dims..(row + 1) * rows.dims];
            // Rounding takes a unit vector's product past 1; adding zero makes -0.0 tie with 0.0.
            let score = dot(numbers, query).clamp(-1.0, 1.0) + 0.0;
            Scored { score, id, row }
        });
    let best = match filter.max_per_artist {
        None => best_of_all(scored, k),
        Some(most) => best_of_each(scored, k, rows.facts, most),
    };
    best.into_iter().map(|found| Hit { track_id: found.id, score: found.score }).collect()
}

/// Holds `k` rows and lets the worst of them go.
fn best_of_all(scored: impl Iterator<Item = Scored>, k: usize) -> Vec<Scored> {
    let mut kept: BinaryHeap<std::cmp::Reverse<Scored>> = BinaryHeap::new();
    for candidate in scored {
        if kept.len() < k {
            kept.push(std::cmp::Reverse(candidate));
        } else if let Some(mut worst) = kept.peek_mut()
            && candidate > worst.0
        {
            worst.0 = candidate;
        }
    }
    // Ascending order of `Reverse` is best first.
    kept.into_sorted_vec().into_iter().map(|reversed| reversed.0).collect()
}

/// Goes down the ranking as far as it takes: `k` alone cannot say how many rows their artists will cost.
fn best_of_each(scored: impl Iterator<Item = Scored>, k: usize, facts: &[Facts], most: usize) -> Vec<Scored> {
    let mut ranking: BinaryHeap<Scored> = scored.collect();
    let mut taken: HashMap<&str, usize> = HashMap::new();
    let mut best = Vec::new();
    while best.len() < k
        && let Some(candidate) = ranking.pop()
    {
        let artist = facts[candidate.row].artist.as_str();
        if !artist.is_empty() {
            let count = taken.entry(artist).or_default();
            if *count >= most {
                continue;
            }
            *count += 1;
        }
        best.push(candidate);
    }
    best
}

#[cfg(test)]
mod tests {
    use soniquebay_domain::{Facts, Filter, TrackId};

    use super::{Rows, nearest};

    /// Rows in the plane, at these angles in degrees.
    fn search(rows: &[(i64, f32, &str)], k: usize, filter: &Filter) -> Vec<i64> {
        let numbers: Vec<f32> = rows.iter().flat_map(|r| [r.1.to_radians().cos(), r.1.to_radians().sin()]).collect();
        let ids: Vec<TrackId> = rows.iter().map(|r| TrackId::new(r.0).unwrap()).collect();
        let facts: Vec<Facts> = rows.iter().map(|r| Facts { artist: r.2.into(), ..Facts::default() }).collect();
        let rows = Rows { dims: 2, numbers: &numbers, ids: &ids, facts: &facts };
        nearest(rows, &[1.0, 0.0], k, filter).into_iter().map(|hit| hit.track_id.get()).collect()
    }

    #[test]
    fn the_best_come_first_and_ties_go_by_id() {
        let rows = [(9, 10.0, ""), (4, 20.0, ""), (3, 10.0, ""), (7, 180.0, ""), (1, 90.0, "")];
        assert_eq!(search(&rows, 2, &Filter::default()), [3, 9]);
        assert_eq!(search(&rows, 99, &Filter::default()), [3, 9, 4, 1, 7]);
        assert_eq!(search(&rows, 0, &Filter::default()), [0i64; 0]);
    }

    #[test]
    fn an_artist_gives_its_best_and_unknown_artists_do_not_share_one_place() {
        let rows = [(1, 1.0, "a"), (2, 2.0, "a"), (3, 3.0, "a"), (4, 4.0, "b"), (5, 5.0, ""), (6, 6.0, "")];
        let one = Filter { max_per_artist: Some(1), ..Filter::default() };
        assert_eq!(search(&rows, 4, &one), [1, 4, 5, 6]);
        let two = Filter { max_per_artist: Some(2), ..Filter::default() };
        assert_eq!(search(&rows, 3, &two), [1, 2, 4]);
        let none = Filter { max_per_artist: Some(0), ..Filter::default() };
        assert_eq!(search(&rows, 3, &none), [5, 6]);
    }

    #[test]
    fn filters_hold_before_the_ranking() {
        let rows = [(1, 1.0, "a"), (2, 2.0, "b"), (3, 3.0, "c")];
        let filter = Filter { excluded_artists: ["a".to_owned()].into(), ..Filter::default() };
        assert_eq!(search(&rows, 1, &filter), [2]);
    }
}
