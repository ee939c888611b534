//! Loudness by EBU R128, and silence at both ends.

use ebur128::{EbuR128, Mode};

use super::decimate::Decimator;
use crate::AudioError;

/// Hz: of what is sampled faster, half is enough, and the meter holds three seconds of it.
const HIGHEST_RATE: f64 = 50_000.0;
/// Full scale is 1: softer than this is silence (−60 dB).
const SILENCE: f32 = 0.001;
/// LUFS: the absolute gate of BS.1770, below which there is no loudness.
const GATE: f64 = -70.0;

pub(super) struct Loudness {
    meter: EbuR128,
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
    pub(super) fn new(rate: u32, channels: usize) -> Result<Self, AudioError> {
        let (decimator, low) = Decimator::below(f64::from(rate), HIGHEST_RATE);
        // Blocks of the histogram rather than a list of all: bounded.
        let mode = Mode::I | Mode::LRA | Mode::HISTOGRAM;
        let meter = EbuR128::new(channels as u32, low.round() as u32, mode).map_err(|error| AudioError::OverLimit {
            what: format!("the loudness of {channels} channels at {rate} Hz cannot be measured: {error}"),
        })?;
        Ok(Self { meter, decimators: vec![decimator; channels], rate, frames: 0, first: None, last: 0 })
    }

    pub(super) fn process(&mut self, channels: &[Vec<f32>]) -> Result<(), AudioError> {
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
        let low: Vec<&[f32]> =
            self.decimators.iter_mut().zip(channels).map(|(decimator, channel)| decimator.process(channel)).collect();
        self.meter
            .add_frames_planar_f32(&low)
            .map_err(|error| AudioError::Damaged { what: format!("its loudness cannot be measured: {error}") })
    }

    pub(super) fn finish(&self) -> Level {
        let seconds = |frames: u64| frames as f64 / f64::from(self.rate);
        let integrated = self.meter.loudness_global().ok().filter(|level| *level > GATE);
        let range = self.meter.loudness_range().ok().filter(|range| integrated.is_some() && range.is_finite());
        let (silence_start, silence_end) = match self.first {
            Some(first) => (seconds(first), seconds(self.frames - 1 - self.last)),
            // All of it is silence, told once.
            None => (seconds(self.frames), 0.0),
        };
        Level { integrated, range, silence_start, silence_end }
    }
}
