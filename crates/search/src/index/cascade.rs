//! Nearest neighbours in a segment: sync and pure but for reads of full vectors.
//!
//! Three stages, each of which leaves out what cannot be among the answers. The 1-bit codes of all rows give an estimate
//! with a known spread; int8 codes one with a bound that always holds; the full vectors of what is left give the scores.
//! What a row must reach is taken from rows that have been scored already, so that each stage leaves as many rows as the
//! data need, be they spread out or crowded.

use std::io;

use soniquebay_domain::{Filter, Hit, dot};

use super::bitmap::Bitmap;
use super::codes::Query;
use super::facts::Exclusions;
use super::ranking::{Scored, Wanted};
use super::segment::{CHUNK, Segment};
use crate::kernels::{GROUP, add_up, multiply};

/// Fewer rows than this are compared in int8 at once: estimates would cost as much as they spare.
const ESTIMATED_FROM: usize = 8192;

/// Estimating reads every row of the segment, int8 only those that pass the filter, at about so many times the cost.
const INT8_COST: usize = 24;

/// Standard deviations that an estimate may lie below the truth before a neighbour is missed: one in 1,500 of those that
/// only just belong to the answer, and fewer of the better ones.
const DEVIATIONS: f32 = 3.2;

/// The same in a large library, whose memory takes longer to read: one in 200.
const DEVIATIONS_IF_LARGE: f32 = 2.6;

/// Rows of a large library.
const LARGE: usize = 400_000;

/// Rows whose int8 products tell the estimates what to reach, a row wanted.
const SEEDS: usize = 32;

/// Rows of which the highest are taken at a time.
const HIGHEST_OF: usize = 1024;

/// One search.
struct Search<'a> {
    segment: &'a Segment,
    query: Query,
    wanted: Wanted<'a>,
    passing: &'a Bitmap,
    exclusions: Option<Exclusions<'a>>,
}

/// A row's int8 product, and how far from it the score may lie.
#[derive(Clone, Copy)]
struct Rough {
    row: u32,
    product: f32,
    reach: f32,
}

/// The `k` best rows that pass `filter`, best first. `query` is a unit vector of the segment's length.
///
/// # Errors
/// Where the disk does not give back the full vectors.
pub(super) fn nearest(segment: &Segment, query: Vec<f32>, k: usize, filter: &Filter) -> io::Result<Vec<Hit>> {
    let passing = segment.passing(filter);
    if k == 0 || passing.count() == 0 {
        return Ok(Vec::new());
    }
    let excludes = !filter.excluded_artists.is_empty() || !filter.excluded_tracks.is_empty();
    let search = Search {
        segment,
        query: segment.encoder().query(query),
        wanted: Wanted { k, of_one_artist: filter.max_per_artist, facts: &segment.facts },
        passing: &passing,
        exclusions: excludes.then(|| segment.facts.exclusions(filter)),
    };
    let best = search.run()?;
    Ok(best.into_iter().map(|found| Hit { track_id: found.id, score: found.score }).collect())
}

