//! What a message asks for: protocols 1 and 2 are read, 2 is written.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use soniquebay_domain::{Timestamp, TrackId};

use super::envelope::{BodyError, Envelope};
use super::failure::Failure;
use super::python;

/// Header that names the space a vector is wanted in.
pub(super) const SPACE: &str = "soniquebay_space";
/// Header that names what the message is to be told from when it is queued twice; see `keys::waiting`.
pub(super) const SUBJECT: &str = "soniquebay_subject";
/// Header that says why the message waits.
pub(super) const REASON: &str = "soniquebay_reason";

/// Longest task id, in characters.
const ID_CHARS: usize = 255;

/// A message, opened.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// As it lay in its list.
    pub(super) envelope: Envelope,
    /// Which run of the task.
    pub(super) id: Arc<str>,
    /// Name of the task.
    pub(super) task: String,
    pub(super) args: Vec<Value>,
    pub(super) kwargs: Map<String, Value>,
    /// What comes after: callbacks, errbacks, chain, chord.
    pub(super) embed: Map<String, Value>,
    pub(super) retries: u32,
    /// Not before.
    pub(super) eta: Option<Timestamp>,
    /// Not after.
    pub(super) expires: Option<Timestamp>,
    /// How long it may run.
    pub(super) time_limit: Option<Duration>,
    pub(super) root_id: Option<String>,
    pub(super) parent_id: Option<String>,
    pub(super) group_id: Option<String>,
    /// Nobody asks for its result.
    pub(super) ignores_result: bool,
}

/// A message that is not done.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refusal {
    /// The task id, where one could be read.
    pub(super) id: Option<String>,
    /// What its caller is told.
    pub(super) failure: Failure,
}

impl Message {
    /// Opens a message.
    pub(super) fn read(raw: &[u8]) -> Result<Self, Refusal> {
        let envelope = match Envelope::parse(raw) {
            Ok(envelope) => envelope,
            Err(reason) => {
                let id = id_at_end(raw);
                return Err(Refusal { id, failure: Failure::undecodable(format!("not a message: {reason}")) });
            }
        };
        Self::open(envelope).map_err(|(envelope, failure)| {
            let id = [envelope.header("id"), envelope.property("correlation_id")].into_iter().find_map(read_id);
            Refusal { id, failure }
        })
    }

    fn open(envelope: Envelope) -> Result<Self, (Envelope, Failure)> {
        let body = match envelope.body() {
            Ok(body) => body,
            Err(BodyError::Disallowed(reason)) => return Err((envelope, Failure::disallowed(reason))),
            Err(BodyError::Undecodable(reason)) => return Err((envelope, Failure::undecodable(reason))),
        };
        let parts = if envelope.header("task").is_null() { protocol_1(&body) } else { protocol_2(&envelope, body) };
        match parts.and_then(Self::assemble) {
            Ok(assemble) => Ok(assemble(envelope)),
            Err(reason) => Err((envelope, Failure::invalid(reason))),
        }
    }

    fn assemble(parts: Parts) -> Result<impl FnOnce(Envelope) -> Self, String> {
        let Parts { mut fields, args, kwargs, embed } = parts;
        let mut text = |name: &str| match fields.remove(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let task = text("task").filter(|task| task.len() <= ID_CHARS).ok_or("it names no task")?;
        let (root_id, parent_id, group_id) = (text("root_id"), text("parent_id"), text("group"));
        let id = fields.get("id").and_then(read_id).ok_or("its task id is missing, or longer than 255 characters")?;
        let moment = |name: &str| match fields.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(given) => read_moment(given).map(Some).ok_or(format!("{name} is no moment: {}", python::repr(given))),
        };
        let limit = fields.get("timelimit").and_then(|limits| limits.get(0)).and_then(Value::as_f64);
        let (eta, expires) = (moment("eta")?, moment("expires")?);
        let retries = fields.get("retries").and_then(Value::as_u64).map_or(0, |n| u32::try_from(n).unwrap_or(u32::MAX));
        let ignores_result = fields.get("ignore_result") == Some(&Value::Bool(true));
        let time_limit = limit.filter(|limit| *limit > 0.0).and_then(|limit| Duration::try_from_secs_f64(limit).ok());
        Ok(move |envelope| Self {
            envelope,
            id: id.into(),
            task,
            args,
            kwargs,
            embed,
            retries,
            eta,
            expires,
            time_limit,
            root_id,
            parent_id,
            group_id,
            ignores_result,
        })
    }

