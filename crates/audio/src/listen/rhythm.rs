//! What recurs in the onsets, and after how long.

use std::sync::Arc;

use realfft::num_complex::Complex32;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

use super::onset::GROUPS;

/// Frames that are looked at together: 12 s.
const WINDOW: usize = 1_024;
/// Each begins half a window after the last one.
const STEP: usize = WINDOW / 2;
/// Lags that are kept: 6 s, four beats at 40 a minute.
pub(super) const LAGS: usize = 524;
/// The groups' envelopes, and all of them together.
pub(super) const ENVELOPES: usize = GROUPS + 1;
pub(super) const TOGETHER: usize = GROUPS;
/// How much each group counts in what is taken together.
const WEIGHTS: [f32; GROUPS] = [1.2, 1.0, 0.8];
/// Frames on either side whose mean is taken off: what changes slowly is no rhythm.
const SLOW: usize = 43;
/// Mean power of the flux that is none.
const NOTHING: f32 = 1e-5;

/// Autocorrelations of the onset envelopes in windows, summed up over all of them: bounded, however long the piece.
pub(super) struct Rhythm {
    held: [Vec<f32>; ENVELOPES],
    sums: [Vec<f64>; ENVELOPES],
    power: [f64; ENVELOPES],
    windows: u64,
    forward: Arc<dyn RealToComplex<f32>>,
    back: Arc<dyn ComplexToReal<f32>>,
}

impl Rhythm {
    pub(super) fn new() -> Self {
        let mut planner = RealFftPlanner::new();
        Self {
            held: Default::default(),
            sums: std::array::from_fn(|_| vec![0.0; LAGS]),
            power: [0.0; ENVELOPES],
            windows: 0,
            forward: planner.plan_fft_forward(2 * WINDOW),
            back: planner.plan_fft_inverse(2 * WINDOW),
        }
    }

    pub(super) fn push(&mut self, flux: &[f32; GROUPS]) {
        for (held, flux) in self.held.iter_mut().zip(flux) {
            held.push(*flux);
        }
        self.held[TOGETHER].push(flux.iter().zip(WEIGHTS).map(|(flux, weight)| flux * weight).sum());
        if self.held[TOGETHER].len() == WINDOW {
            self.look();
            self.held.iter_mut().for_each(|held| {
                held.drain(..STEP);
            });
        }
    }

    fn look(&mut self) {
        let mut envelopes: [Vec<f32>; ENVELOPES] = std::array::from_fn(|envelope| sharpen(&self.held[envelope]));
        if power(&envelopes[TOGETHER]) < NOTHING {
            return;
        }
        self.windows += 1;
        for (envelope, samples) in envelopes.iter_mut().enumerate() {
            let (length, power) = (samples.len(), power(samples));
            self.power[envelope] += f64::from(power);
            if power < NOTHING {
                continue;
            }
            samples.resize(2 * WINDOW, 0.0);
            let mut bins = self.forward.make_output_vec();
            if self.forward.process(samples, &mut bins).is_err() {
                continue;
            }
            bins.iter_mut().for_each(|bin| *bin = Complex32::new(bin.norm_sqr(), 0.0));
            if self.back.process(&mut bins, samples).is_err() {
                continue;
            }
            let scale = f64::from(power) * 2.0 * WINDOW as f64;
            for (lag, sum) in self.sums[envelope].iter_mut().enumerate().take(length) {
                // Unbiased, but for lags that few frames speak of.
                *sum += f64::from(samples[lag]) / (scale * (length - lag).max(WINDOW / 4) as f64);
            }
        }
    }

    /// `None` where nothing begins that could recur.
    pub(super) fn finish(mut self, frame_rate: f64) -> Option<Periodicity> {
        let enough = if self.windows == 0 { WINDOW / 4 } else { STEP + WINDOW / 8 };
        if self.held[TOGETHER].len() >= enough {
            self.look();
        }
        let windows = self.windows as f64;
        (self.windows > 0).then(|| Periodicity {
            lags: self.sums.map(|sums| sums.iter().map(|sum| (sum / windows) as f32).collect()),
            power: self.power.map(|power| power / windows),
            windows: self.windows,
            frame_rate,
        })
    }
}

/// Less the slow, and a little wider, so that beats which are a frame early or late still meet.
fn sharpen(samples: &[f32]) -> Vec<f32> {
    let mut sums = Vec::with_capacity(samples.len() + 1);
    sums.push(0.0f64);
    for sample in samples {
        sums.push(sums[sums.len() - 1] + f64::from(*sample));
    }
    let less: Vec<f32> = (0..samples.len())
        .map(|n| {
            let (from, to) = (n.saturating_sub(SLOW), (n + SLOW + 1).min(samples.len()));
            samples[n] - ((sums[to] - sums[from]) / (to - from) as f64) as f32
        })
        .collect();
    let at = |n: isize| usize::try_from(n).ok().and_then(|n| less.get(n)).copied().unwrap_or(0.0);
    let n = 0..less.len() as isize;
    n.map(|n| (3.0 * at(n) + 2.0 * (at(n - 1) + at(n + 1)) + at(n - 2) + at(n + 2)) / 9.0).collect()
}

fn power(samples: &[f32]) -> f32 {
    samples.iter().map(|x| x * x).sum::<f32>() / samples.len().max(1) as f32
}

/// How much the onsets resemble themselves after each lag: 1 at lag 0, 0 where nothing recurs.
pub(super) struct Periodicity {
    lags: [Vec<f32>; ENVELOPES],
    /// Mean power of each envelope.
    pub(super) power: [f64; ENVELOPES],
    pub(super) windows: u64,
    frame_rate: f64,
}

impl Periodicity {
    /// After `seconds`, between two frames by a straight line; beyond the last lag 0.
    pub(super) fn after(&self, envelope: usize, seconds: f64) -> f64 {
        let lag = seconds * self.frame_rate;
        let (whole, part) = (lag as usize, lag.fract());
        let at = |lag: usize| self.lags[envelope].get(lag).copied().map_or(0.0, f64::from);
        at(whole) * (1.0 - part) + at(whole + 1) * part
    }
}
