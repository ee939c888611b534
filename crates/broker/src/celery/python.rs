//! Values as Python writes them: JSON with its liberties, and `repr`.

use serde_json::Value;

/// Characters of a `repr` that are shown to whoever watches.
const REPR_CHARS: usize = 1024;

/// Reads JSON as Python's `json.dumps` and kombu write it: `NaN` and infinities are unknown, half a surrogate pair is a
/// replacement character, `{"__type__", "__value__"}` is its value. Nested no deeper than serde_json allows (128).
pub(super) fn read_json(text: &str) -> Result<Value, serde_json::Error> {
    let value = serde_json::from_str(text).or_else(|_| serde_json::from_str(&without_liberties(text)))?;
    Ok(if text.contains("__type__") { untyped(value) } else { value })
}

/// The same text with `null` for numbers that JSON does not know, and without halves of surrogate pairs.
fn without_liberties(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    let mut is_string = false;
    while let Some(next) = rest.chars().next() {
        let mut taken = next.len_utf8();
        match next {
            '"' => is_string = !is_string,
            '\\' if is_string => {
                let (escape, length) = escape(rest);
                plain.push_str(escape);
                rest = &rest[length..];
                continue;
            }
            _ if is_string => {}
            'N' | 'I' | '-' => {
                if let Some(word) = ["NaN", "Infinity", "-Infinity"].iter().find(|word| rest.starts_with(**word)) {
                    plain.push_str("null");
                    rest = &rest[word.len()..];
                    continue;
                }
            }
            _ => {}
        }
        // What follows is taken as it is, up to the next character that may matter.
        taken += rest[taken..].find(['"', '\\', 'N', 'I', '-']).unwrap_or(rest.len() - taken);
        plain.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    plain
}

/// The escape that `text` begins with, mended, and its length.
fn escape(text: &str) -> (&str, usize) {
    let unit = |from: usize| {
        let digits = text.get(from..from + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    match unit(0) {
        None => {
            let length = 1 + text[1..].chars().next().map_or(0, char::len_utf8);
            (&text[..length], length)
        }
        Some(0xd800..=0xdbff) if matches!(unit(6), Some(0xdc00..=0xdfff)) => (&text[..12], 12),
        Some(0xd800..=0xdfff) => ("\u{fffd}", 6),
        Some(_) => (&text[..6], 6),
    }
}

/// kombu writes a date, a UUID or a decimal as an object that names its type; here its value is enough.
fn untyped(value: Value) -> Value {
    match value {
        Value::Object(mut fields) if fields.len() == 2 && fields.contains_key("__type__") => {
            match fields.remove("__value__") {
                Some(inner) => untyped(inner),
                None => Value::Object(fields),
            }
        }
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, untyped(value))).collect(),
        Value::Array(values) => values.into_iter().map(untyped).collect(),
        other => other,
    }
}

/// A value as Python's `repr` shows it, cut where it is long.
pub(super) fn repr(value: &Value) -> String {
    let mut text = String::new();
    write_repr(value, &mut text);
    match text.char_indices().nth(REPR_CHARS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

fn write_repr(value: &Value, text: &mut String) {
    // Each character is at least a byte: what is longer is cut anyway.
    if text.len() > 4 * REPR_CHARS {
        return;
    }
    match value {
        Value::Null => text.push_str("None"),
        Value::Bool(true) => text.push_str("True"),
        Value::Bool(false) => text.push_str("False"),
        Value::Number(number) => text.push_str(&number.to_string()),
        Value::String(string) => write_string(string, text),
        Value::Array(values) => {
            text.push('[');
            for (index, value) in values.iter().enumerate() {
                text.push_str(if index == 0 { "" } else { ", " });
                write_repr(value, text);
            }
            text.push(']');
        }
        Value::Object(fields) => {
            text.push('{');
            for (index, (name, value)) in fields.iter().enumerate() {
                text.push_str(if index == 0 { "" } else { ", " });
                write_string(name, text);
                text.push_str(": ");
                write_repr(value, text);
            }
            text.push('}');
        }
    }
}

fn write_string(string: &str, text: &mut String) {
    let quote = if string.contains('\'') && !string.contains('"') { '"' } else { '\'' };
    text.push(quote);
    for c in string.chars().take(REPR_CHARS) {
        match c {
            '\n' => text.push_str("\\n"),
            '\\' => text.push_str("\\\\"),
            c if c == quote => text.extend(['\\', c]),
            c => text.push(c),
        }
    }
    text.push(quote);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{read_json, repr};

    #[test]
    fn pythons_liberties_are_read() {
        let text = r#"[NaN, -Infinity, Infinity, "NaN \"Infinity\\", {"a": -1.5, "b": NaN}, "\ud800x\udc00 \ud83c\udfb5 \u00f6"]"#;
        let expected = json!([null, null, null, "NaN \"Infinity\\", {"a": -1.5, "b": null}, "\u{fffd}x\u{fffd} 🎵 ö"]);
        assert_eq!(read_json(text).unwrap(), expected);
        let typed = r#"{"when": {"__type__": "datetime", "__value__": "2026-11-20T12:00:00+00:00"}, "n": [{"__type__": "decimal", "__value__": "1.5"}]}"#;
        assert_eq!(read_json(typed).unwrap(), json!({"when": "2026-11-20T12:00:00+00:00", "n": ["1.5"]}));
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in ["", "not json", "{", "Nan", "[1,]", "\"\\u12\"", "\"\\", "NaNa", &"[".repeat(100_000)] {
            assert!(read_json(text).is_err(), "{}", &text[..text.len().min(20)]);
        }
    }

    #[test]
    fn values_are_shown_as_python_shows_them() {
        let value = json!([77, {"artist": "Björk", "live": true, "year": null, "said": "it's \"so\""}]);
        assert_eq!(repr(&value), r#"[77, {'artist': 'Björk', 'live': True, 'said': 'it\'s "so"', 'year': None}]"#);
        assert_eq!(repr(&json!("it's")), r#""it's""#);
        assert_eq!(repr(&json!(vec![1; 10_000])).len(), 1027);
    }

    proptest! {
        #[test]
        fn json_is_read_as_it_is(text in "[ -~\\n\"\\\\öNI🎵-]{0,40}", number in any::<f64>().prop_filter("JSON", |n| n.is_finite())) {
            let value = json!({"text": text, "number": number, "list": [text, null]});
            let mut with_liberties = value.clone();
            with_liberties["nan"] = Value::Null;
            prop_assert_eq!(&read_json(&value.to_string()).unwrap(), &value);
            let written = with_liberties.to_string().replace("\"nan\":null", "\"nan\":NaN");
            prop_assert_eq!(read_json(&written).unwrap(), with_liberties);
        }

        #[test]
        fn nothing_makes_it_panic(text in "\\PC{0,200}", cut in "[\"\\\\u\\{\\}\\[\\],:dD8cNaIf-]{0,60}") {
            let _ = read_json(&text);
            let _ = read_json(&cut);
        }
    }
}
