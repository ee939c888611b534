//! Which pitches sound, by pitch class.

use std::f64::consts::TAU;

use super::spectrum::{Spectrum, window_size};

/// Steps of a semitone: 10 cents.
const STEPS: usize = 10;
/// Bins of an octave.
const BINS: usize = 12 * STEPS;
/// Hz: below are thumps, above are harmonics.
const LOWEST: f64 = 60.0;
const HIGHEST: f64 = 1_900.0;
/// Hz: what lies below is the bass.
const BASS: f64 = 220.0;
/// Seconds of a window: neighbouring semitones at 60 Hz are 3.5 Hz apart.
const WINDOW: f64 = 0.7;
/// What a peak counts for the pitches of which it may be a harmonic (2 to 5), less for each; itself it counts 1.
const HARMONIC: f32 = 0.5;
/// A peak that many times weaker (in power) than the strongest of its frame is none.
const FLOOR: f32 = 1e-4;
/// Hz on either side whose mean magnitude a peak is measured against.
const AROUND: f64 = 20.0;
/// A peak must have that many times the power of what is around it: one bin in twenty of noise has.
const ABOVE: f32 = 4.0;
/// Power below which a frame is silent.
const SILENCE: f32 = 1e-7;

/// Sums of what sounds at each pitch, and of how its frames are shaped.
pub(super) struct Chroma {
    spectrum: Spectrum,
    peaks: Peaks,
}

struct Peaks {
    width: f64,
    /// Sums of the magnitudes up to each bin, of one frame.
    sums: Vec<f32>,
    all: [f64; BINS],
    bass: [f64; BINS],
    /// Magnitudes of the Fourier series of each frame's twelve pitch classes, summed.
    shape: [f64; 6],
    frames: u64,
    /// How much of each frame's power lies in its peaks, summed.
    tonal: f64,
}

/// What was heard of all of it.
pub(super) struct Harmony {
    /// Share of each pitch class in what sounds, C first, in tune with the piece.
    pub(super) classes: [f64; 12],
    /// The same of the bass.
    pub(super) bass: [f64; 12],
    /// Mean magnitudes of the Fourier series of single frames, harmonics 1 to 6, each 0 to 1: the same in any key. The fifth is how
    /// much a frame keeps to one diatonic scale, the third to one augmented chord, and so on (Harte et al. 2006; Amiot 2016).
    pub(super) shape: [f64; 6],
    /// Share of the power that lies in peaks, 0 to 1.
    pub(super) tonal: f64,
}

impl Chroma {
    pub(super) fn new(rate: f64) -> Self {
        let size = window_size(rate, WINDOW);
        let peaks = Peaks {
            width: rate / size as f64,
            sums: Vec::new(),
            all: [0.0; BINS],
            bass: [0.0; BINS],
            shape: [0.0; 6],
            frames: 0,
            tonal: 0.0,
        };
        Self { spectrum: Spectrum::new(size, size as f64 / 4.0), peaks }
    }

    pub(super) fn process(&mut self, samples: &[f32]) {
        let peaks = &mut self.peaks;
        self.spectrum.process(samples, |power| peaks.add(power));
    }

    /// `None` where nothing sounded.
    pub(super) fn finish(&self) -> Option<Harmony> {
        let Peaks { all, bass, shape, frames, tonal, .. } = &self.peaks;
        if *frames == 0 || all.iter().sum::<f64>() <= 0.0 {
            return None;
        }
        let tuning = tuning(all);
        let frames = *frames as f64;
        Some(Harmony {
            classes: fold(all, tuning),
            bass: fold(bass, tuning),
            shape: shape.map(|sum| sum / frames),
            tonal: tonal / frames,
        })
    }
}

