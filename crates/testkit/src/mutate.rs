//! Inputs that are nearly right: texts of a corpus, damaged. JSON is damaged as a tree, so that most of it still parses and
//! reaches what lies behind the parser, and now and then as bytes; other texts as bytes alone.
//!
//! SONIQUEBAY_FUZZ_CASES says how many a test makes (a few thousand where it is not set), SONIQUEBAY_FUZZ_SEED which.

use std::ops::Deref;

use fastrand::Rng;
use serde_json::{Map, Value, json};

/// Names that mean something somewhere.
const NAMES: [&str; 24] = [
    "type",
    "track_id",
    "id",
    "metadata",
    "embedding",
    "space",
    "title",
    "artist",
    "genre",
    "genres",
    "tags",
    "year",
    "bpm",
    "key",
    "duration",
    "camelot_key",
    "body",
    "headers",
    "properties",
    "eta",
    "expires",
    "filters",
    "limit",
    "version",
];

/// Texts that parsers trip over.
const TEXTS: [&str; 26] = [
    "",
    " ",
    "\u{0}",
    "\u{feff}",
    "\u{202e}",
    "é\u{301}",
    "𝄞",
    "NaN",
    "Infinity",
    "-0",
    "1e999",
    "null",
    "0",
    "-1",
    "9223372036854775808",
    "99999999999999999999999999",
    "1970-01-01",
    "12A",
    "H flat",
    "../../etc/passwd",
    "a/4096/b",
    "external/3",
    "%00",
    "'; --",
    "\"\"",
    "\r\n",
];

/// Bytes that parsers trip over.
const BYTES: [&[u8]; 22] = [
    b"\0",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"{",
    b"}",
    b"[[[[[[[[",
    b"]",
    b",",
    b":",
    b"\r\n",
    b"\n",
    b"\t",
    b";",
    b"\xff",
    b"\xf0\x9f",
    b"\xef\xbb\xbf",
    b"1e400",
    b"-",
    b"NaN",
    b"00000000000000000000",
];

/// How many inputs a test makes.
pub fn cases(unless_said: usize) -> usize {
    setting("SONIQUEBAY_FUZZ_CASES").and_then(|cases| usize::try_from(cases).ok()).unwrap_or(unless_said)
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text:?}")))
}

/// An input; told on standard error where the test panics over it.
pub struct Input(Vec<u8>);

impl Deref for Input {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the input was: {:?}", String::from_utf8_lossy(&self.0[..self.0.len().min(4000)]));
        }
    }
}

