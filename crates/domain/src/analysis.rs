//! What an analysis of a track's audio says, and which of tag and measurement counts.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use crate::{ContentHash, Features, Key, Mode, PitchClass, TrackFields};

/// Fingerprint of a file's encoded audio without its tags, as the analyser makes it: 8 to 128 hexadecimal digits. A file that
/// was moved or tagged anew keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AudioHash(String);

impl AudioHash {
    /// Takes a hash as it was made, stored or sent.
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = (8..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
        is_hex.then(|| Self(text.to_ascii_lowercase()))
    }

    /// The hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AudioHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Something that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Aspect {
    /// Seconds of audio.
    Duration,
    /// Beats a minute.
    Tempo,
    /// How clear the beat is, 0 to 1.
    BeatStrength,
    /// 0 (not at all) to 1 (very).
    Danceability,
    /// Key and mode, as [`key_number`] writes them.
    Key,
    /// Integrated loudness, LUFS.
    Loudness,
    /// Loudness range, LU.
    LoudnessRange,
    /// 0 (calm) to 1 (intense).
    Energy,
    /// Centre of the spectrum, Hz.
    Brightness,
    /// Share of percussive sound, 0 to 1.
    Percussive,
    /// Onsets a second.
    OnsetRate,
    /// Seconds of silence before the first sound.
    SilenceStart,
    /// Seconds of silence after the last sound.
    SilenceEnd,
}

impl Aspect {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Duration,
        Self::Tempo,
        Self::BeatStrength,
        Self::Danceability,
        Self::Key,
        Self::Loudness,
        Self::LoudnessRange,
        Self::Energy,
        Self::Brightness,
        Self::Percussive,
        Self::OnsetRate,
        Self::SilenceStart,
        Self::SilenceEnd,
    ];

    /// The name it has on the wire and in databases.
    pub fn name(self) -> &'static str {
        match self {
            Self::Duration => "duration",
            Self::Tempo => "tempo",
            Self::BeatStrength => "beat_strength",
            Self::Danceability => "danceability",
            Self::Key => "key",
            Self::Loudness => "loudness",
            Self::LoudnessRange => "loudness_range",
            Self::Energy => "energy",
            Self::Brightness => "brightness",
            Self::Percussive => "percussive",
            Self::OnsetRate => "onset_rate",
            Self::SilenceStart => "silence_start",
            Self::SilenceEnd => "silence_end",
        }
    }

    /// What a value may be: a worker elsewhere may send anything.
    fn bounds(self) -> (f64, f64) {
        match self {
            Self::Tempo => (1.0, 1000.0),
            Self::Key => (0.0, 23.0),
            Self::Loudness => (-120.0, 30.0),
            Self::LoudnessRange => (0.0, 120.0),
            Self::OnsetRate => (0.0, 1000.0),
            Self::Duration | Self::SilenceStart | Self::SilenceEnd => (0.0, 1e7),
            Self::Brightness => (0.0, 1e6),
            Self::BeatStrength | Self::Danceability | Self::Energy | Self::Percussive => (0.0, 1.0),
        }
    }
}

/// A measured value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measure {
    /// In its aspect's unit.
    pub value: f64,
    /// How sure the measurement is, 0 to 1.
    pub confidence: f64,
}

/// A key as a number: the tonic's semitones above C, 12 more in minor.
pub fn key_number(tonic: PitchClass, mode: Mode) -> f64 {
    f64::from(tonic.semitones()) + if mode == Mode::Minor { 12.0 } else { 0.0 }
}

/// What was measured of a track's audio. What could not be told is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured(BTreeMap<Aspect, Measure>);

/// A measured value counts, where no tag says otherwise, from this confidence on. The one rule of tags and measurements:
/// **a tag counts where there is one; else the measured value, if its confidence is at least this; else it is unknown.**
pub const TRUSTED: f64 = 0.5;

/// Names of the fields that a measurement can fill.
pub const FILLABLE: [&str; 7] = ["duration", "bpm", "key", "mode", "danceability", "energy", "loudness"];