impl Search<'_> {
    fn run(&self) -> io::Result<Vec<Scored>> {
        let (count, all) = (self.passing.count(), self.segment.ids.len());
        let worth_estimating = count >= ESTIMATED_FROM.max(SEEDS * self.wanted.k) && count * INT8_COST >= all;
        let (rows, floor) = match worth_estimating {
            true => self.estimated(),
            false => (self.passing.rows().filter(|row| self.admits(*row)).collect(), None),
        };
        let candidates = self.reaching(self.multiplied(&rows), floor);
        self.exact(candidates)
    }

    /// Whether a row that passes the common filter is not excluded by this query's own.
    fn admits(&self, row: u32) -> bool {
        self.exclusions
            .as_ref()
            .is_none_or(|exclusions| exclusions.admits(self.segment.facts.artist(row), self.segment.ids[row as usize]))
    }

    /// The rows whose 1-bit estimates may belong to the best, and what the score of those is at least, where known.
    fn estimated(&self) -> (Vec<u32>, Option<f32>) {
        let estimates = self.estimates();
        let mut seeds = SEEDS * self.wanted.k.max(8);
        let mut reach = 0f32;
        let best = loop {
            let mut rows = highest(&estimates, seeds);
            let found = rows.len();
            rows.retain(|row| self.admits(*row));
            rows.sort_unstable();
            let rough = self.multiplied(&rows);
            reach = rough.iter().fold(reach, |most, row| most.max(row.reach));
            let best = self.wanted.best(rough.iter().map(|row| self.scored(row.row, row.product)).collect());
            // A few artists may hold all of them: then more are asked.
            if best.len() == self.wanted.k || found < seeds {
                break best;
            }
            seeds *= 8;
        };
        let Some(last) = best.get(self.wanted.k - 1) else {
            return (self.passing.rows().filter(|row| self.admits(*row)).collect(), None);
        };
        // Rows that are much alike are misjudged alike: as far as the best ones were, others may be too.
        let off = |row: &Scored| row.score - estimates[row.row as usize];
        let off = (best.iter().map(off).sum::<f32>() / best.len() as f32).max(0.0);
        let deviations = if self.segment.len() < LARGE { DEVIATIONS } else { DEVIATIONS_IF_LARGE };
        let least = last.score - off - deviations * self.segment.encoder().bit_noise(&self.query, last.score);
        let mut rows = at_least(&estimates, least);
        rows.retain(|row| self.admits(*row));
        (rows, Some(last.score - reach))
    }

    /// An estimate a row; −∞ for rows that do not pass.
    fn estimates(&self) -> Vec<f32> {
        let isa = self.segment.encoder().isa();
        let mut all = Vec::with_capacity(self.segment.chunks.len() * CHUNK);
        let mut sums = [0; CHUNK];
        for (index, chunk) in self.segment.chunks.iter().enumerate() {
            let words: [u64; CHUNK / 64] = std::array::from_fn(|word| self.passing.word(index * CHUNK / 64 + word));
            if words == [0; CHUNK / 64] {
                all.resize((index + 1) * CHUNK, f32::NEG_INFINITY);
                continue;
            }
            add_up(isa, &chunk.bits, &self.query.tables, &mut sums);
            let estimate =
                |(sum, factor): (&u16, &f32)| (f32::from(*sum) * self.query.step - self.query.offset) * factor;
            all.extend(sums.iter().zip(&chunk.bit_factors).map(estimate));
            let estimates = &mut all[index * CHUNK..];
            for (word, estimates) in words.iter().zip(estimates.chunks_exact_mut(GROUP)) {
                if *word == !0 {
                    continue;
                }
                let (mut passing, mut left) = ([f32::NEG_INFINITY; GROUP], *word);
                while left != 0 {
                    let row = left.trailing_zeros() as usize;
                    passing[row] = estimates[row];
                    left &= left - 1;
                }
                estimates.copy_from_slice(&passing);
            }
        }
        all
    }

    /// The int8 products of some rows, which ascend.
    fn multiplied(&self, rows: &[u32]) -> Vec<Rough> {
        let isa = self.segment.encoder().isa();
        let slack = 1.1 * self.query.rest + self.segment.encoder().rounding();
        let mut rough = Vec::with_capacity(rows.len());
        let (mut picks, mut products) = (Vec::with_capacity(CHUNK), Vec::with_capacity(CHUNK));
        for rows in rows.chunk_by(|a, b| *a as usize / CHUNK == *b as usize / CHUNK) {
            let index = rows[0] as usize / CHUNK;
            let chunk = &self.segment.chunks[index];
            picks.clear();
            picks.extend(rows.iter().map(|row| (*row as usize % CHUNK) as u16));
            products.clear();
            products.resize(rows.len(), 0);
            multiply(isa, &chunk.bytes, &self.query.words, &picks, &mut products);
            for ((row, pick), product) in rows.iter().zip(&picks).zip(&products) {
                let scale = chunk.scales[usize::from(*pick)];
                let reach = self.segment.rest * scale + slack;
                rough.push(Rough { row: *row, product: *product as f32 * scale * self.query.scale, reach });
            }
        }
        rough
    }

    fn scored(&self, row: u32, score: f32) -> Scored {
        Scored { score, id: self.segment.ids[row as usize], row }
    }

    /// The rows whose products may belong to the best. `floor` is what is known of those already.
    fn reaching(&self, mut rows: Vec<Rough>, floor: Option<f32>) -> Vec<Rough> {
        if let Some(floor) = floor {
            rows.retain(|row| row.product + row.reach >= floor);
        }
        let least: Vec<(f32, u32)> = rows.iter().map(|row| (row.product - row.reach, row.row)).collect();
        let floors = self.wanted.floors(least);
        rows.retain(|row| row.product + row.reach >= floors.of(row.row));
        rows
    }

    /// The best rows by their full vectors. The likeliest ones go first and tell which of the others to read.
    fn exact(&self, mut rows: Vec<Rough>) -> io::Result<Vec<Scored>> {
        rows.sort_unstable_by(|a, b| b.product.total_cmp(&a.product));
        let likely = (2 * self.wanted.k).min(rows.len());
        let mut others = rows.split_off(likely);
        let mut scored = self.scores(rows)?;
        if !others.is_empty() {
            let floors = self.wanted.floors(scored.iter().map(|row| (row.score, row.row)).collect());
            others.retain(|row| row.product + row.reach >= floors.of(row.row));
        }
        scored.extend(self.scores(others)?);
        Ok(self.wanted.best(scored))
    }

    fn scores(&self, mut rows: Vec<Rough>) -> io::Result<Vec<Scored>> {
        rows.sort_unstable_by_key(|row| row.row);
        let mut scored = Vec::with_capacity(rows.len());
        self.segment.originals.read(rows.iter().map(|row| row.row), |row, numbers| {
            // Rounding takes a unit vector's product past 1; adding zero makes -0.0 tie with 0.0.
            let score = dot(numbers, &self.query.unit).clamp(-1.0, 1.0) + 0.0;
            scored.push(self.scored(row, score));
        })?;
        Ok(scored)
    }
}

