//! Nearest neighbours in a segment: sync and pure but for reads of full vectors.
//!
//! Four stages, each of which leaves out what cannot be among the answers: the 1-bit codes of all rows, then coarse codes,
//! then fine ones, each an estimate of known spread; the full vectors of what is left give the scores. What a row must
//! reach is taken from rows that have been looked at more closely already, so that each stage leaves as many rows as the
//! data need, be they spread out or crowded.

use std::io;

use soniquebay_domain::{Filter, Hit, dot};

use super::bitmap::Bitmap;
use super::codes::Query;
use super::facts::Exclusions;
use super::ranking::{Scored, Wanted};
use super::segment::{CHUNK, Segment};
use crate::kernels::{Factor, GROUP, Isa, Packed, add_up, at_least, multiply, scale};

/// Reading the signs of every row costs as much as reading the coarse codes of this share of them.
const COARSE_COST: usize = 6;

/// Fewer rows than this go through coarse codes at once.
const ESTIMATED_FROM: usize = 8192;

/// Standard deviations that a 1-bit estimate may lie below the truth before a neighbour is missed, where 100,000 rows are
/// compared and where a million are: one in 1,000 and one in 70 of those that only just belong to the answer, and fewer of
/// the better ones. Each row more costs a large library more.
const BIT_DEVIATIONS: (f32, f32) = (3.1, 2.2);

/// The same of coarse estimates, where it is those of the noisiest row: one in 30,000 and one in 500, and fewer of the others.
const COARSE_DEVIATIONS: (f32, f32) = (4.0, 2.9);

/// The same of fine estimates: one in 50,000,000.
const FINE_DEVIATIONS: f32 = 5.5;

/// Rows that are looked at closely to tell the others what to reach, a row wanted.
const SEEDS: usize = 32;

/// One chunk of so many is estimated first, to tell the others what to reach.
const CHUNKS_SAMPLED: usize = 16;

/// One row of so many is looked at to tell what the highest have.
const SAMPLED: usize = 32;

/// Rows of which the highest are taken at a time.
const HIGHEST_OF: usize = 1024;

/// One search.
struct Search<'a> {
    segment: &'a Segment,
    query: Query,
    /// The codes of all rows, in pieces.
    coarse: Vec<&'a [u8]>,
    fine: Vec<&'a [u8]>,
    wanted: Wanted<'a>,
    passing: &'a Bitmap,
    exclusions: Exclusions,
}

/// A row's fine estimate, and how far from it the score may lie.
#[derive(Clone, Copy)]
struct Rough {
    row: u32,
    estimate: f32,
    reach: f32,
}

/// Rows, and what is estimated of each.
#[derive(Default)]
pub(super) struct Estimates {
    rows: Vec<u32>,
    scores: Vec<f32>,
}

/// The `k` best rows that pass `filter`, best first. `query` is a unit vector of the segment's length; `room` may hold
/// anything, and is kept from one search to the next to save the making of it.
///
/// # Errors
/// Where the disk does not give back the full vectors.
pub(super) fn nearest(
    segment: &Segment,
    query: Vec<f32>,
    k: usize,
    filter: &Filter,
    room: &mut Estimates,
) -> io::Result<Vec<Hit>> {
    let passing = segment.passing(filter);
    if k == 0 || passing.count() == 0 {
        return Ok(Vec::new());
    }
    let search = Search {
        segment,
        query: segment.encoder().query(query),
        coarse: segment.coarse.chunks(),
        fine: segment.fine.chunks(),
        wanted: Wanted { k, of_one_artist: filter.max_per_artist, facts: &segment.facts },
        passing: &passing,
        exclusions: segment.exclusions(filter),
    };
    let best = search.run(room)?;
    Ok(best.into_iter().map(|found| Hit { track_id: found.id, score: found.score }).collect())
}

