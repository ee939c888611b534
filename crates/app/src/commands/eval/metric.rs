use std::cmp::Ordering;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::thread;

use tokio_util::sync::CancellationToken;

/// Tracks that are looked up together, so that each other track is fetched from memory once for all of them.
const BLOCK: usize = 16;

/// How often the artists are drawn anew for an interval.
const RESAMPLES: usize = 1000;

/// Knows who made each track and what it is hidden as, and judges neighbours by that.
pub(super) struct Judge {
    artist: Vec<u32>,
    label: Vec<u32>,
    artists: usize,
    labels: usize,
}

/// A mean with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Estimate {
    pub(super) mean: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Judge {
    pub(super) fn new<T: Eq + std::hash::Hash>(artists: impl Iterator<Item = T>, labels: &[String]) -> Self {
        let (artist, artists) = numbered(artists);
        let (label, labels) = numbered(labels.iter());
        Self { artist, label, artists, labels }
    }

    pub(super) fn tracks(&self) -> usize {
        self.artist.len()
    }

    pub(super) fn artists(&self) -> usize {
        self.artists
    }

    pub(super) fn labels(&self) -> usize {
        self.labels
    }

    /// Each track's precision: the share of its `k` closest tracks by other artists that bear its label. Where others made
    /// fewer than `k` tracks, the share of those there are. Of tracks that tie for the last places each counts for its
    /// chance of a place, so that the order of the file decides nothing.
    ///
    /// Compares all with all on every core. Returns early, with figures that mean nothing, where `stop` is cancelled.
    pub(super) fn precisions(
        &self,
        k: usize,
        closeness: &(dyn Fn(usize, usize) -> f32 + Sync),
        stop: &CancellationToken,
    ) -> Vec<f64> {
        let mut precisions = vec![0.0; self.tracks()];
        let blocks = Mutex::new(precisions.chunks_mut(BLOCK).enumerate());
        let next = || blocks.lock().unwrap_or_else(PoisonError::into_inner).next();
        let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let mut candidates = vec![Vec::new(); BLOCK];
                    while let Some((index, precisions)) = next()
                        && !stop.is_cancelled()
                    {
                        self.gather(index * BLOCK, &mut candidates[..precisions.len()], closeness);
                        for (precision, candidates) in precisions.iter_mut().zip(&mut candidates) {
                            *precision = expected_share(candidates, k);
                        }
                    }
                });
            }
        });
        precisions
    }

    /// For the tracks from `first` on: how close every track of another artist is, and whether it bears the same label.
    fn gather(
        &self,
        first: usize,
        candidates: &mut [Vec<(f32, bool)>],
        closeness: &(dyn Fn(usize, usize) -> f32 + Sync),
    ) {
        candidates.iter_mut().for_each(Vec::clear);
        for other in 0..self.tracks() {
            for (track, candidates) in (first..).zip(candidates.iter_mut()) {
                if self.artist[track] != self.artist[other] {
                    candidates.push((closeness(track, other), self.label[track] == self.label[other]));
                }
            }
        }
    }

    /// The mean over tracks, with a 95 % interval from resampling artists: tracks of one artist are alike, so that
    /// drawing tracks would promise too much. The draws are the same at every call, so that the estimate of a difference
    /// between two rows, taken track by track, is a paired one.
    pub(super) fn estimate(&self, values: &[f64]) -> Estimate {
        let mut artists = vec![(0.0, 0.0); self.artists];
        for (artist, value) in self.artist.iter().zip(values) {
            let (sum, tracks) = &mut artists[*artist as usize];
            *sum += value;
            *tracks += 1.0;
        }
        let mean = |drawn: &mut dyn Iterator<Item = (f64, f64)>| {
            let (sum, tracks) = drawn.fold((0.0, 0.0), |(a, b), (sum, tracks)| (a + sum, b + tracks));
            sum / tracks
        };
        let mut random = SplitMix64(1);
        let mut means: Vec<f64> = (0..RESAMPLES)
            .map(|_| mean(&mut (0..artists.len()).map(|_| artists[random.below(artists.len())])))
            .collect();
        means.sort_by(f64::total_cmp);
        let (low, high) = (percentile(&means, 0.025), percentile(&means, 0.975));
        Estimate { mean: mean(&mut artists.iter().copied()), low, high }
    }
}

/// Gives equal values equal numbers from 0 on, and tells how many there are.
fn numbered<T: Eq + std::hash::Hash>(values: impl Iterator<Item = T>) -> (Vec<u32>, usize) {
    let mut known = HashMap::new();
    let numbers = values
        .map(|value| {
            let next = known.len() as u32;
            *known.entry(value).or_insert(next)
        })
        .collect();
    (numbers, known.len())
}

/// The share of good ones among the `k` closest; its expectation where ties leave open which those are.
fn expected_share(candidates: &mut [(f32, bool)], k: usize) -> f64 {
    let places = k.min(candidates.len());
    if places == 0 {
        return 0.0;
    }
    let (_, (last, _), _) = candidates.select_nth_unstable_by(places - 1, |a, b| b.0.total_cmp(&a.0));
    let last = *last;
    let (mut sure, mut sure_good, mut tied, mut tied_good) = (0, 0, 0, 0);
    for (closeness, is_good) in candidates {
        match closeness.total_cmp(&last) {
            Ordering::Greater => (sure, sure_good) = (sure + 1, sure_good + usize::from(*is_good)),
            Ordering::Equal => (tied, tied_good) = (tied + 1, tied_good + usize::from(*is_good)),
            Ordering::Less => {}
        }
    }
    let left = (places - sure) as f64;
    (sure_good as f64 + left * tied_good as f64 / tied as f64) / places as f64
}

/// Between the two nearest of sorted values.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let position = share * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[position.floor() as usize], sorted[position.ceil() as usize]);
    below + (above - below) * position.fract()
}

/// A small generator with a fixed seed: the same file gives the same interval everywhere.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests;