/// The rows with the highest estimates, up to `most`, in no order.
fn highest(estimates: &[f32], most: usize) -> Vec<u32> {
    let mut kept: Vec<u32> = Vec::new();
    let mut least = f32::NEG_INFINITY;
    let by_estimate = |a: &u32, b: &u32| estimates[*b as usize].total_cmp(&estimates[*a as usize]);
    for (index, chunk) in estimates.chunks(HIGHEST_OF).enumerate() {
        push_where::<16>(chunk, index * HIGHEST_OF, &mut kept, |estimate| estimate > least);
        if kept.len() >= 2 * most {
            kept.select_nth_unstable_by(most - 1, by_estimate);
            kept.truncate(most);
            least = estimates[kept[most - 1] as usize];
        }
    }
    if kept.len() > most {
        kept.select_nth_unstable_by(most - 1, by_estimate);
        kept.truncate(most);
    }
    kept
}

/// The rows whose estimates are not below `least`, ascending.
fn at_least(estimates: &[f32], least: f32) -> Vec<u32> {
    let mut rows = Vec::new();
    push_where::<64>(estimates, 0, &mut rows, |estimate| estimate >= least);
    rows
}

/// Pushes `first` and on, where `keep` says so; `FEW` are looked at together.
fn push_where<const FEW: usize>(estimates: &[f32], first: usize, rows: &mut Vec<u32>, keep: impl Fn(f32) -> bool) {
    for (index, group) in estimates.chunks(FEW).enumerate() {
        // Most groups hold nothing, and that is found out for many rows at once; the others go without a branch a row.
        if !group.iter().fold(false, |any, estimate| any | keep(*estimate)) {
            continue;
        }
        let mut found = [0u32; FEW];
        let mut count = 0;
        for (i, estimate) in group.iter().enumerate() {
            found[count] = (first + index * FEW + i) as u32;
            count += usize::from(keep(*estimate));
        }
        rows.extend_from_slice(&found[..count]);
    }
}
