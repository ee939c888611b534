//! Loudness, and silence at both ends.

use super::decimate::Decimator;
use super::meter::Meter;

/// Hz: of what is sampled faster, half is enough.
const HIGHEST_RATE: f64 = 50_000.0;
/// Full scale is 1: softer than this is silence (−60 dB).
const SILENCE: f32 = 0.001;

pub(super) struct Loudness {
    meter: Meter,
    decimators: Vec<Decimator>,
    rate: u32,
    frames: u64,
    first: Option<u64>,
    last: u64,
}

/// What was measured.
pub(super) struct Level {
    /// LUFS.
    pub(super) integrated: Option<f64>,
    /// LU.
    pub(super) range: Option<f64>,
    /// Seconds.
    pub(super) silence_start: f64,
    /// Seconds.
    pub(super) silence_end: f64,
}

impl Loudness {
    pub(super) fn new(rate: u32, channels: usize) -> Self {
        let (decimator, low) = Decimator::below(f64::from(rate), HIGHEST_RATE);
        let decimators = vec![decimator; channels];
        Self { meter: Meter::new(low, channels), decimators, rate, frames: 0, first: None, last: 0 }
    }

    pub(super) fn process(&mut self, channels: &[Vec<f32>]) {
        let frames = channels.first().map_or(0, Vec::len);
        let loud = |sample: &f32| sample.abs() > SILENCE;
        if self.first.is_none() {
            let first = channels.iter().filter_map(|channel| channel.iter().position(loud)).min();
            self.first = first.map(|first| self.frames + first as u64);
        }
        if let Some(last) = channels.iter().filter_map(|channel| channel.iter().rposition(loud)).max() {
            self.last = self.frames + last as u64;
        }
        self.frames += frames as u64;
        let low = self.decimators.iter_mut().zip(channels).map(|(decimator, channel)| decimator.process(channel));
        self.meter.add(low.collect());
    }

    pub(super) fn finish(&self) -> Level {
        let seconds = |frames: u64| frames as f64 / f64::from(self.rate);
        let (silence_start, silence_end) = match self.first {
            Some(first) => (seconds(first), seconds(self.frames - 1 - self.last)),
            // All of it is silence, told once.
            None => (seconds(self.frames), 0.0),
        };
        Level { integrated: self.meter.integrated(), range: self.meter.range(), silence_start, silence_end }
    }
}
