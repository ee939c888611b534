//! A vector of how it sounds: timbre, harmony, rhythm, loudness.

use super::chroma::{Harmony, magnitudes};
use super::rhythm::{Periodicity, TOGETHER};
use super::sound_model::{DIRECTIONS, MEAN, SCALE};
use super::timbre::{CEPSTRA, Timbre};
use crate::SOUND_DIMS;

/// Numbers that it is made of.
pub(super) const MEASURED: usize = TIMBRE + HARMONY + RHYTHM + LEVEL;
const TIMBRE: usize = 2 * CEPSTRA + 5;
const HARMONY: usize = 13;
const RHYTHM: usize = LAGS + 2;
const LEVEL: usize = 2;
/// Lags from 0.15 s upwards, four to the octave: another tempo is a shift along them.
const LAGS: usize = 16;
const FIRST_LAG: f64 = 0.15;
/// One number is the same in all vectors, so that cosines lie between about 0.3 and 1: of pieces that have nothing in common 0.7.
const COMMON: f64 = 2.0;
/// No number may count for more than this many times its usual spread.
const MOST: f64 = 3.0;

/// What is one number of the whole piece.
pub(super) struct Sizes {
    pub(super) lufs: f64,
    pub(super) range: f64,
    pub(super) onset_rate: f64,
    pub(super) percussive: f64,
}

/// As measured, not yet scaled: timbre, harmony, rhythm, level.
pub(super) fn measured(
    timbre: &Timbre,
    harmony: Option<&Harmony>,
    periodicity: Option<&Periodicity>,
    sizes: &Sizes,
) -> [f64; MEASURED] {
    let mut numbers = MEAN;
    let mut place = numbers.iter_mut();
    let mut put = |values: &[f64]| values.iter().zip(&mut place).for_each(|(value, place)| *place = *value);
    put(&timbre.cepstra.map(|cepstrum| cepstrum.mean));
    put(&timbre.cepstra.map(|cepstrum| cepstrum.deviation()));
    put(&[timbre.change.mean, timbre.centroid.mean, timbre.centroid.deviation()]);
    put(&[timbre.flatness.mean, sizes.percussive.sqrt()]);
    match harmony {
        Some(harmony) => {
            put(&magnitudes(&harmony.classes));
            put(&harmony.shape);
            put(&[harmony.tonal]);
        }
        // What is missing is as usual: it adds nothing.
        None => put(&MEAN[TIMBRE..TIMBRE + HARMONY]),
    }
    match periodicity {
        Some(periodicity) => {
            let lag = |n: usize| FIRST_LAG * 2f64.powf(n as f64 / 4.0);
            put(&std::array::from_fn::<f64, LAGS, _>(|n| periodicity.after(TOGETHER, lag(n))));
            let power: f64 = periodicity.power[..TOGETHER].iter().sum();
            put(&[periodicity.power[0] / power.max(1e-9)]);
        }
        None => put(&MEAN[TIMBRE + HARMONY..TIMBRE + HARMONY + LAGS + 1]),
    }
    put(&[sizes.onset_rate.max(0.1).log2(), sizes.lufs, sizes.range]);
    numbers
}

/// Scaled by fixed constants, turned into directions in which instruments differ and keys do not, of unit length.
pub(super) fn vector(numbers: &[f64; MEASURED]) -> Option<Vec<f32>> {
    let scaled: [f64; MEASURED] = std::array::from_fn(|n| ((numbers[n] - MEAN[n]) / SCALE[n]).clamp(-MOST, MOST));
    let along = |direction: &[f64; MEASURED]| direction.iter().zip(&scaled).map(|(a, b)| a * b).sum::<f64>();
    let mut vector = [COMMON; SOUND_DIMS];
    vector.iter_mut().zip(&DIRECTIONS).for_each(|(place, direction)| *place = along(direction));
    let length = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
    length.is_finite().then(|| vector.iter().map(|x| (x / length) as f32).collect())
}
