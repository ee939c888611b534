//! The key, by how its scale's degrees sound.

use soniquebay_domain::{Mode, PitchClass};

use super::chroma::Harmony;
use super::key_model::{MAJOR, MINOR};
use crate::KeyMeasure;

/// What each degree speaks for, from the tonic up; the shares enter by their square roots.
pub(super) struct Profile {
    pub(super) classes: [f64; 12],
    pub(super) bass: [f64; 12],
    pub(super) bias: f64,
}

/// Where less of the power lies in peaks, there are no notes: noise has a quarter, music with drums rarely less than half.
const LEAST_TONAL: f64 = 0.33;

/// `None` where no notes are heard.
pub(super) fn key(harmony: &Harmony) -> Option<KeyMeasure> {
    if harmony.tonal < LEAST_TONAL {
        return None;
    }
    let (classes, bass) = (harmony.classes.map(f64::sqrt), harmony.bass.map(f64::sqrt));
    let score = |profile: &Profile, tonic: usize| {
        let degrees = (0..12).map(|degree| {
            let class = (degree + tonic) % 12;
            profile.classes[degree] * classes[class] + profile.bass[degree] * bass[class]
        });
        profile.bias + degrees.sum::<f64>()
    };
    let keys = [(Mode::Major, &MAJOR), (Mode::Minor, &MINOR)];
    let keys = keys.iter().flat_map(|(mode, profile)| (0..12).map(move |tonic| (score(profile, tonic), *mode, tonic)));
    let keys: Vec<(f64, Mode, usize)> = keys.collect();
    let (best, mode, tonic) = *keys.iter().max_by(|a, b| a.0.total_cmp(&b.0))?;
    let chances: f64 = keys.iter().map(|(score, ..)| (score - best).exp()).sum();
    Some(KeyMeasure { tonic: PitchClass::from_semitones(tonic as i64), mode, confidence: 1.0 / chances })
}