/// Inputs made of these, the same for the same seed.
pub fn inputs<'a>(corpus: &'a [&'a str], count: usize) -> impl Iterator<Item = Input> + 'a {
    let mut random = Rng::with_seed(setting("SONIQUEBAY_FUZZ_SEED").unwrap_or(20_261_126));
    (0..count).map(move |_| Input(input(corpus, &mut random)))
}

fn input(corpus: &[&str], random: &mut Rng) -> Vec<u8> {
    let text = corpus[random.usize(..corpus.len())];
    let Ok(mut value) = serde_json::from_str::<Value>(text) else { return damaged(text.as_bytes().to_vec(), random) };
    for _ in 0..random.usize(..4) {
        let other = serde_json::from_str(corpus[random.usize(..corpus.len())]).unwrap_or(Value::Null);
        change(&mut value, &other, random);
    }
    let bytes = value.to_string().into_bytes();
    if random.u8(..) < 50 { damaged(bytes, random) } else { bytes }
}

/// Changes one place of a tree.
fn change(value: &mut Value, other: &Value, random: &mut Rng) {
    let goes_deeper = random.u8(..) < 180;
    match value {
        Value::Object(members) if !members.is_empty() && goes_deeper => {
            let name = members.keys().nth(random.usize(..members.len())).cloned().unwrap_or_default();
            match random.u8(..10) {
                0 => drop(members.remove(&name)),
                1 => {
                    let moved = members.remove(&name).unwrap_or_default();
                    members.insert(NAMES[random.usize(..NAMES.len())].to_owned(), moved);
                }
                2 => drop(members.insert(NAMES[random.usize(..NAMES.len())].to_owned(), odd(random, 2))),
                _ => change(&mut members[&name], other, random),
            }
        }
        Value::Array(items) if !items.is_empty() && goes_deeper => {
            let place = random.usize(..items.len());
            match random.u8(..10) {
                0 => drop(items.remove(place)),
                1 => items.insert(place, odd(random, 2)),
                2 => items.extend(vec![items[place].clone(); random.usize(..300)]),
                _ => change(&mut items[place], other, random),
            }
        }
        // A text that holds JSON, or packed JSON, is a tree of its own only to who reads it: as text it is damaged.
        Value::String(text) if random.bool() => {
            *text = String::from_utf8_lossy(&damaged(std::mem::take(text).into_bytes(), random)).into_owned();
        }
        value => *value = if random.u8(..) < 60 { part(other, random) } else { odd(random, 2) },
    }
}

/// Some part of a tree.
fn part(value: &Value, random: &mut Rng) -> Value {
    let parts: Vec<&Value> = match value {
        Value::Object(members) => members.values().collect(),
        Value::Array(items) => items.iter().collect(),
        _ => Vec::new(),
    };
    if parts.is_empty() || random.u8(..) < 80 {
        value.clone()
    } else {
        part(parts[random.usize(..parts.len())], random)
    }
}

fn odd(random: &mut Rng, depth: usize) -> Value {
    match random.u8(..12) {
        0 => Value::Null,
        1 => random.bool().into(),
        2 => [0, -1, 1, i64::MAX, i64::MIN, 1 << 53][random.usize(..6)].into(),
        3 => json!([1e308, -1e308, 5e-324, 0.1, -0.0, 1e17][random.usize(..6)]),
        4 => u64::MAX.into(),
        5 => random.f64().into(),
        6 => "x".repeat(random.usize(..3000)).into(),
        7 if depth > 0 => (0..random.usize(..5)).map(|_| odd(random, depth - 1)).collect(),
        8 if depth > 0 => {
            let member = |random: &mut Rng| (NAMES[random.usize(..NAMES.len())].to_owned(), odd(random, depth - 1));
            Value::Object((0..random.usize(..5)).map(|_| member(random)).collect::<Map<_, _>>())
        }
        9 => (0..random.usize(..200)).fold(Value::Null, |inner, _| json!([inner])),
        _ => TEXTS[random.usize(..TEXTS.len())].into(),
    }
}

/// Changes a few bytes.
fn damaged(mut bytes: Vec<u8>, random: &mut Rng) -> Vec<u8> {
    for _ in 0..=random.usize(..4) {
        let place = random.usize(..=bytes.len());
        let end = (place + random.usize(..20)).min(bytes.len());
        match random.u8(..6) {
            0 => drop(bytes.drain(place..end)),
            1 => {
                let again = bytes[place..end].to_vec();
                bytes.splice(place..place, again);
            }
            2 => bytes.truncate(place),
            3 if place < bytes.len() => bytes[place] = random.u8(..),
            _ => drop(bytes.splice(place..place, BYTES[random.usize(..BYTES.len())].iter().copied())),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::inputs;

    #[test]
    fn much_still_parses_and_much_does_not() {
        let corpus = [r#"{"type": "track_created", "track_id": 1, "metadata": {"title": "A", "tags": ["a", "b"]}}"#];
        let made: Vec<_> = inputs(&corpus, 2000).collect();
        let parsed = made.iter().filter(|input| serde_json::from_slice::<serde_json::Value>(input).is_ok()).count();
        assert!((1400..1990).contains(&parsed), "{parsed}");
        let same = made.iter().filter(|input| input.windows(13).any(|window| window == b"track_created")).count();
        assert!(same < 1990, "{same}");
        assert_eq!(
            inputs(&corpus, 5).map(|input| input.to_vec()).collect::<Vec<_>>(),
            made[..5].iter().map(|input| input.to_vec()).collect::<Vec<_>>()
        );
    }
}