    /// The space it asks for, where it names one.
    pub(super) fn space(&self) -> Option<&str> {
        self.envelope.header(SPACE).as_str()
    }

    /// Whether a chord waits for it, whose counting is Celery's own.
    pub(super) fn is_in_chord(&self) -> bool {
        self.embed.get("chord").is_some_and(|chord| !chord.is_null())
    }

    /// Signatures that come after it: "callbacks", "errbacks".
    pub(super) fn signatures(&self, name: &str) -> &[Value] {
        self.embed.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// The same message, to wait for `reason`.
    pub(super) fn waiting_for(&self, reason: &str) -> Vec<u8> {
        let mut envelope = self.envelope.clone();
        envelope.set_header(REASON, short(reason).into());
        envelope.to_raw()
    }

    /// A further try under the same id, as Celery's own retry sends it.
    pub(super) fn tried_again(&self, due: Timestamp, reason: &str) -> Vec<u8> {
        let draft = Draft { retries: self.retries.saturating_add(1), eta: Some(due), ..self.draft() };
        let mut envelope = draft.envelope();
        envelope.set_header("parent_id", (&*self.id).into());
        envelope.set_header(REASON, short(reason).into());
        envelope.to_raw()
    }

    /// The same task under the same id, as if it had never been tried.
    pub(super) fn afresh(&self) -> Vec<u8> {
        let mut envelope = self.draft().envelope();
        envelope.set_header("parent_id", json!(self.parent_id));
        envelope.to_raw()
    }

    fn draft(&self) -> Draft<'_> {
        Draft {
            id: &self.id,
            task: &self.task,
            args: Value::Array(self.args.clone()),
            kwargs: Value::Object(self.kwargs.clone()),
            embed: Value::Object(self.embed.clone()),
            retries: 0,
            eta: None,
            expires: self.expires,
            priority: self.envelope.priority(),
            queue: self
                .envelope
                .property("delivery_info")
                .get("routing_key")
                .and_then(Value::as_str)
                .unwrap_or_default(),
            root_id: self.root_id.as_deref(),
            headers: [SPACE, SUBJECT, "timelimit", "group", "ignore_result"]
                .into_iter()
                .map(|name| (name.to_owned(), self.envelope.header(name).clone()))
                .filter(|(_, value)| !value.is_null())
                .collect(),
        }
    }
}

/// A message to be written.
pub(super) struct Draft<'a> {
    pub(super) id: &'a str,
    pub(super) task: &'a str,
    pub(super) args: Value,
    pub(super) kwargs: Value,
    pub(super) embed: Value,
    pub(super) retries: u32,
    pub(super) eta: Option<Timestamp>,
    pub(super) expires: Option<Timestamp>,
    pub(super) priority: i64,
    /// Name of the queue, which is its routing key.
    pub(super) queue: &'a str,
    /// The task that all began with; itself where there is none.
    pub(super) root_id: Option<&'a str>,
    /// Further headers.
    pub(super) headers: Map<String, Value>,
}

impl Draft<'_> {
    /// The message in protocol 2.
    pub(super) fn envelope(self) -> Envelope {
        let mut headers = Map::from_iter([
            ("lang".into(), "rust".into()),
            ("task".into(), self.task.into()),
            ("id".into(), self.id.into()),
            ("shadow".into(), Value::Null),
            ("eta".into(), json!(self.eta.map(write_moment))),
            ("expires".into(), json!(self.expires.map(write_moment))),
            ("group".into(), Value::Null),
            ("group_index".into(), Value::Null),
            ("retries".into(), self.retries.into()),
            ("timelimit".into(), json!([null, null])),
            ("root_id".into(), self.root_id.unwrap_or(self.id).into()),
            ("parent_id".into(), Value::Null),
            ("argsrepr".into(), python::repr(&self.args).into()),
            ("kwargsrepr".into(), python::repr(&self.kwargs).into()),
            ("origin".into(), format!("soniquebay@{}", std::process::id()).into()),
            ("ignore_result".into(), false.into()),
        ]);
        headers.extend(self.headers);
        let properties = Map::from_iter([
            ("correlation_id".into(), self.id.into()),
            ("reply_to".into(), "".into()),
            ("delivery_mode".into(), 2.into()),
            ("delivery_info".into(), json!({"exchange": "", "routing_key": self.queue})),
            ("priority".into(), self.priority.into()),
        ]);
        Envelope::new(&json!([self.args, self.kwargs, self.embed]), headers, properties)
    }
}

