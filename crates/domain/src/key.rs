use std::fmt;

/// One of the twelve semitones, C = 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PitchClass(u8);

/// Major or minor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    /// The major (Ionian) scale.
    Major,
    /// The natural minor (Aeolian) scale.
    Minor,
}

/// A musical key. The mode may be unknown: many tags say "C" and mean only the tonic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The tonic.
    pub tonic: PitchClass,
    /// Major or minor, where known.
    pub mode: Option<Mode>,
}

const NAMES: [&str; 12] = ["C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"];

impl PitchClass {
    /// The semitone above C, taken modulo 12.
    pub fn from_semitones(semitones: i64) -> Self {
        Self(semitones.rem_euclid(12) as u8)
    }

    /// Semitones above C, 0–11.
    pub fn semitones(self) -> u8 {
        self.0
    }

    /// The usual name: "F#", "Bb".
    pub fn name(self) -> &'static str {
        NAMES[usize::from(self.0)]
    }
}

impl Mode {
    /// Reads "major", "minor", "maj", "min", "M", "m", and 1/0 as Spotify writes them.
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim() {
            "M" | "1" => Some(Self::Major),
            "m" | "0" => Some(Self::Minor),
            other => match other.to_lowercase().as_str() {
                "major" | "maj" | "dur" | "majeur" => Some(Self::Major),
                "minor" | "min" | "moll" | "mineur" => Some(Self::Minor),
                _ => None,
            },
        }
    }

    /// "major" or "minor".
    pub fn name(self) -> &'static str {
        match self {
            Self::Major => "major",
            Self::Minor => "minor",
        }
    }
}

impl Key {
    /// Reads a key's name ("C", "F# minor", "Bbm", "C♯ maj"), Camelot ("8A") or Open Key ("1m", "6d") notation.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.chars().count() > 32 {
            return None;
        }
        Self::parse_wheel(text).or_else(|| Self::parse_name(text))
    }

    fn parse_wheel(text: &str) -> Option<Self> {
        let letter = text.chars().last()?.to_ascii_lowercase();
        let hour: i64 = text.get(..text.len() - 1)?.trim().parse().ok()?;
        if !(1..=12).contains(&hour) {
            return None;
        }
        // Camelot 8B and Open Key 1d are C major; one hour is one fifth (7 semitones).
        let (fifths, mode) = match letter {
            'b' => (hour - 8, Mode::Major),
            'a' => (hour - 8, Mode::Minor),
            'd' => (hour - 1, Mode::Major),
            'm' => (hour - 1, Mode::Minor),
            _ => return None,
        };
        let major_tonic = 7 * fifths;
        let tonic = if mode == Mode::Major { major_tonic } else { major_tonic + 9 };
        Some(Self { tonic: PitchClass::from_semitones(tonic), mode: Some(mode) })
    }

    fn parse_name(text: &str) -> Option<Self> {
        let mut characters = text.chars();
        let natural = match characters.next()?.to_ascii_uppercase() {
            'C' => 0,
            'D' => 2,
            'E' => 4,
            'F' => 5,
            'G' => 7,
            'A' => 9,
            'B' | 'H' => 11,
            _ => return None,
        };
        let rest = characters.as_str();
        let (accidental, rest) = match rest.chars().next() {
            Some('#' | '♯') => (1, &rest[rest.chars().next().map_or(0, char::len_utf8)..]),
            Some('b' | '♭') => (-1, &rest[rest.chars().next().map_or(0, char::len_utf8)..]),
            _ => (0, rest),
        };
        let rest = rest.trim().trim_start_matches(['-', '_', ':']).trim();
        let mode = if rest.is_empty() { None } else { Some(Mode::parse(rest)?) };
        Some(Self { tonic: PitchClass::from_semitones(natural + accidental), mode })
    }

    /// The key's hour on the Camelot wheel, 1–12. Relative major and minor share it.
    /// An unknown mode is read as major.
    pub fn camelot_hour(self) -> u8 {
        let major = match self.mode {
            Some(Mode::Minor) => i64::from(self.tonic.semitones()) + 3,
            _ => i64::from(self.tonic.semitones()),
        };
        // The inverse of 7·h mod 12 is 7: fifths = 7·semitones mod 12.
        ((7 * major + 7).rem_euclid(12) + 1) as u8
    }

    /// Whether a mix from one key to the other is harmonic: the same hour on the Camelot wheel,
    /// or the hour beside it in the same mode. Unknown modes count as either.
    pub fn is_compatible(self, other: Self) -> bool {
        let distance = (i16::from(self.camelot_hour()) - i16::from(other.camelot_hour())).rem_euclid(12);
        let same_mode = match (self.mode, other.mode) {
            (Some(a), Some(b)) => a == b,
            _ => true,
        };
        distance == 0 || (same_mode && (distance == 1 || distance == 11))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tonic.name())?;
        match self.mode {
            Some(mode) => write!(f, " {}", mode.name()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Key, Mode};

    fn key(text: &str) -> Key {
        Key::parse(text).unwrap_or_else(|| panic!("{text} is a key"))
    }

    #[test]
    fn notations_meet() {
        for (a, b) in [
            ("8B", "C major"),
            ("8A", "A minor"),
            ("1d", "C maj"),
            ("1m", "Am"),
            ("12B", "E major"),
            ("1A", "G# minor"),
            ("5m", "C# min"),
            ("4B", "Ab major"),
            ("A♭ major", "G# major"),
            ("Bbm", "A# minor"),
            ("Cb major", "B major"),
        ] {
            assert_eq!(key(a), key(b), "{a} and {b}");
        }
    }

    #[test]
    fn the_wheel_is_read_and_written_alike() {
        for hour in 1..=12 {
            for letter in ['A', 'B'] {
                assert_eq!(key(&format!("{hour}{letter}")).camelot_hour(), hour);
            }
        }
    }

    #[test]
    fn neighbours_on_the_wheel_are_compatible() {
        assert!(key("8A").is_compatible(key("8B")));
        assert!(key("12A").is_compatible(key("1A")));
        assert!(!key("8A").is_compatible(key("9B")));
        assert!(!key("8A").is_compatible(key("10A")));
        assert!(key("C").is_compatible(key("G minor")) == key("C major").is_compatible(key("Bb major")));
    }

    #[test]
    fn nonsense_is_no_key() {
        for text in ["", "#", "13A", "0B", "Z", "C lydian dominant", "8", "é", "♯", "1é", "Hello"] {
            assert_eq!(Key::parse(text), None, "{text}");
        }
        assert_eq!(Mode::parse("maybe"), None);
    }
}
