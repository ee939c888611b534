//! Beats a minute, and which of half, double and the like is meant.

use super::rhythm::{ENVELOPES, Periodicity, TOGETHER};
use super::tempo_model::{BIAS, HIDDEN, INPUT, MEAN, OUTPUT, SCALE};

/// Beats a minute.
pub(super) const SLOWEST: f64 = 40.0;
pub(super) const FASTEST: f64 = 220.0;
/// Steps of the grid on which candidates are looked for: 1 %.
const GRID: f64 = 1.01;
/// Candidates that are weighed.
const CANDIDATES: usize = 12;
/// Parts and multiples of a candidate's period at which the onsets are compared.
const MULTIPLES: [f64; 10] = [0.25, 1.0 / 3.0, 0.5, 2.0 / 3.0, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0];
/// What else is told of a candidate: its tempo, and how that goes with the piece.
const OTHERS: usize = 7;
/// Numbers about each candidate.
pub(super) const FEATURES: usize = ENVELOPES * MULTIPLES.len() + OTHERS;
/// Onsets that resemble themselves less than this after every lag have no tempo: what noise of one window reaches, and of many.
const LEAST: f64 = 0.075;
const LEAST_OF_ONE: f64 = 0.065;
/// The same where notes are heard, which is no noise: strings and pads begin softly.
const LEAST_OF_NOTES: f64 = 0.025;
/// Share of the power in spectral peaks from which on they are notes: noise has at most 0.28.
const NOTES: f64 = 0.45;

/// What of the piece helps to tell which tempo is meant.
pub(super) struct Context {
    /// A second.
    pub(super) onset_rate: f64,
    /// 0 to 1.
    pub(super) percussive: f64,
    /// Share of the power that lies in spectral peaks, 0 to 1.
    pub(super) tonal: f64,
}

pub(super) struct Tempo {
    pub(super) bpm: f64,
    /// Of all candidates' chances, this one's.
    pub(super) confidence: f64,
    /// How much the onsets resemble themselves a beat later, 0 to 1.
    pub(super) strength: f64,
}

/// One tempo that the piece may have.
pub(super) struct Candidate {
    pub(super) bpm: f64,
    /// How much the onsets resemble themselves a beat later, −1 to 1.
    pub(super) strength: f64,
    pub(super) features: [f64; FEATURES],
}

/// How well the onsets fit beats of that period: after one to four beats.
fn fit(periodicity: &Periodicity, period: f64) -> f64 {
    let after = |beats: f64| periodicity.after(TOGETHER, beats * period);
    after(1.0) + 0.8 * after(2.0) + 0.4 * after(3.0) + 0.6 * after(4.0)
}

/// Local peaks of the fit, best first.
pub(super) fn candidates(periodicity: &Periodicity, context: &Context) -> Vec<Candidate> {
    let steps = ((FASTEST / SLOWEST).ln() / GRID.ln()) as usize;
    let bpm = |step: usize| SLOWEST * GRID.powi(step as i32);
    let fits: Vec<f64> = (0..=steps).map(|step| fit(periodicity, 60.0 / bpm(step))).collect();
    let mut peaks: Vec<(f64, f64)> = (1..steps)
        .filter(|step| fits[*step] > fits[step - 1] && fits[*step] >= fits[step + 1])
        .map(|step| (fits[step], refine(periodicity, bpm(step))))
        .collect();
    peaks.sort_by(|a, b| b.0.total_cmp(&a.0));
    peaks.truncate(CANDIDATES);
    let candidate = |(_, bpm): (f64, f64)| Candidate {
        bpm,
        strength: periodicity.after(TOGETHER, 60.0 / bpm),
        features: features(periodicity, context, bpm),
    };
    peaks.into_iter().map(candidate).collect()
}

/// The best tempo within 2 %: multiples of the period tell it more finely.
fn refine(periodicity: &Periodicity, bpm: f64) -> f64 {
    let finer = (-20..=20).map(|step| bpm * (1.0 + 0.001 * f64::from(step)));
    let by_fit = finer.map(|bpm| (fit(periodicity, 60.0 / bpm), bpm));
    by_fit.max_by(|a, b| a.0.total_cmp(&b.0)).map_or(bpm, |(_, bpm)| bpm)
}

fn features(periodicity: &Periodicity, context: &Context, bpm: f64) -> [f64; FEATURES] {
    let mut features = [0.0; FEATURES];
    for envelope in 0..ENVELOPES {
        for (index, multiple) in MULTIPLES.iter().enumerate() {
            features[envelope * MULTIPLES.len() + index] = periodicity.after(envelope, multiple * 60.0 / bpm);
        }
    }
    let octaves = (bpm / 110.0).log2();
    let power: f64 = periodicity.power[..TOGETHER].iter().sum();
    let others = [
        octaves,
        octaves * octaves,
        octaves * (context.onset_rate.max(0.1)).log2(),
        octaves * context.percussive * 10.0,
        octaves * periodicity.power[0] / power.max(1e-9),
        octaves * periodicity.power[2] / power.max(1e-9),
        octaves * (power.max(1e-6)).log10(),
    ];
    features[FEATURES - OTHERS..].copy_from_slice(&others);
    features
}

/// How likely a candidate is meant, as a logarithm up to a constant: one layer of rectified sums, and their sum.
fn score(features: &[f64; FEATURES]) -> f64 {
    let mut score = 0.0;
    for unit in 0..HIDDEN {
        let sum: f64 =
            (0..FEATURES).map(|index| (features[index] - MEAN[index]) / SCALE[index] * INPUT[unit][index]).sum();
        score += OUTPUT[unit] * (sum + BIAS[unit]).max(0.0);
    }
    score
}

pub(super) fn tempo(periodicity: &Periodicity, context: &Context) -> Option<Tempo> {
    let candidates = candidates(periodicity, context);
    let strongest = candidates.iter().map(|one| one.strength).fold(0.0, f64::max);
    let least = if context.tonal >= NOTES {
        LEAST_OF_NOTES
    } else {
        LEAST + LEAST_OF_ONE / (periodicity.windows as f64).sqrt()
    };
    if strongest < least {
        return None;
    }
    let scores: Vec<f64> = candidates.iter().map(|one| score(&one.features)).collect();
    let best = (0..scores.len()).max_by(|a, b| scores[*a].total_cmp(&scores[*b]))?;
    let chances: f64 = scores.iter().map(|score| (score - scores[best]).exp()).sum();
    let Candidate { bpm, strength, .. } = candidates[best];
    Some(Tempo { bpm, confidence: 1.0 / chances, strength: strength.clamp(0.0, 1.0) })
}
