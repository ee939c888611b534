//! Short-time power spectra of a stream.

use std::sync::Arc;

use realfft::num_complex::Complex32;
use realfft::{RealFftPlanner, RealToComplex};

/// Cuts a stream into overlapping windows (Hann) and gives the power of each bin: 1 for a sine of full scale that lies on the bin.
pub(super) struct Spectrum {
    fft: Arc<dyn RealToComplex<f32>>,
    window: Vec<f32>,
    hop: f64,
    /// Where the next window starts in `held`.
    next: f64,
    held: Vec<f32>,
    frame: Vec<f32>,
    scratch: Vec<Complex32>,
    bins: Vec<Complex32>,
    power: Vec<f32>,
}

impl Spectrum {
    /// `size` and `hop` in samples. The hop may be a fraction: windows then start at the nearest sample.
    pub(super) fn new(size: usize, hop: f64) -> Self {
        let fft = RealFftPlanner::new().plan_fft_forward(size);
        let mut window: Vec<f32> = (0..size)
            .map(|n| (0.5 - 0.5 * (std::f64::consts::TAU * (n as f64 + 0.5) / size as f64).cos()) as f32)
            .collect();
        let scale = 2.0 / window.iter().sum::<f32>();
        window.iter_mut().for_each(|weight| *weight *= scale);
        Self {
            window,
            hop,
            next: 0.0,
            held: Vec::new(),
            frame: fft.make_input_vec(),
            scratch: fft.make_scratch_vec(),
            bins: fft.make_output_vec(),
            power: vec![0.0; size / 2 + 1],
            fft,
        }
    }

    /// Calls `each` with the power of the bins of every window that `input` completes.
    pub(super) fn process(&mut self, input: &[f32], mut each: impl FnMut(&[f32])) {
        self.held.extend_from_slice(input);
        let size = self.window.len();
        while self.next.round() as usize + size <= self.held.len() {
            let start = self.next.round() as usize;
            let samples = &self.held[start..start + size];
            for ((frame, sample), weight) in self.frame.iter_mut().zip(samples).zip(&self.window) {
                *frame = sample * weight;
            }
            // It fails on wrong lengths alone, and these are its own.
            if self.fft.process_with_scratch(&mut self.frame, &mut self.bins, &mut self.scratch).is_ok() {
                for (power, bin) in self.power.iter_mut().zip(&self.bins) {
                    *power = bin.re * bin.re + bin.im * bin.im;
                }
                each(&self.power);
            }
            self.next += self.hop;
        }
        let done = (self.next.round() as usize).min(self.held.len());
        self.held.drain(..done);
        self.next -= done as f64;
    }
}

/// The power of two that is nearest to `seconds`, as ratios go.
pub(super) fn window_size(rate: f64, seconds: f64) -> usize {
    let exponent = (rate * seconds).log2().round().clamp(6.0, 16.0);
    1 << exponent as u32
}
