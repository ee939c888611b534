use soniquebay_domain::{Mode, PitchClass};

/// A number, and how sure it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measure {
    /// In the unit that its field names.
    pub value: f64,
    /// 0 (a guess) to 1 (certain).
    pub confidence: f64,
}

/// A key that was heard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KeyMeasure {
    /// The tonic.
    pub tonic: PitchClass,
    /// Major or minor.
    pub mode: Mode,
    /// 0 (a guess) to 1 (certain).
    pub confidence: f64,
}

/// What is heard in a file. What cannot be told of it is `None`: silence has no tempo, noise no key.
#[derive(Clone, Debug, PartialEq)]
pub struct Analysis {
    /// Seconds, as decoded.
    pub duration: f64,
    /// Hz, as encoded.
    pub sample_rate: u32,
    /// As encoded.
    pub channels: u32,
    /// "MP3", "FLAC".
    pub codec: &'static str,
    /// Packets that were damaged and left out.
    pub damaged_packets: u64,
    /// Beats a minute, 40 to 220.
    pub tempo: Option<Measure>,
    /// How regularly and clearly beats are struck, 0 to 1.
    pub beat_strength: Option<Measure>,
    /// How well one can dance to it, 0 to 1: a steady, clear beat at a tempo of the feet.
    pub danceability: Option<Measure>,
    /// Tonic and mode.
    pub key: Option<KeyMeasure>,
    /// Integrated loudness by EBU R128, in LUFS.
    pub loudness: Option<Measure>,
    /// Loudness range by EBU Tech 3342, in LU.
    pub loudness_range: Option<Measure>,
    /// How intense it is, 0 to 1: loudness, brightness and density of onsets.
    pub energy: Option<Measure>,
    /// Centre of the spectrum in Hz, weighed by loudness.
    pub brightness: Option<Measure>,
    /// Share of what is struck (in percussion's way) in all that sounds, 0 to 1.
    pub percussive: Option<Measure>,
    /// Onsets a second.
    pub onset_rate: Option<Measure>,
    /// Seconds of silence before the first sound.
    pub silence_start: f64,
    /// Seconds of silence after the last sound.
    pub silence_end: f64,
    /// A unit vector of [`SOUND_DIMS`](crate::SOUND_DIMS) numbers for the sound space.
    pub sound: Option<Vec<f32>>,
    /// What constants are chosen from.
    #[cfg(feature = "training")]
    pub raw: Raw,
}

/// What features are made of, for `bench/sound_train.py`, which chooses the constants.
#[cfg(feature = "training")]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Raw {
    /// Tempi that were weighed: beats a minute, strength, and the numbers about each.
    pub candidates: Vec<(f64, f64, Vec<f64>)>,
    /// Share of each pitch class.
    pub classes: Option<[f64; 12]>,
    /// The same of the bass.
    pub bass: Option<[f64; 12]>,
    /// Share of the power that lies in peaks.
    pub tonal: Option<f64>,
    /// The sound vector before it is scaled.
    pub numbers: Vec<f64>,
}
