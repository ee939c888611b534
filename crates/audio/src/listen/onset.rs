//! When something begins to sound.

use super::bands::{BANDS, centre};

/// Low, middle and high bands: where bass drums, voices and cymbals begin.
pub(super) const GROUPS: usize = 3;
/// Hz, between the groups.
const EDGES: [f64; GROUPS - 1] = [200.0, 2_000.0];
/// Frames that an onset may take to rise: 23 ms.
const RISE: usize = 2;
/// What the level that counts as loud loses in each frame: half in 8 s.
const FORGET: f32 = 0.999;
/// How much of what is soft is heard beside what is loud.
const COMPRESSION: f32 = 50.0;
/// Below, all is silence.
const SILENCE: f32 = 1e-3;

/// Spectral flux, as SuperFlux has it (Böck & Widmer 2013): the rise of compressed magnitudes over the loudest of the neighbouring bands a
/// moment before, so that vibrato is no onset.
pub(super) struct Flux {
    past: [[f32; BANDS]; RISE],
    at: usize,
    loud: f32,
    groups: [usize; BANDS],
    sizes: [f32; GROUPS],
}

impl Flux {
    pub(super) fn new() -> Self {
        let groups = std::array::from_fn(|band| EDGES.iter().filter(|edge| centre(band) >= **edge).count());
        let mut sizes = [0.0; GROUPS];
        groups.iter().for_each(|group: &usize| sizes[*group] += 1.0);
        Self { past: [[0.0; BANDS]; RISE], at: 0, loud: SILENCE, groups, sizes }
    }

    /// Takes the power of each band, gives the flux of each group.
    pub(super) fn push(&mut self, bands: &[f32; BANDS]) -> [f32; GROUPS] {
        let level = bands.iter().sum::<f32>().sqrt();
        self.loud = (self.loud * FORGET).max(level).max(SILENCE);
        let gain = (COMPRESSION / self.loud).powi(2);
        // Half the logarithm of the square: the compressed magnitude without its root.
        let now = bands.map(|power| 0.5 * (1.0 + gain * power).ln());
        let before = &self.past[self.at];
        let mut flux = [0.0; GROUPS];
        for band in 0..BANDS {
            let loudest = before[band.saturating_sub(1)..(band + 2).min(BANDS)].iter().fold(0.0, |a: f32, b| a.max(*b));
            flux[self.groups[band]] += (now[band] - loudest).max(0.0);
        }
        self.past[self.at] = now;
        self.at = (self.at + 1) % RISE;
        std::array::from_fn(|group| flux[group] / self.sizes[group])
    }
}

/// Frames on either side that an onset must surpass: 46 ms.
const AROUND: usize = 4;
/// Frames whose mean it must surpass: half a second.
const MEMORY: usize = 43;
/// How far above that mean.
const MARGIN: f32 = 0.12;

/// Counts the peaks of the flux.
pub(super) struct Onsets {
    recent: [f32; MEMORY],
    frames: u64,
    last: u64,
    pub(super) count: u64,
}

impl Onsets {
    pub(super) fn new() -> Self {
        Self { recent: [0.0; MEMORY], frames: 0, last: 0, count: 0 }
    }

    pub(super) fn push(&mut self, flux: f32) {
        self.recent[(self.frames % MEMORY as u64) as usize] = flux;
        self.frames += 1;
        if self.frames <= 2 * AROUND as u64 {
            return;
        }
        let candidate = self.frames - 1 - AROUND as u64;
        let value = |frame: u64| self.recent[(frame % MEMORY as u64) as usize];
        let peak = value(candidate);
        let mean = self.recent.iter().sum::<f32>() / MEMORY as f32;
        let is_peak = (candidate - AROUND as u64..self.frames).all(|frame| frame == candidate || value(frame) < peak);
        if is_peak && peak > 1.5 * mean + MARGIN && candidate - self.last > AROUND as u64 {
            self.last = candidate;
            self.count += 1;
        }
    }
}
