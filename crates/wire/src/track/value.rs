//! Reads one JSON value as what a field wants. `Ok(None)` is a value that says "unknown": null, an empty text.

use std::ops::RangeInclusive;

use serde_json::Value;
use soniquebay_domain::{Key, Mode, PitchClass, bounds};
use unicode_normalization::UnicodeNormalization;

/// What is wrong with a value, without the name of its field.
type Reason = String;

/// Of a longer track the length is almost surely in milliseconds.
const MAX_SECONDS: f64 = 24.0 * 3600.0;
/// Above this a bit rate can only be meant in bits a second, as Python's mutagen gives it.
const MAX_KILOBITS: f64 = 40_000.0;

/// A value in few words, for messages. Values may be huge: the beginning is enough to find them.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
        Value::String(text) if text.chars().count() > 40 => {
            format!("{:?}…", text.chars().take(40).collect::<String>())
        }
        other => other.to_string(),
    }
}

pub(super) fn is_unknown(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        _ => false,
    }
}

/// Text as it is stored: composed (NFC), without control characters, trimmed.
pub fn clean_text(text: &str) -> String {
    let spaced = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c });
    let composed: String = spaced.filter(|c| !c.is_control()).nfc().collect();
    composed.trim().to_owned()
}

fn bounded(text: &str) -> Result<String, Reason> {
    let text = text.trim();
    // Counted before it is copied: a body may be one long text. Composing can join up to three characters into one.
    let given = text.chars().count();
    let cleaned = if given > 4 * bounds::TEXT_CHARS { None } else { Some(clean_text(text)) };
    match cleaned {
        Some(cleaned) if cleaned.chars().count() <= bounds::TEXT_CHARS => Ok(cleaned),
        _ => Err(format!("{given} characters; at most {} are allowed", bounds::TEXT_CHARS)),
    }
}

pub(super) fn text(value: &Value) -> Result<Option<String>, Reason> {
    match value {
        Value::String(text) => bounded(text).map(|text| (!text.is_empty()).then_some(text)),
        Value::Null => Ok(None),
        other => Err(format!("{} is no text", shown(other))),
    }
}

/// A path is kept byte by byte, blanks and decomposed letters too, or the file would not be found again.
pub(super) fn path(value: &Value) -> Result<Option<String>, Reason> {
    match value {
        Value::String(path) if path.contains('\0') => Err("holds a NUL character, which no path can".into()),
        Value::String(path) if path.chars().count() > bounds::PATH_CHARS => {
            Err(format!("{} characters; at most {} are allowed", path.chars().count(), bounds::PATH_CHARS))
        }
        Value::String(path) => Ok((!path.is_empty()).then(|| path.clone())),
        Value::Null => Ok(None),
        other => Err(format!("{} is no path", shown(other))),
    }
}

/// An array of texts, or one text split at ';' or else at ','.
pub(super) fn list(value: &Value) -> Result<Option<Vec<String>>, Reason> {
    let mut entries: Vec<String> = Vec::new();
    let mut push = |entry: String| {
        if !entry.is_empty() && !entries.contains(&entry) {
            entries.push(entry);
        }
        if entries.len() > bounds::LIST_ENTRIES {
            return Err(format!("more than {} entries, which is the most that is kept", bounds::LIST_ENTRIES));
        }
        Ok(())
    };
    match value {
        Value::Null => return Ok(None),
        Value::String(text) => {
            let separator = if text.contains(';') { ';' } else { ',' };
            for entry in text.split(separator) {
                push(bounded(entry)?)?;
            }
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                let entry = text(value).map_err(|reason| format!("entry {}: {reason}", index + 1))?;
                push(entry.unwrap_or_default())?;
            }
        }
        other => return Err(format!("{} is neither a list of texts nor a text", shown(other))),
    }
    Ok((!entries.is_empty()).then_some(entries))
}

fn number(value: &Value) -> Result<Option<f64>, Reason> {
    let number = match value {
        Value::Null => return Ok(None),
        Value::Number(number) => number.as_f64(),
        Value::String(text) if text.trim().is_empty() => return Ok(None),
        Value::String(text) if text.len() <= 64 => text.trim().parse().ok(),
        _ => None,
    };
    match number {
        Some(number) if number.is_finite() => Ok(Some(number)),
        _ => Err(format!("{} is no number", shown(value))),
    }
}