impl Measured {
    /// Keeps a value; one that is no number, or out of its aspect's bounds, is unknown.
    pub fn set(&mut self, aspect: Aspect, measure: Measure) {
        let (least, most) = aspect.bounds();
        let is_sound = (least..=most).contains(&measure.value) && (0.0..=1.0).contains(&measure.confidence);
        let is_whole = aspect != Aspect::Key || measure.value.fract() == 0.0;
        if is_sound && is_whole {
            self.0.insert(aspect, measure);
        }
    }

    /// What was measured of this aspect.
    pub fn get(&self, aspect: Aspect) -> Option<Measure> {
        self.0.get(&aspect).copied()
    }

    /// The measured key, with its confidence.
    pub fn key(&self) -> Option<(Key, f64)> {
        let measure = self.get(Aspect::Key)?;
        let mode = if measure.value < 12.0 { Mode::Major } else { Mode::Minor };
        Some((Key { tonic: PitchClass::from_semitones(measure.value as i64), mode: Some(mode) }, measure.confidence))
    }

    /// As JSON: `{"tempo": {"value": 120.1, "confidence": 0.9}, …}`.
    pub fn to_json(&self) -> Map<String, Value> {
        let member = |(aspect, measure): (&Aspect, &Measure)| {
            let value = serde_json::json!({"value": measure.value, "confidence": measure.confidence});
            (aspect.name().to_owned(), value)
        };
        self.0.iter().map(member).collect()
    }

    /// Reads what [`Self::to_json`] writes; what is unknown or out of bounds is left out.
    pub fn from_json(members: &Map<String, Value>) -> Self {
        let mut measured = Self::default();
        for aspect in Aspect::ALL {
            let number = |name: &str| members.get(aspect.name())?.get(name)?.as_f64();
            if let Some((value, confidence)) = number("value").zip(number("confidence")) {
                measured.set(aspect, Measure { value, confidence });
            }
        }
        measured
    }

    /// What counts of a track whose tags say `tagged`, by the rule told at [`TRUSTED`], and the names of the fields
    /// that are measured.
    pub fn fill(&self, tagged: &TrackFields) -> (TrackFields, Vec<&'static str>) {
        let (mut counts, mut filled) = (tagged.clone(), Vec::new());
        let trusted = |aspect| self.get(aspect).filter(|measure| measure.confidence >= TRUSTED).map(|m| m.value);
        let features: &mut Features = &mut counts.features;
        let numbers = [
            ("duration", &mut counts.duration, Aspect::Duration),
            ("bpm", &mut features.bpm, Aspect::Tempo),
            ("danceability", &mut features.danceability, Aspect::Danceability),
            ("energy", &mut features.energy, Aspect::Energy),
            ("loudness", &mut features.loudness, Aspect::Loudness),
        ];
        for (name, slot, aspect) in numbers {
            if let (None, Some(value)) = (&slot, trusted(aspect)) {
                *slot = Some(value);
                filled.push(name);
            }
        }
        if let Some((key, _)) = self.key().filter(|(_, confidence)| *confidence >= TRUSTED) {
            // A tag's tonic never gets another key's mode.
            let agrees = features.key.is_none_or(|tonic| tonic == key.tonic);
            let mode_agrees = features.mode.is_none_or(|mode| Some(mode) == key.mode);
            if features.key.is_none() && mode_agrees {
                features.key = Some(key.tonic);
                filled.push("key");
            }
            if features.mode.is_none() && agrees {
                features.mode = key.mode;
                filled.push("mode");
            }
        }
        (counts, filled)
    }
}

/// What tags alone say, given what counts and the names of the fields that were measured: undoes [`Measured::fill`].
pub fn tagged(mut counts: TrackFields, filled: &[&str]) -> TrackFields {
    for name in filled {
        match *name {
            "duration" => counts.duration = None,
            "bpm" => counts.features.bpm = None,
            "key" => counts.features.key = None,
            "mode" => counts.features.mode = None,
            "danceability" => counts.features.danceability = None,
            "energy" => counts.features.energy = None,
            "loudness" => counts.features.loudness = None,
            _ => {}
        }
    }
    counts
}

