//! From samples to what is heard in them. Everything adds up as the samples go by; nothing keeps them.

mod bands;
mod chroma;
mod decimate;
mod gate;
mod k_weighting;
mod key;
mod key_model;
mod loudness;
mod meter;
mod onset;
mod rhythm;
mod sound;
mod sound_model;
mod spectrum;
mod tempo;
mod tempo_model;
mod timbre;

use crate::analysis::{KeyMeasure, Measure};
use crate::decode::Block;
use bands::Bands;
use chroma::Chroma;
use decimate::Decimator;
use loudness::{Level, Loudness};
use onset::{Flux, Onsets};
use rhythm::Rhythm;
use spectrum::{Spectrum, window_size};
use timbre::Timbre;

/// Hz: as long as there is more, every second sample is dropped.
const CEILING: f64 = 44_100.0;
/// The same for what chords are looked for in.
const CHROMA_CEILING: f64 = 9_000.0;
/// Frames a second, whatever the sample rate: 256 samples at 22,050 Hz.
const FRAME_RATE: f64 = 22_050.0 / 256.0;
/// Seconds that one frame sees.
const FRAME: f64 = 0.0464;

/// Listens to one stream.
pub(crate) struct Listener {
    rate: u32,
    loudness: Loudness,
    mono: Vec<f32>,
    decimator: Decimator,
    spectrum: Spectrum,
    ear: Ear,
    chroma_decimator: Decimator,
    chroma: Chroma,
    samples: u64,
}

/// What looks at each frame.
struct Ear {
    bands: Bands,
    flux: Flux,
    onsets: Onsets,
    rhythm: Rhythm,
    timbre: Timbre,
}

/// What was heard. What is missing could not be told.
pub(crate) struct Heard {
    pub(crate) tempo: Option<Measure>,
    pub(crate) beat_strength: Option<Measure>,
    pub(crate) danceability: Option<Measure>,
    pub(crate) key: Option<KeyMeasure>,
    pub(crate) loudness: Option<Measure>,
    pub(crate) loudness_range: Option<Measure>,
    pub(crate) energy: Option<Measure>,
    pub(crate) brightness: Option<Measure>,
    pub(crate) percussive: Option<Measure>,
    pub(crate) onset_rate: Option<Measure>,
    pub(crate) silence_start: f64,
    pub(crate) silence_end: f64,
    pub(crate) sound: Option<Vec<f32>>,
    #[cfg(feature = "training")]
    pub(crate) raw: crate::Raw,
}

impl Listener {
    pub(crate) fn new(rate: u32, channels: usize) -> Self {
        let (decimator, low) = Decimator::below(f64::from(rate), CEILING);
        let size = window_size(low, FRAME);
        let (chroma_decimator, chroma_rate) = Decimator::below(low, CHROMA_CEILING);
        Self {
            rate,
            loudness: Loudness::new(rate, channels),
            mono: Vec::new(),
            decimator,
            spectrum: Spectrum::new(size, low / FRAME_RATE),
            ear: Ear {
                bands: Bands::new(size / 2 + 1, low / size as f64),
                flux: Flux::new(),
                onsets: Onsets::new(),
                rhythm: Rhythm::new(),
                timbre: Timbre::new(),
            },
            chroma_decimator,
            chroma: Chroma::new(chroma_rate),
            samples: 0,
        }
    }

    pub(crate) fn hear(&mut self, block: &Block<'_>) {
        self.loudness.process(block.channels);
        let frames = block.channels.first().map_or(0, Vec::len);
        self.samples += frames as u64;
        mix(block.channels, &mut self.mono);
        let low = self.decimator.process(&self.mono);
        let ear = &mut self.ear;
        self.spectrum.process(low, |power| ear.hear(power));
        self.chroma.process(self.chroma_decimator.process(low));
    }