impl Search<'_> {
    fn run(&self, room: &mut Estimates) -> io::Result<Vec<Scored>> {
        let (count, all) = (self.passing.count(), self.segment.ids.len());
        let seeds = SEEDS * self.wanted.k.max(8);
        let rows = match count >= ESTIMATED_FROM.max(seeds) && count * COARSE_COST >= all {
            true => self.reaching_by_signs(seeds, room),
            false => self.passing.rows().collect(),
        };
        let mut rows = if rows.len() > seeds { self.reaching_coarsely(rows, seeds / 4) } else { rows };
        // Only now, as they are few: nearly every question leaves its seed out.
        if !self.exclusions.is_empty() {
            rows.retain(|row| self.admits(*row));
        }
        let candidates = self.reaching(self.finely(&rows));
        self.exact(candidates)
    }

    /// Whether a row that passes the common filter is not excluded by this query's own.
    fn admits(&self, row: u32) -> bool {
        self.exclusions.admits(row, &self.segment.facts)
    }

    /// The rows whose 1-bit estimates may belong to the best, ascending; excluded ones are among them.
    fn reaching_by_signs(&self, seeds: usize, room: &mut Estimates) -> Vec<u32> {
        let encoder = self.segment.encoder();
        let deviations = between(BIT_DEVIATIONS, self.passing.count());
        let noise = |score: f32| deviations * encoder.bit_noise(&self.query, score) + Factor::ROUNDING * score.abs();
        // What the best of some chunks have tells which estimates of the others are worth writing down.
        let all = 0..self.segment.chunks.len();
        room.clear();
        self.estimate(all.clone().step_by(CHUNKS_SAMPLED), f32::MIN, room);
        let bound = self.least(room, seeds / 4, noise).unwrap_or(f32::MIN);
        self.estimate(all.clone().filter(|chunk| chunk % CHUNKS_SAMPLED != 0), bound, room);
        let least = self.least(room, seeds, noise).unwrap_or(f32::MIN);
        if least < bound {
            // The best of all are misjudged by more than those of the sample were.
            room.clear();
            self.estimate(all, least, room);
        }
        let mut rows = room.at_least(encoder.isa(), least);
        // Two runs that ascend: a stable sort merges them.
        rows.sort();
        rows
    }

    /// The rows among these, which ascend, whose coarse estimates may belong to the best.
    fn reaching_coarsely(&self, rows: Vec<u32>, seeds: usize) -> Vec<u32> {
        let (segment, scores) = (self.segment, self.coarsely(&rows));
        let deviations = between(COARSE_DEVIATIONS, self.passing.count());
        let noise = |score: f32| {
            deviations * segment.encoder().noise(&self.query, segment.coarse_noise, score)
                + Factor::ROUNDING * score.abs()
        };
        let estimates = Estimates { rows, scores };
        match self.least(&estimates, seeds, noise) {
            Some(least) => estimates.at_least(segment.encoder().isa(), least),
            None => estimates.rows,
        }
    }

    /// What a row's estimate must be at least for the row to be among the best, by a closer look at the `seeds` highest.
    /// `None` where too few rows are known. `noise` tells how far an estimate may lie below such a score.
    fn least(&self, estimates: &Estimates, mut seeds: usize, noise: impl Fn(f32) -> f32) -> Option<f32> {
        let (best, seen) = loop {
            let highest = highest(self.segment.encoder().isa(), &estimates.scores, seeds);
            let found = highest.len();
            let of = |at: &u32| (estimates.rows[*at as usize], estimates.scores[*at as usize]);
            let mut seen: Vec<(u32, f32)> = highest.iter().map(of).filter(|(row, _)| self.admits(*row)).collect();
            seen.sort_unstable_by_key(|(row, _)| *row);
            let rows: Vec<u32> = seen.iter().map(|(row, _)| *row).collect();
            let best = self.finely(&rows).into_iter().map(|rough| self.scored(rough.row, rough.estimate)).collect();
            let best = self.wanted.best(best);
            // A few artists may hold all of them: then more are asked.
            if best.len() == self.wanted.k || found < seeds {
                break (best, seen);
            }
            seeds *= 8;
        };
        let last = best.get(self.wanted.k - 1)?;
        // Rows that are much alike are misjudged alike: as far as the best ones were, others may be too.
        let off = |best: &Scored| best.score - seen[seen.partition_point(|(row, _)| *row < best.row)].1;
        let off = (best.iter().map(off).sum::<f32>() / best.len() as f32).max(0.0);
        Some(last.score - off - noise(last.score))
    }

    /// Adds the rows of some chunks that pass and whose 1-bit estimates are not below `least`.
    fn estimate(&self, chunks: impl IntoIterator<Item = usize>, least: f32, found: &mut Estimates) {
        let isa = self.segment.encoder().isa();
        let (mut sums, mut scores) = ([0; CHUNK], [0.0; CHUNK]);
        for index in chunks {
            let words: [u64; CHUNK / 64] = std::array::from_fn(|word| self.passing.word(index * CHUNK / 64 + word));
            if words == [0; CHUNK / 64] {
                continue;
            }
            let chunk = &self.segment.chunks[index];
            add_up(isa, self.segment.bits.chunk(index), &self.query.tables, &mut sums);
            scale(isa, &sums, self.query.step, self.query.offset, &chunk.bit_factors, &mut scores);
            for (word, scores) in words.iter().zip(scores.chunks_exact_mut(GROUP)) {
                if *word == !0 {
                    continue;
                }
                let (mut passing, mut left) = ([f32::NEG_INFINITY; GROUP], *word);
                while left != 0 {
                    let row = left.trailing_zeros() as usize;
                    passing[row] = scores[row];
                    left &= left - 1;
                }
                scores.copy_from_slice(&passing);
            }
            let known = found.rows.len();
            at_least(isa, &scores, index * CHUNK, least, &mut found.rows);
            found.scores.extend(found.rows[known..].iter().map(|row| scores[*row as usize % CHUNK]));
        }
    }

    /// The coarse estimates of some rows.
    fn coarsely(&self, rows: &[u32]) -> Vec<f32> {
        let mut products = vec![0; rows.len()];
        multiply(self.segment.encoder().isa(), Packed::Two, &self.coarse, &self.query.bytes, rows, &mut products);
        let estimate = |(row, product): (&u32, &i32)| {
            let (chunk, at) = self.segment.place(*row);
            self.query.total(*product, None) * chunk.coarse_factors[at].get()
        };
        rows.iter().zip(&products).map(estimate).collect()
    }

    /// The fine estimates of some rows.
    fn finely(&self, rows: &[u32]) -> Vec<Rough> {
        let (encoder, query) = (self.segment.encoder(), &self.query);
        let (mut coarse, mut fine) = (vec![0; rows.len()], vec![0; rows.len()]);
        multiply(encoder.isa(), Packed::Two, &self.coarse, &query.bytes, rows, &mut coarse);
        multiply(encoder.isa(), Packed::Four, &self.fine, &query.bytes, rows, &mut fine);
        let estimate = |(row, (coarse, fine)): (&u32, (&i32, &i32))| {
            let (chunk, at) = self.segment.place(*row);
            let estimate = query.total(*coarse, Some(*fine)) * chunk.fine_factors[at];
            let reach = FINE_DEVIATIONS * encoder.noise(query, chunk.fine_noises[at], estimate);
            Rough { row: *row, estimate, reach }
        };
        rows.iter().zip(coarse.iter().zip(&fine)).map(estimate).collect()
    }

    fn scored(&self, row: u32, score: f32) -> Scored {
        Scored { score, id: self.segment.ids[row as usize], row }
    }

    /// The rows whose fine estimates may belong to the best.
    fn reaching(&self, mut rows: Vec<Rough>) -> Vec<Rough> {
        let floors = self.wanted.floors(rows.iter().map(|row| (row.estimate - row.reach, row.row)).collect());
        rows.retain(|row| row.estimate + row.reach >= floors.of(row.row));
        rows
    }

    /// The best rows by their full vectors. The likeliest ones go first and tell which of the others to read.
    fn exact(&self, mut rows: Vec<Rough>) -> io::Result<Vec<Scored>> {
        rows.sort_unstable_by(|a, b| b.estimate.total_cmp(&a.estimate));
        let likely = (2 * self.wanted.k).min(rows.len());
        let mut others = rows.split_off(likely);
        let mut scored = self.scores(rows)?;
        if !others.is_empty() {
            let floors = self.wanted.floors(scored.iter().map(|row| (row.score, row.row)).collect());
            others.retain(|row| row.estimate + row.reach >= floors.of(row.row));
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

/// From what holds for 100,000 rows to what holds for a million, by their logarithm.
fn between((few, many): (f32, f32), rows: usize) -> f32 {
    few + (many - few) * (rows as f32 / 1e5).log10().clamp(0.0, 1.0)
}

impl Estimates {
    fn clear(&mut self) {
        self.rows.clear();
        self.scores.clear();
    }

    /// The rows whose estimates are not below `least`, in their order.
    fn at_least(&self, isa: Isa, least: f32) -> Vec<u32> {
        let mut rows = Vec::new();
        at_least(isa, &self.scores, 0, least, &mut rows);
        rows.iter_mut().for_each(|at| *at = self.rows[*at as usize]);
        rows
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.rows.capacity() * size_of::<u32>() + self.scores.capacity() * size_of::<f32>()
    }
}

/// Where the highest estimates stand, up to `most`, in no order.
fn highest(isa: Isa, estimates: &[f32], most: usize) -> Vec<u32> {
    let by_estimate = |a: &u32, b: &u32| estimates[*b as usize].total_cmp(&estimates[*a as usize]);
    let mut kept = likely_highest(isa, estimates, most).unwrap_or_else(|| {
        let mut kept: Vec<u32> = Vec::new();
        let mut least = f32::NEG_INFINITY;
        for (index, chunk) in estimates.chunks(HIGHEST_OF).enumerate() {
            at_least(isa, chunk, index * HIGHEST_OF, least.next_up(), &mut kept);
            if kept.len() >= 2 * most {
                kept.select_nth_unstable_by(most - 1, by_estimate);
                kept.truncate(most);
                least = estimates[kept[most - 1] as usize];
            }
        }
        kept
    });
    if kept.len() > most {
        kept.select_nth_unstable_by(most - 1, by_estimate);
        kept.truncate(most);
    }
    kept
}

/// At least the `most` highest, and not many more: in one pass, where a sample tells what those have.
fn likely_highest(isa: Isa, estimates: &[f32], most: usize) -> Option<Vec<u32>> {
    // Some in each stretch: rows beside each other are often alike.
    let mut sample: Vec<f32> =
        estimates.chunks(16 * SAMPLED).flat_map(|rows| &rows[..rows.len().min(16)]).copied().collect();
    let nth = most.div_ceil(SAMPLED) * 3 / 2 + 8;
    if sample.len() < 16 * nth {
        return None;
    }
    let (.., least, _) = sample.select_nth_unstable_by(nth, |a, b| b.total_cmp(a));
    let least = *least;
    let mut kept = Vec::with_capacity(2 * most);
    for (index, chunk) in estimates.chunks(HIGHEST_OF).enumerate() {
        at_least(isa, chunk, index * HIGHEST_OF, least.next_up(), &mut kept);
        if kept.len() > 8 * most {
            return None;
        }
    }
    (kept.len() >= most).then_some(kept)
}

#[cfg(test)]
mod tests {
    use super::{BIT_DEVIATIONS, between};

    #[test]
    fn few_rows_are_looked_at_more_carefully_than_many() {
        let of = [1, 100_000, 300_000, 1_000_000, 40_000_000].map(|rows| between(BIT_DEVIATIONS, rows));
        assert_eq!((of[0], of[1], of[3], of[4]), (3.1, 3.1, 2.2, 2.2));
        assert!((2.6..2.7).contains(&of[2]), "{}", of[2]);
    }
}