impl Peaks {
    fn add(&mut self, power: &[f32]) {
        let from = ((LOWEST / self.width) as usize).max(2);
        let to = ((HIGHEST / self.width) as usize).min(power.len().saturating_sub(2));
        if to <= from {
            return;
        }
        let range = &power[from..to];
        let around = (AROUND / self.width).ceil() as usize;
        let strongest = range.iter().fold(0.0, |a: f32, b| a.max(*b));
        if strongest < SILENCE {
            return;
        }
        self.sums.clear();
        self.sums.push(0.0);
        let mut sum = 0.0;
        self.sums.extend(power[..power.len().min(to + around + 1)].iter().map(|power| {
            sum += power.sqrt();
            sum
        }));
        let mut frame = [0.0f32; BINS];
        let mut bass = [0.0f32; BINS];
        let mut in_peaks = 0.0;
        for bin in from..to {
            let [before, here, after] = [power[bin - 1], power[bin], power[bin + 1]];
            if here <= before || here < after || here < strongest * FLOOR {
                continue;
            }
            let (first, last) = (bin.saturating_sub(around), (bin + around + 1).min(self.sums.len() - 1));
            let mean = (self.sums[last] - self.sums[first]) / (last - first) as f32;
            let above = here / (mean * mean).max(1e-20) - ABOVE;
            if above <= 0.0 {
                continue;
            }
            in_peaks += before + here + after;
            // The top of the parabola through the logarithms.
            let [a, b, c] = [before, here, after].map(|power| f64::from(power.max(1e-20)).ln());
            let curve = a - 2.0 * b + c;
            let offset = if curve.abs() > 1e-9 { (0.5 * (a - c) / curve).clamp(-0.5, 0.5) } else { 0.0 };
            let frequency = (bin as f64 + offset) * self.width;
            // Measured against what is around it, so that a snare counts little, and by the fourth root, so that a loud voice does not
            // drown the chord.
            let weight = above.sqrt().sqrt();
            if frequency < BASS {
                bass[place(frequency)] += weight;
            }
            let mut counts = 1.0;
            for harmonic in 1..=5u8 {
                let pitch = frequency / f64::from(harmonic);
                if pitch < LOWEST {
                    break;
                }
                frame[place(pitch)] += weight * counts;
                counts *= HARMONIC;
            }
        }
        let sum: f32 = frame.iter().sum();
        if sum <= 0.0 {
            return;
        }
        self.frames += 1;
        self.tonal += f64::from(in_peaks / range.iter().sum::<f32>().max(1e-20)).min(1.0);
        // Louder frames count more, but far from as much more as they are louder.
        let scale = f64::from(strongest).powf(0.15) / f64::from(sum);
        for ((all, bass_sum), (frame, bass)) in self.all.iter_mut().zip(&mut self.bass).zip(frame.iter().zip(&bass)) {
            *all += scale * f64::from(*frame);
            *bass_sum += scale * f64::from(*bass);
        }
        let classes = fold(&frame.map(f64::from), 0.0);
        for (sum, magnitude) in self.shape.iter_mut().zip(magnitudes(&classes)) {
            *sum += magnitude;
        }
    }
}

/// The bin of a frequency; that of C is 0.
fn place(frequency: f64) -> usize {
    // C0 is 16.3516 Hz where A4 is 440.
    let octaves = (frequency / 16.351_597_831_287_414).log2();
    ((octaves * BINS as f64).round() as i64).rem_euclid(BINS as i64) as usize
}

/// By how many steps the piece is above A = 440 Hz, −5 to 5: the mean angle of what sounds within a semitone.
fn tuning(bins: &[f64; BINS]) -> f64 {
    let (mut x, mut y) = (0.0, 0.0);
    for (bin, weight) in bins.iter().enumerate() {
        let (sin, cos) = (TAU * (bin % STEPS) as f64 / STEPS as f64).sin_cos();
        x += weight * cos;
        y += weight * sin;
    }
    y.atan2(x) / TAU * STEPS as f64
}

/// Twelve classes out of the bins, each by a raised cosine one semitone to either side; their sum is 1.
fn fold(bins: &[f64; BINS], tuning: f64) -> [f64; 12] {
    let mut classes = [0.0; 12];
    for (bin, weight) in bins.iter().enumerate() {
        let semitones = (bin as f64 - tuning) / STEPS as f64;
        let lower = semitones.floor();
        let share = 0.5 + 0.5 * (std::f64::consts::PI * (semitones - lower)).cos();
        classes[(lower as i64).rem_euclid(12) as usize] += weight * share;
        classes[(lower as i64 + 1).rem_euclid(12) as usize] += weight * (1.0 - share);
    }
    let sum: f64 = classes.iter().sum();
    if sum > 0.0 { classes.map(|class| class / sum) } else { classes }
}

/// Magnitudes of the Fourier series, harmonics 1 to 6, of classes whose sum is 1.
pub(super) fn magnitudes(classes: &[f64; 12]) -> [f64; 6] {
    std::array::from_fn(|harmonic| {
        let (mut x, mut y) = (0.0, 0.0);
        for (class, weight) in classes.iter().enumerate() {
            let (sin, cos) = (TAU * ((harmonic + 1) * class) as f64 / 12.0).sin_cos();
            x += weight * cos;
            y += weight * sin;
        }
        x.hypot(y)
    })
}