/// What both protocols say, each in its own place.
struct Parts {
    fields: Map<String, Value>,
    args: Vec<Value>,
    kwargs: Map<String, Value>,
    embed: Map<String, Value>,
}

const LISTED: [&str; 9] =
    ["task", "id", "retries", "eta", "expires", "timelimit", "root_id", "parent_id", "ignore_result"];

fn protocol_2(envelope: &Envelope, body: Value) -> Result<Parts, String> {
    let fields =
        LISTED.iter().chain(&["group"]).map(|name| ((*name).to_owned(), envelope.header(name).clone())).collect();
    let Value::Array(mut parts) = body else { return Err("the body is no list of args, kwargs and embed".into()) };
    parts.resize(3, Value::Null);
    let mut parts = parts.into_iter();
    let mut next = || parts.next().unwrap_or_default();
    Ok(Parts { fields, args: read_args(next())?, kwargs: read_kwargs(next())?, embed: object(next()) })
}

fn protocol_1(body: &Value) -> Result<Parts, String> {
    let Value::Object(fields) = body else { return Err("neither headers nor body name a task".into()) };
    let take = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let (args, kwargs) = (read_args(take("args"))?, read_kwargs(take("kwargs"))?);
    let embed = ["callbacks", "errbacks", "chord"].into_iter().map(|name| (name.to_owned(), take(name))).collect();
    let mut fields: Map<_, _> = LISTED.iter().map(|name| ((*name).to_owned(), take(name))).collect();
    fields.insert("group".into(), take("taskset"));
    Ok(Parts { fields, args, kwargs, embed })
}

fn read_args(value: Value) -> Result<Vec<Value>, String> {
    match value {
        Value::Array(args) => Ok(args),
        Value::Null => Ok(Vec::new()),
        _ => Err("args is no list".into()),
    }
}

fn read_kwargs(value: Value) -> Result<Map<String, Value>, String> {
    match value {
        Value::Object(kwargs) => Ok(kwargs),
        Value::Null => Ok(Map::new()),
        _ => Err("kwargs is no object".into()),
    }
}

fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(fields) = value { fields } else { Map::new() }
}

/// A task id: any text of a reasonable length; mostly a UUID, not always.
pub(super) fn read_id(value: &Value) -> Option<String> {
    let id = value.as_str()?;
    (!id.is_empty() && id.len() <= ID_CHARS && !id.contains(char::is_control)).then(|| id.to_owned())
}

/// The task id of a message that is too long to be read: kombu writes the headers behind the body.
pub(super) fn id_at_end(raw: &[u8]) -> Option<String> {
    let tail = String::from_utf8_lossy(&raw[raw.len().saturating_sub(8 * 1024)..]);
    let headers = tail.rfind("\"headers\"")?;
    let rest = python::read_json(&format!("{{{}", &tail[headers..])).ok()?;
    read_id(&rest["headers"]["id"])
}

fn short(reason: &str) -> String {
    reason.chars().take(1000).collect()
}

/// A moment in ISO 8601; one without an offset is UTC.
pub(super) fn read_moment(value: &Value) -> Option<Timestamp> {
    let text = value.as_str()?;
    let moment = text.parse::<jiff::Timestamp>().ok().or_else(|| {
        let local = text.parse::<jiff::civil::DateTime>().ok()?;
        local.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    })?;
    Some(Timestamp(moment.as_millisecond()))
}

/// A moment as Python's `isoformat` writes it, in UTC.
pub(super) fn write_moment(moment: Timestamp) -> String {
    let moment = jiff::Timestamp::from_millisecond(moment.0).unwrap_or_default();
    moment.strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string()
}

/// A track's id as a message spells it: a number or a text of digits.
pub(super) fn read_track(value: &Value) -> Option<TrackId> {
    let id = match value {
        Value::Number(number) => number.as_i64(),
        Value::String(digits) => digits.trim().parse().ok(),
        _ => None,
    };
    id.and_then(TrackId::new)
}

#[cfg(test)]
mod tests;
