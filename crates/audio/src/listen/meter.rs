//! Loudness by EBU R128, from samples to the two numbers of a programme.

use std::collections::VecDeque;

use super::gate::Blocks;
use super::k_weighting::KWeighting;

/// Blocks begin every tenth of a second.
const STEPS_A_SECOND: usize = 10;
/// Steps of a block for the whole's loudness.
const MOMENT: usize = 4;
/// Steps of a block for its range: one begins every second, so that two thirds overlap.
const SHORT_TERM: usize = 30;

/// Adds up as the samples go by; it holds three seconds of tenths.
pub(super) struct Meter {
    filter: KWeighting,
    weights: Vec<f64>,
    /// Samples of a channel that a step has.
    step: usize,
    /// Of this step: samples so far, and the sum of squares of each channel.
    filled: usize,
    sums: Vec<f64>,
    /// Mean powers of the last steps, the latest one first.
    steps: VecDeque<f64>,
    count: usize,
    moments: Blocks,
    short_terms: Blocks,
}

impl Meter {
    pub(super) fn new(rate: f64, channels: usize) -> Self {
        Self {
            filter: KWeighting::new(rate, channels),
            weights: weights(channels),
            step: ((rate / STEPS_A_SECOND as f64).round() as usize).max(1),
            filled: 0,
            sums: vec![0.0; channels],
            steps: VecDeque::with_capacity(SHORT_TERM),
            count: 0,
            moments: Blocks::new(),
            short_terms: Blocks::new(),
        }
    }

    /// Takes in as many samples of each channel.
    pub(super) fn add(&mut self, mut channels: Vec<&[f32]>) {
        while let Some(left) = channels.iter().map(|channel| channel.len()).min().filter(|left| *left > 0) {
            let take = left.min(self.step - self.filled);
            let now: Vec<&[f32]> = channels.iter().map(|channel| &channel[..take]).collect();
            self.filter.add_squares(&now, &mut self.sums);
            channels.iter_mut().for_each(|channel| *channel = &channel[take..]);
            self.filled += take;
            if self.filled == self.step {
                self.end_step();
            }
        }
    }

    fn end_step(&mut self) {
        let power = self.sums.iter().zip(&self.weights).map(|(sum, weight)| sum * weight).sum::<f64>();
        self.sums.fill(0.0);
        self.filled = 0;
        self.steps.truncate(SHORT_TERM - 1);
        self.steps.push_front(power / self.step as f64);
        self.count += 1;
        if self.count >= MOMENT {
            self.moments.add(self.steps.iter().take(MOMENT).sum::<f64>() / MOMENT as f64);
        }
        if self.count >= SHORT_TERM && self.count.is_multiple_of(STEPS_A_SECOND) {
            self.short_terms.add(self.steps.iter().sum::<f64>() / SHORT_TERM as f64);
        }
    }

    /// LUFS of what was heard; `None` where that is silence.
    pub(super) fn integrated(&self) -> Option<f64> {
        self.moments.integrated()
    }

    /// LU; `None` where all is silence.
    pub(super) fn range(&self) -> Option<f64> {
        self.integrated().map(|_| self.short_terms.range().unwrap_or(0.0))
    }
}

/// What each channel counts, by BS.1770: those behind more, the deep one of six and more (the fourth) not at all.
fn weights(channels: usize) -> Vec<f64> {
    let behind = if channels < 6 { 3.min(channels / 2 + channels % 2) } else { 4 };
    let weight = |channel: usize| match channel {
        3 if channels >= 6 => 0.0,
        _ if channels >= 4 && channel >= behind => 1.41,
        _ => 1.0,
    };
    (0..channels).map(weight).collect()
}

#[cfg(test)]
mod tests {
    use ebur128::{EbuR128, Mode};

    use super::{Meter, weights};

    /// A tone that swells and fades over noise, another one for each channel, of full scale `level`.
    fn music(rate: u32, channels: usize, seconds: usize, level: f32) -> Vec<Vec<f32>> {
        let mut state = 5u64;
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / 8_388_608.0 - 1.0
        };
        let sample = |channel: usize, at: usize, noise: f32| {
            let time = at as f32 / rate as f32;
            let swell = (0.4 * time + channel as f32).sin().powi(4);
            let tone = (std::f32::consts::TAU * (90.0 + 700.0 * channel as f32) * time).sin();
            level * (swell * tone + 0.03 * noise)
        };
        let length = seconds * rate as usize;
        (0..channels).map(|channel| (0..length).map(|at| sample(channel, at, noise())).collect()).collect()
    }

    /// Heard in pieces of uneven length.
    fn heard(rate: u32, channels: &[Vec<f32>]) -> Meter {
        let mut meter = Meter::new(f64::from(rate), channels.len());
        let (mut start, mut take) = (0, 1);
        while start < channels[0].len() {
            let end = channels[0].len().min(start + take);
            meter.add(channels.iter().map(|channel| &channel[start..end]).collect());
            (start, take) = (end, take * 7 % 9001 + 1);
        }
        meter
    }

    #[test]
    fn it_measures_what_the_reference_implementation_does() {
        for (rate, channels, seconds, level) in [
            (44_100, 2, 60, 0.5),
            (48_000, 1, 45, 0.01),
            (22_050, 5, 30, 0.9),
            (8_000, 6, 30, 0.2),
            (44_100, 3, 9, 0.3),
        ] {
            let music = music(rate, channels, seconds, level);
            let mut meter = EbuR128::new(channels as u32, rate, Mode::I | Mode::LRA).unwrap();
            let planes: Vec<&[f32]> = music.iter().map(Vec::as_slice).collect();
            meter.add_frames_planar_f32(&planes).unwrap();
            let level = heard(rate, &music);
            let (integrated, range) = (meter.loudness_global().unwrap(), meter.loudness_range().unwrap());
            let found = (level.integrated().unwrap(), level.range().unwrap());
            assert!((found.0 - integrated).abs() < 0.02, "{rate} Hz, {channels}: {found:?}, not {integrated}");
            assert!((found.1 - range).abs() < 0.15, "{rate} Hz, {channels}: {found:?}, not {range}");
        }
    }

    #[test]
    fn silence_noise_that_is_no_number_and_short_files_have_no_loudness() {
        assert_eq!(heard(44_100, &vec![vec![0.0; 200_000]; 2]).integrated(), None);
        assert_eq!(heard(44_100, &[vec![0.5; 17_000]]).integrated(), None, "less than 400 ms");
        let mut broken = music(44_100, 1, 20, 0.5);
        let whole = heard(44_100, &broken).integrated().unwrap();
        broken[0][100_000] = f32::NAN;
        broken[0][300_000] = f32::INFINITY;
        let found = heard(44_100, &broken).integrated().unwrap();
        assert!((found - whole).abs() < 1.0, "{found}, not {whole}: it goes on after what is no number");
    }

    #[test]
    fn channels_count_as_the_standard_says() {
        assert_eq!(weights(1), [1.0]);
        assert_eq!(weights(3), [1.0; 3]);
        assert_eq!(weights(4), [1.0, 1.0, 1.41, 1.41]);
        assert_eq!(weights(5), [1.0, 1.0, 1.0, 1.41, 1.41]);
        assert_eq!(weights(6), [1.0, 1.0, 1.0, 0.0, 1.41, 1.41]);
        assert_eq!(weights(8), [1.0, 1.0, 1.0, 0.0, 1.41, 1.41, 1.41, 1.41]);
    }
}
