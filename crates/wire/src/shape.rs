//! JSON whose shape a type tells, and what is wrong where it has another: by field, in words that name no type of ours.

use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use soniquebay_domain::FieldError;

/// Characters of a wrong value that are shown.
const SHOWN: usize = 40;

/// A struct that is read from an object alone. An array of its values would pass for it too, without their names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ByName<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ByName<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(ByName(PhantomData))
    }
}

/// Reads a `T`; `whole` names what it is read from.
///
/// # Errors
/// The first place of another shape.
pub fn read_shape<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
    whole: &str,
) -> Result<T, FieldError> {
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let path = error.path().to_string();
        explain(if path == "." { "" } else { &path }, whole, &error.into_inner().to_string())
    })
}

/// From what serde says of a place.
fn explain(path: &str, whole: &str, message: &str) -> FieldError {
    // Where in the text it was, which a program that made the text cannot tell.
    let message = message.rsplit_once(" at line ").map_or(message, |(message, _)| message);
    let place = if path.is_empty() { whole } else { path };
    if let Some(name) = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        let field = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        return FieldError::new(&field, "is missing");
    }
    // The path ends with the unknown name.
    if let Some((_, known)) = message.strip_prefix("unknown field `").and_then(|rest| rest.rsplit_once("`, expected "))
    {
        let known = known.trim_start_matches("one of ");
        return FieldError::new(place, format!("is not known here; known are {known}"));
    }
    let wrong = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    let reason = match wrong.and_then(|wrong| wrong.rsplit_once(", expected ")) {
        Some((found, wanted)) => format!("{} where {} belongs", shown(found), plain(wanted)),
        None => shown(message),
    };
    FieldError::new(place, reason)
}

fn shown(found: &str) -> String {
    let all = plain(found);
    let mut shown: String = all.chars().take(SHOWN).collect();
    if shown.len() < all.len() {
        shown.push('…');
    }
    shown
}

/// What people call what serde calls so.
fn plain(serdes: &str) -> &str {
    match serdes {
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more,",
        "f32" | "f64" => "a number",
        "map" | "a map" => "an object",
        "sequence" | "a sequence" => "an array",
        other if other.starts_with("struct ") => "an object",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::{Object, read_shape};

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only whether it can be read counts")]
    struct Outer {
        count: u32,
        #[serde(default)]
        rate: f64,
        #[serde(default)]
        inner: Vec<Object<Inner>>,
        range: Option<Object<Inner>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only whether it can be read counts")]
    struct Inner {
        id: i64,
        name: Option<String>,
    }

    #[test]
    fn what_has_another_shape_is_told_by_field_and_in_plain_words() {
        let read = |value: Value| read_shape::<Outer, _>(value, "body");
        let whole = json!({"count": 1, "inner": [{"id": 2, "name": null}], "range": {"id": -1}});
        read(whole.clone()).unwrap();
        for (at, wrong, said) in [
            ("/count", json!("many"), "count: string \"many\" where a whole number, 0 or more, belongs"),
            ("/count", json!(-1), "count: integer `-1` where a whole number, 0 or more, belongs"),
            ("/count", json!({}), "count: an object where a whole number, 0 or more, belongs"),
            ("/inner", json!(true), "inner: boolean `true` where an array belongs"),
            ("/inner/0", json!([2, null]), "inner[0]: an array where an object belongs"),
            ("/inner/0", json!({"name": "A"}), "inner[0].id: is missing"),
            ("/inner/0", json!({"id": 1, "nme": "A"}), "inner[0].nme: is not known here; known are `id` or `name`"),
            ("/inner/0/id", json!(1.5), "inner[0].id: floating point `1.5` where a whole number belongs"),
            ("/inner/0/name", json!(5), "inner[0].name: integer `5` where a string belongs"),
            ("/range", json!([1, null]), "range: an array where an object belongs"),
            ("", json!(7), "body: integer `7` where an object belongs"),
            ("", json!({"rate": 1}), "count: is missing"),
        ] {
            let mut value = whole.clone();
            *value.pointer_mut(at).unwrap() = wrong;
            assert_eq!(read(value).unwrap_err().to_string(), said);
        }
        let long = read(json!({"count": "x".repeat(1_000_000)})).unwrap_err().to_string();
        assert!(long.len() < 150 && long.contains('…'), "{long}");
        let text = read_shape::<Outer, _>(&mut serde_json::Deserializer::from_str("{\"count\":\n 1e999}"), "body");
        assert_eq!(text.unwrap_err().to_string(), "count: number out of range");
    }
}
