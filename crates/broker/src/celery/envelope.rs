//! A message as it lies in a list: body, headers, properties.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;
use serde_json::{Map, Value, json};

use super::python;

/// Longest message, in bytes.
pub(super) const MAX_MESSAGE: usize = 256 * 1024;

/// Longest body once it is unpacked, in bytes.
const MAX_BODY: usize = 1024 * 1024;

/// The outer part of a message. Fields that nobody here knows stay as they are.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Envelope(Map<String, Value>);

/// Why a body was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BodyError {
    /// Of a type that is never opened.
    Disallowed(String),
    /// Not what it says it is.
    Undecodable(String),
}

impl Envelope {
    /// Reads a message.
    pub(super) fn parse(raw: &[u8]) -> Result<Self, String> {
        if raw.len() > MAX_MESSAGE {
            return Err(format!("{} bytes; at most {MAX_MESSAGE} are read", raw.len()));
        }
        let text = std::str::from_utf8(raw).map_err(|error| error.to_string())?;
        match python::read_json(text) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err("no JSON object".into()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// A message in the form that kombu sends.
    pub(super) fn new(body: &Value, headers: Map<String, Value>, properties: Map<String, Value>) -> Self {
        let mut envelope = Self(Map::from_iter([
            ("body".into(), BASE64.encode(body.to_string()).into()),
            ("content-encoding".into(), "utf-8".into()),
            ("content-type".into(), "application/json".into()),
            ("headers".into(), Value::Object(headers)),
            ("properties".into(), Value::Object(properties)),
        ]));
        envelope.set_property("body_encoding", "base64".into());
        envelope.set_property("delivery_tag", uuid::Uuid::new_v4().to_string().into());
        envelope
    }

    /// As it lies in a list.
    pub(super) fn to_raw(&self) -> Vec<u8> {
        json!(self.0).to_string().into_bytes()
    }

    /// One of the headers; null where it is not there.
    pub(super) fn header(&self, name: &str) -> &Value {
        self.field("headers", name)
    }

    /// One of the properties; null where it is not there.
    pub(super) fn property(&self, name: &str) -> &Value {
        self.field("properties", name)
    }

    fn field(&self, part: &str, name: &str) -> &Value {
        self.0.get(part).and_then(|part| part.get(name)).unwrap_or(&Value::Null)
    }

    pub(super) fn set_header(&mut self, name: &str, value: Value) {
        self.set("headers", name, value);
    }

    pub(super) fn set_property(&mut self, name: &str, value: Value) {
        self.set("properties", name, value);
    }

    fn set(&mut self, part: &str, name: &str, value: Value) {
        let part = self.0.entry(part).or_insert_with(|| json!({}));
        if !part.is_object() {
            *part = json!({});
        }
        part[name] = value;
    }

    /// 0 to 9, as kombu reads it: a number or its text, clamped; 0, which goes first, where there is none.
    pub(super) fn priority(&self) -> i64 {
        let given = match self.property("priority") {
            Value::Number(number) => number.as_f64().map(|number| number as i64),
            Value::String(text) => text.trim().parse().ok(),
            Value::Bool(yes) => Some(i64::from(*yes)),
            _ => None,
        };
        given.unwrap_or(0).clamp(0, 9)
    }

    /// Whether somebody held it before and did not end it.
    pub(super) fn is_redelivered(&self) -> bool {
        let info = self.property("delivery_info").get("redelivered");
        *self.header("redelivered") == Value::Bool(true) || info == Some(&Value::Bool(true))
    }

    /// Marks it as kombu does when it restores a message.
    pub(super) fn mark_redelivered(&mut self) {
        self.set_header("redelivered", true.into());
        let mut info = self.property("delivery_info").clone();
        if info.is_object() {
            info["redelivered"] = true.into();
            self.set_property("delivery_info", info);
        }
    }

    /// What is inside.
    pub(super) fn body(&self) -> Result<Value, BodyError> {
        let text_of = |name: &str| self.0.get(name).and_then(Value::as_str).unwrap_or_default();
        let kind = text_of("content-type");
        if kind != "application/json" {
            let kind: String = kind.chars().take(64).collect();
            return Err(BodyError::Disallowed(format!("content of type {kind:?} is never opened: send JSON")));
        }
        let undecodable = |reason: String| BodyError::Undecodable(format!("the body cannot be read: {reason}"));
        let Some(body) = self.0.get("body").and_then(Value::as_str) else {
            return Err(undecodable("there is none".into()));
        };
        let bytes = match self.property("body_encoding").as_str() {
            Some("base64") => BASE64.decode(body).map_err(|error| undecodable(error.to_string()))?,
            _ => body.as_bytes().to_vec(),
        };
        let bytes = match self.header("compression") {
            Value::Null => bytes,
            Value::String(kind) if matches!(kind.as_str(), "application/x-gzip" | "gzip" | "zlib") => {
                decompress_to_vec_zlib_with_limit(&bytes, MAX_BODY).map_err(|error| undecodable(error.to_string()))?
            }
            other => {
                let reason = format!("compression {} is not known here: gzip is", python::repr(other));
                return Err(BodyError::Disallowed(reason));
            }
        };
        let text = String::from_utf8(bytes).map_err(|error| undecodable(error.to_string()))?;
        python::read_json(&text).map_err(|error| undecodable(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::{BodyError, Envelope, MAX_BODY};

    fn envelope(fields: &Value) -> Envelope {
        Envelope::parse(fields.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn priorities_are_read_as_kombu_reads_them() {
        for (given, read) in [
            (json!(5), 5),
            (json!(0), 0),
            (json!(99), 9),
            (json!(-4), 0),
            (json!("7"), 7),
            (json!(3.9), 3),
            (json!("high"), 0),
            (json!(null), 0),
            (json!([1]), 0),
        ] {
            assert_eq!(envelope(&json!({"properties": {"priority": given.clone()}})).priority(), read, "{given}");
        }
        assert_eq!(envelope(&json!({"properties": "none"})).priority(), 0);
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        let packed = miniz_oxide::deflate::compress_to_vec_zlib(&vec![b' '; 20 * MAX_BODY], 9);
        assert!(packed.len() < MAX_BODY / 8);
        let mut bomb = Envelope::new(&json!([]), Map::new(), Map::new());
        bomb.0.insert("body".into(), base64::Engine::encode(&super::BASE64, packed).into());
        bomb.set_header("compression", "application/x-gzip".into());
        assert!(matches!(bomb.body(), Err(BodyError::Undecodable(_))));
    }

    #[test]
    fn a_restored_message_is_marked_and_else_the_same() {
        let before = envelope(&json!({
            "body": "W10=", "headers": {"id": "a", "empty": [], "large": 1e15},
            "properties": {"delivery_info": {"exchange": "", "routing_key": "vectorization"}, "delivery_tag": "t"}
        }));
        let mut after = before.clone();
        after.mark_redelivered();
        assert!(after.is_redelivered() && !before.is_redelivered());
        after.0["headers"].as_object_mut().unwrap().remove("redelivered");
        after.0["properties"]["delivery_info"].as_object_mut().unwrap().remove("redelivered");
        assert_eq!(after, before);
    }
}