/// What is known of a track's audio.
#[derive(Clone, Debug, PartialEq)]
pub struct Analysis {
    /// The audio that was analysed.
    pub audio: AudioHash,
    /// The revision of the analysis, which is that of the sound space.
    pub revision: String,
    /// The file as it was then: [`ContentHash::of_file`].
    pub file: ContentHash,
    /// What was measured.
    pub measured: Measured,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Aspect, AudioHash, Measure, Measured, TRUSTED, key_number, tagged};
    use crate::{Mode, PitchClass, TrackFields};

    fn measured(values: &[(Aspect, f64, f64)]) -> Measured {
        let mut measured = Measured::default();
        for (aspect, value, confidence) in values {
            measured.set(*aspect, Measure { value: *value, confidence: *confidence });
        }
        measured
    }

    #[test]
    fn a_tag_counts_where_there_is_one_and_a_sure_measurement_where_there_is_none() {
        let sound = measured(&[
            (Aspect::Tempo, 93.0, 0.9),
            (Aspect::Energy, 0.7, TRUSTED - 0.01),
            (Aspect::Loudness, -9.5, 1.0),
            (Aspect::Key, key_number(PitchClass::from_semitones(9), Mode::Minor), 0.8),
        ]);
        let mut tags = TrackFields { duration: Some(3.0), ..TrackFields::default() };
        tags.features.loudness = Some(-7.0);
        let (counts, filled) = sound.fill(&tags);
        assert_eq!(filled, ["bpm", "key", "mode"]);
        assert_eq!((counts.features.bpm, counts.features.loudness), (Some(93.0), Some(-7.0)));
        assert_eq!(counts.features.energy, None, "too unsure");
        assert_eq!(counts.features.mode, Some(Mode::Minor));
        assert_eq!(tagged(counts, &filled), tags);
    }

    #[test]
    fn a_tagged_tonic_gets_no_other_keys_mode() {
        let a_minor = measured(&[(Aspect::Key, 21.0, 0.9)]);
        let mut tags = TrackFields::default();
        tags.features.key = Some(PitchClass::from_semitones(0));
        assert!(a_minor.fill(&tags).1.is_empty());
        tags.features.key = Some(PitchClass::from_semitones(9));
        assert_eq!(a_minor.fill(&tags).1, ["mode"]);
        tags.features = crate::Features { mode: Some(Mode::Major), ..crate::Features::default() };
        assert!(a_minor.fill(&tags).1.is_empty());
    }

    #[test]
    fn hostile_hashes_and_numbers_are_refused() {
        assert!(AudioHash::parse("'; DROP TABLE tracks").is_none() && AudioHash::parse("ab").is_none());
        assert_eq!(AudioHash::parse("ABCDEF0123").unwrap().as_str(), "abcdef0123");
        let nonsense = [(Aspect::Tempo, f64::NAN, 1.0), (Aspect::Key, 24.0, 1.0), (Aspect::Energy, 0.5, 2.0)];
        assert_eq!(measured(&nonsense), Measured::default());
        assert_eq!(measured(&[(Aspect::Key, 3.5, 1.0)]), Measured::default());
    }

    proptest! {
        #[test]
        fn what_was_measured_is_read_back_and_taken_away(
            values in prop::collection::vec((0usize..13, 0.0f64..1.0, 0.0f64..=1.0), 0..13),
            bpm in prop::option::of(1.0f64..300.0),
        ) {
            let mut all = Measured::default();
            for (index, value, confidence) in values {
                let aspect = Aspect::ALL[index];
                let (least, most) = aspect.bounds();
                let value = least + value * (most - least);
                let value = if aspect == Aspect::Key { value.round() } else { value };
                all.set(aspect, Measure { value, confidence });
            }
            prop_assert_eq!(&Measured::from_json(&all.to_json()), &all);
            let mut tags = TrackFields::default();
            tags.features.bpm = bpm;
            let (counts, filled) = all.fill(&tags);
            prop_assert_eq!(tagged(counts, &filled), tags);
        }
    }
}