    pub(crate) fn finish(self) -> Heard {
        let seconds = self.samples as f64 / f64::from(self.rate);
        let Level { integrated, range, silence_start, silence_end } = self.loudness.finish();
        let sounding = (seconds - silence_start - silence_end).max(0.0);
        let mut heard = Heard {
            tempo: None,
            beat_strength: None,
            danceability: None,
            key: None,
            loudness: None,
            loudness_range: None,
            energy: None,
            brightness: None,
            percussive: None,
            onset_rate: None,
            silence_start,
            silence_end,
            sound: None,
            #[cfg(feature = "training")]
            raw: crate::Raw::default(),
        };
        let Some(lufs) = integrated else { return heard };
        // A few seconds say little of a piece.
        let sure = |needed: f64| (sounding / needed).clamp(0.0, 1.0);
        let measure = |value: f64, confidence: f64| Some(Measure { value, confidence });
        heard.loudness = measure(lufs, sure(3.0));
        heard.loudness_range = range.and_then(|range| measure(range, sure(30.0)));
        let Ear { onsets, rhythm, timbre, .. } = self.ear;
        let onset_rate = onsets.count as f64 / sounding.max(1.0);
        heard.onset_rate = measure(onset_rate, sure(5.0));
        let percussive = timbre.percussive().unwrap_or(0.0);
        heard.percussive = measure(percussive, sure(5.0));
        let brightness = timbre.brightness();
        heard.brightness = brightness.and_then(|hertz| measure(hertz, sure(3.0)));
        let energy = energy(lufs, brightness.unwrap_or(0.0), onset_rate);
        heard.energy = measure(energy, sure(10.0));
        let periodicity = rhythm.finish(FRAME_RATE);
        let harmony = self.chroma.finish();
        let tonal = harmony.as_ref().map_or(0.0, |harmony| harmony.tonal);
        let context = tempo::Context { onset_rate, percussive, tonal };
        let tempo = periodicity.as_ref().and_then(|periodicity| tempo::tempo(periodicity, &context));
        if let Some(tempo) = &tempo {
            let confidence = tempo.confidence * sure(10.0);
            heard.tempo = measure(tempo.bpm, confidence);
            heard.beat_strength = measure(tempo.strength, sure(10.0));
            heard.danceability = measure(danceability(tempo, percussive), confidence.max(0.3 * sure(10.0)));
        }
        heard.key = harmony
            .as_ref()
            .and_then(key::key)
            .map(|key| KeyMeasure { confidence: key.confidence * sure(10.0), ..key });
        let sizes = sound::Sizes { lufs, range: range.unwrap_or(0.0), onset_rate, percussive };
        let numbers = sound::measured(&timbre, harmony.as_ref(), periodicity.as_ref(), &sizes);
        heard.sound = sound::vector(&numbers);
        #[cfg(feature = "training")]
        {
            heard.raw = crate::Raw {
                candidates: periodicity.map_or_else(Vec::new, |found| {
                    let found = tempo::candidates(&found, &context);
                    found.into_iter().map(|one| (one.bpm, one.strength, one.features.to_vec())).collect()
                }),
                classes: harmony.as_ref().map(|harmony| harmony.classes),
                bass: harmony.as_ref().map(|harmony| harmony.bass),
                tonal: harmony.as_ref().map(|harmony| harmony.tonal),
                numbers: numbers.to_vec(),
            };
        }
        heard
    }
}

impl Ear {
    fn hear(&mut self, power: &[f32]) {
        let bands = self.bands.sum(power);
        let flux = self.flux.push(&bands);
        self.onsets.push(flux.iter().sum());
        self.rhythm.push(&flux);
        self.timbre.push(&bands);
    }
}

/// The mean of all channels.
fn mix(channels: &[Vec<f32>], mono: &mut Vec<f32>) {
    mono.clear();
    let Some((first, rest)) = channels.split_first() else { return };
    mono.extend_from_slice(first);
    for channel in rest {
        mono.iter_mut().zip(channel).for_each(|(sum, sample)| *sum += sample);
    }
    let share = 1.0 / channels.len() as f32;
    mono.iter_mut().for_each(|sample| *sample *= share);
}

/// Half by loudness (−35 to −7 LUFS), and the rest by how dense (0 to 8 onsets a second) and how bright (300 Hz to 4 kHz, in octaves) it is.
fn energy(lufs: f64, brightness: f64, onset_rate: f64) -> f64 {
    let loud = ((lufs + 35.0) / 28.0).clamp(0.0, 1.0);
    let dense = (onset_rate / 8.0).clamp(0.0, 1.0);
    let bright = ((brightness.max(1.0) / 300.0).log2() / (4_000.0f64 / 300.0).log2()).clamp(0.0, 1.0);
    0.5 * loud + 0.25 * dense + 0.25 * bright
}

/// A clear beat counts half; a tempo near 120 (an octave away it counts nothing) and something that strikes a quarter each.
fn danceability(tempo: &tempo::Tempo, percussive: f64) -> f64 {
    let pace = 1.0 - (tempo.bpm / 120.0).log2().abs().min(1.0);
    let struck = (percussive / 0.3).clamp(0.0, 1.0);
    0.5 * tempo.strength + 0.25 * pace + 0.25 * struck
}
