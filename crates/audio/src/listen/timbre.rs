//! The colour of the sound.

use std::f64::consts::PI;

use super::bands::{BANDS, centre};

/// Cepstral coefficients 1 to 13; the one below is loudness.
pub(super) const CEPSTRA: usize = 13;
/// Share of a frame's power, below which a band is as good as silent: a lossy codec leaves it out.
const FLOOR: f32 = 1e-4;
/// Mean power below which a frame is silent: −66 dB.
const SILENCE: f32 = 2.5e-7;
/// Frames on either side within which what is struck has died away: 70 ms.
const STRUCK: usize = 6;
const HELD: usize = 2 * STRUCK + 1;

/// Running moments: mean and spread in one pass (Welford).
#[derive(Clone, Copy, Default)]
pub(super) struct Moments {
    count: f64,
    pub(super) mean: f64,
    squares: f64,
}

impl Moments {
    pub(super) fn push(&mut self, value: f64) {
        self.count += 1.0;
        let off = value - self.mean;
        self.mean += off / self.count;
        self.squares += off * (value - self.mean);
    }

    pub(super) fn deviation(&self) -> f64 {
        if self.count > 1.0 { (self.squares / self.count).max(0.0).sqrt() } else { 0.0 }
    }
}

/// Mean and spread of what each frame sounds like.
pub(super) struct Timbre {
    cosines: [[f32; BANDS]; CEPSTRA],
    tilt: [f32; BANDS],
    centres: [f32; BANDS],
    pub(super) cepstra: [Moments; CEPSTRA],
    /// Frame to frame.
    pub(super) change: Moments,
    /// Octaves above 1 kHz at which the middle of the power lies.
    pub(super) centroid: Moments,
    /// 1 for white noise, near 0 for a tone: geometric over arithmetic mean of the bands.
    pub(super) flatness: Moments,
    weighted_hertz: f64,
    weight: f64,
    last: Option<[f32; CEPSTRA]>,
    recent: [[f32; BANDS]; HELD],
    frames: u64,
    struck: f64,
    all: f64,
}

impl Timbre {
    pub(super) fn new() -> Self {
        let cosines = std::array::from_fn(|c| {
            std::array::from_fn(|band| {
                let angle = PI * (c + 1) as f64 * (band as f64 + 0.5) / BANDS as f64;
                ((2.0 / BANDS as f64).sqrt() * angle.cos()) as f32
            })
        });
        Self {
            cosines,
            // Music falls by about 3 dB an octave: levelled, its high bands count too.
            tilt: std::array::from_fn(|band| (centre(band) / 1_000.0) as f32),
            centres: std::array::from_fn(|band| centre(band) as f32),
            cepstra: Default::default(),
            change: Moments::default(),
            centroid: Moments::default(),
            flatness: Moments::default(),
            weighted_hertz: 0.0,
            weight: 0.0,
            last: None,
            recent: [[0.0; BANDS]; HELD],
            frames: 0,
            struck: 0.0,
            all: 0.0,
        }
    }

    pub(super) fn push(&mut self, bands: &[f32; BANDS]) {
        self.strike(bands);
        let total: f32 = bands.iter().sum();
        if total < SILENCE {
            self.last = None;
            return;
        }
        let hertz = bands.iter().zip(&self.centres).map(|(power, hertz)| power * hertz).sum::<f32>() / total;
        self.centroid.push(f64::from(hertz / 1_000.0).log2());
        // By magnitude, not power: or the loudest bars alone would tell.
        self.weighted_hertz += f64::from(hertz * total.sqrt());
        self.weight += f64::from(total.sqrt());
        let mut levels: [f32; BANDS] = std::array::from_fn(|band| bands[band] * self.tilt[band]);
        let floor = FLOOR * levels.iter().sum::<f32>();
        levels.iter_mut().for_each(|level| *level = (*level + floor).ln());
        let arithmetic = levels.iter().map(|level| level.exp()).sum::<f32>() / BANDS as f32;
        let geometric = (levels.iter().sum::<f32>() / BANDS as f32).exp();
        self.flatness.push(f64::from(geometric / arithmetic));
        let cepstrum: [f32; CEPSTRA] =
            std::array::from_fn(|c| self.cosines[c].iter().zip(&levels).map(|(cosine, level)| cosine * level).sum());
        for (moments, value) in self.cepstra.iter_mut().zip(cepstrum) {
            moments.push(f64::from(value));
        }
        if let Some(last) = self.last.replace(cepstrum) {
            let squares: f32 = last.iter().zip(&cepstrum).map(|(a, b)| (a - b).powi(2)).sum();
            self.change.push(f64::from(squares.sqrt()));
        }
    }

    /// What stands above the moments before and after it was struck; what lasts was not.
    fn strike(&mut self, bands: &[f32; BANDS]) {
        self.recent[(self.frames % HELD as u64) as usize] = bands.map(f32::sqrt);
        self.frames += 1;
        if self.frames < HELD as u64 {
            return;
        }
        let back = |frames: usize| &self.recent[((self.frames - 1 - frames as u64) % HELD as u64) as usize];
        let (after, now, before) = (back(0), back(STRUCK), back(2 * STRUCK));
        let (mut struck, mut all) = (0.0, 0.0);
        for band in 0..BANDS {
            struck += (now[band] - after[band].max(before[band])).max(0.0);
            all += now[band];
        }
        self.struck += f64::from(struck);
        self.all += f64::from(all);
    }

    /// Hz.
    pub(super) fn brightness(&self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.weighted_hertz / self.weight)
    }

    /// 0 to 1.
    pub(super) fn percussive(&self) -> Option<f64> {
        (self.all > 1e-6 * self.frames as f64).then(|| self.struck / self.all)
    }
}