fn within(value: &Value, min: f64, max: f64, allowed: &str) -> Result<Option<f64>, Reason> {
    match number(value)? {
        Some(number) if number < min || number > max => {
            Err(format!("{} is out of range: {allowed} is allowed", shown(value)))
        }
        other => Ok(other),
    }
}

/// A number between bounds. One that lies a little beyond, as analysers round, is moved to the bound; one that lies far
/// beyond is of another unit and refused.
pub(super) struct Bounds {
    held: RangeInclusive<f64>,
    taken: RangeInclusive<f64>,
    allowed: &'static str,
}

/// A share: 85 is a percentage, 1.02 is rounded.
pub(super) const SHARE: Bounds = Bounds { held: 0.0..=1.0, taken: -0.5..=1.5, allowed: "0 to 1" };

/// Digital silence is far below −100 dB.
pub(super) const LOUDNESS: Bounds = Bounds { held: -100.0..=20.0, taken: -200.0..=20.0, allowed: "-100 to 20 dB" };

impl Bounds {
    /// The number within the bounds, and what was said where that was not within them.
    pub(super) fn read(&self, value: &Value) -> Result<Option<(f64, Option<Reason>)>, Reason> {
        let Some(number) = within(value, *self.taken.start(), *self.taken.end(), self.allowed)? else {
            return Ok(None);
        };
        let held = number.clamp(*self.held.start(), *self.held.end());
        let moved = held != number;
        Ok(Some((held, moved.then(|| format!("{} is out of range, {held} is kept: {}", shown(value), self.allowed)))))
    }
}

/// 0 is how most programs write "not analysed".
pub(super) fn bpm(value: &Value) -> Result<Option<f64>, Reason> {
    if number(value)? == Some(0.0) {
        return Ok(None);
    }
    within(value, 20.0, 999.0, "20 to 999 beats a minute (0 for unknown)")
}

pub(super) fn duration(value: &Value) -> Result<Option<f64>, Reason> {
    match number(value)? {
        Some(seconds) if seconds > MAX_SECONDS => {
            Err(format!("{} is more than a day: write seconds, not milliseconds", shown(value)))
        }
        Some(seconds) if seconds < 0.0 => Err(format!("{} is negative: write seconds", shown(value))),
        other => Ok(other),
    }
}

/// 1999, "1999" or "1999-05-01".
pub(super) fn year(value: &Value) -> Result<Option<i32>, Reason> {
    let number = match value {
        Value::String(text) => {
            let text = text.trim();
            let (year, rest) = text.split_at_checked(4).unwrap_or((text, ""));
            if rest.is_empty() || rest.starts_with(['-', '/', '.', 'T']) {
                number(&Value::from(year))?
            } else {
                number(value)?
            }
        }
        other => number(other)?,
    };
    match number {
        None => Ok(None),
        Some(year) if year.fract() == 0.0 && (1000.0..=2200.0).contains(&year) => Ok(Some(year as i32)),
        Some(_) => Err(format!("{} is no year from 1000 to 2200", shown(value))),
    }
}

/// Names, Camelot, Open Key; Spotify's 0–11, where −1 is "no key found".
pub(super) fn key(value: &Value) -> Result<Option<Key>, Reason> {
    let wrong = || {
        format!(
            "{} is no key: write a name (\"F# minor\"), Camelot (\"11A\"), Open Key (\"4m\") or 0 to 11",
            shown(value)
        )
    };
    let semitones = match value {
        Value::Null => return Ok(None),
        Value::String(text) if text.trim().is_empty() => return Ok(None),
        Value::String(text) => match Key::parse(text) {
            Some(key) => return Ok(Some(key)),
            None => text.trim().parse().map_err(|_| wrong())?,
        },
        Value::Number(number) => number.as_f64().ok_or_else(wrong)?,
        _ => return Err(wrong()),
    };
    match semitones {
        -1.0 => Ok(None),
        semitones if semitones.fract() == 0.0 && (0.0..12.0).contains(&semitones) => {
            Ok(Some(Key { tonic: PitchClass::from_semitones(semitones as i64), mode: None }))
        }
        _ => Err(wrong()),
    }
}

/// Names, or Spotify's 1 (major) and 0 (minor).
pub(super) fn mode(value: &Value) -> Result<Option<Mode>, Reason> {
    let text = match value {
        Value::Null => return Ok(None),
        Value::String(text) if text.trim().is_empty() => return Ok(None),
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.as_f64().map(|n| n.to_string()).unwrap_or_default(),
        _ => String::new(),
    };
    Mode::parse(&text).map(Some).ok_or_else(|| format!("{} is no mode: write \"major\" or \"minor\"", shown(value)))
}

/// Kilobits a second; bits a second are recognised by their size. 0 is unknown.
pub(super) fn bitrate(value: &Value) -> Result<Option<i64>, Reason> {
    let rate = within(value, 0.0, MAX_KILOBITS * 1000.0, "0 to 40000 kilobits a second")?;
    let rate = rate.map(|rate| if rate > MAX_KILOBITS { rate / 1000.0 } else { rate }).map(f64::round);
    Ok(rate.filter(|rate| *rate > 0.0).map(|rate| rate as i64))
}

fn integer(value: &Value) -> Result<Option<i64>, Reason> {
    let integer = match value {
        Value::Null => return Ok(None),
        Value::Number(number) => number.as_i64(),
        Value::String(text) if text.trim().is_empty() => return Ok(None),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    integer.map(Some).ok_or_else(|| format!("{} is no whole number", shown(value)))
}

pub(super) fn size(value: &Value) -> Result<Option<i64>, Reason> {
    match integer(value)? {
        Some(bytes) if bytes < 0 => Err(format!("{bytes} is negative: write bytes")),
        other => Ok(other),
    }
}

/// Nanoseconds since the epoch; a number with a decimal point is seconds, as Python's `st_mtime` gives them.
pub(super) fn mtime(value: &Value) -> Result<Option<i64>, Reason> {
    match value {
        Value::Number(seconds) if seconds.is_f64() => {
            let nanoseconds = seconds.as_f64().map(|s| s * 1e9).filter(|ns| ns.abs() < i64::MAX as f64);
            nanoseconds.map(|ns| Some(ns as i64)).ok_or_else(|| format!("{} is no time of this world", shown(value)))
        }
        other => integer(other),
    }
}

/// A registry's identifier. Placeholders that programs write for "none" would make strangers the same track.
pub(super) fn identifier(value: &Value) -> Result<Option<String>, Reason> {
    let placeholder = |id: &str| {
        matches!(id.to_lowercase().as_str(), "none" | "null" | "unknown" | "n/a" | "nan" | "undefined")
            || id.chars().all(|c| matches!(c, '0' | '-' | '.' | ' '))
    };
    Ok(text(value)?.filter(|id| !placeholder(id)))
}

pub(super) fn musicbrainz_id(value: &Value) -> Result<Option<String>, Reason> {
    Ok(identifier(value)?.map(|id| id.to_ascii_lowercase()))
}

/// "US-RC1-76-07839" and "usrc17607839" are the same code.
pub(super) fn isrc(value: &Value) -> Result<Option<String>, Reason> {
    Ok(identifier(value)?.map(|id| {
        let code: String = id.chars().filter(|c| !matches!(c, '-' | ' ')).collect();
        let is_code = code.len() == 12 && code.bytes().all(|b| b.is_ascii_alphanumeric());
        if is_code { code.to_ascii_uppercase() } else { id }
    }))
}

/// 2^53 − 1: what JavaScript clients hold exactly, and far enough from the largest integer, after which the database could
/// number no further track.
const MAX_ID: i64 = (1 << 53) - 1;

/// A number above 0, also as a text of digits.
pub(super) fn id(value: &Value) -> Result<Option<i64>, Reason> {
    match integer(value)? {
        Some(id) if id <= 0 || id > MAX_ID => {
            Err(format!("{} is out of range: an id is above 0 and at most {MAX_ID}", shown(value)))
        }
        other => Ok(other),
    }
}
