//! How runs end, as Celery's result backend keeps it.

use serde_json::{Map, Value, json};
use soniquebay_domain::Timestamp;

use super::message::write_moment;

/// An exception as its caller sees it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Failure {
    /// Name of the class; one that the caller does not have is made there.
    pub(super) kind: &'static str,
    /// Where the class lies.
    pub(super) module: &'static str,
    /// What it is made with.
    pub(super) message: Value,
}

impl Failure {
    fn new(kind: &'static str, module: &'static str, message: impl Into<Value>) -> Self {
        Self { kind, module, message: message.into() }
    }

    /// The embedding of this track failed.
    pub(super) fn embedding(reason: &str) -> Self {
        Self::new("EmbeddingError", "soniquebay", reason)
    }

    /// Content of a type that is never opened.
    pub(super) fn disallowed(reason: String) -> Self {
        Self::new("ContentDisallowed", "kombu.exceptions", reason)
    }

    /// Not what it says it is.
    pub(super) fn undecodable(reason: String) -> Self {
        Self::new("DecodeError", "kombu.exceptions", reason)
    }

    /// Readable, yet no task.
    pub(super) fn invalid(reason: String) -> Self {
        Self::new("InvalidTaskError", "celery.exceptions", reason)
    }

    /// A task that nobody here knows.
    pub(super) fn not_registered(task: &str) -> Self {
        Self::new("NotRegistered", "celery.exceptions", task)
    }

    /// The arguments do not fit the task.
    pub(super) fn arguments(reason: String) -> Self {
        Self::new("TypeError", "builtins", reason)
    }

    /// It ran longer than its message allows.
    pub(super) fn time_limit(seconds: f64) -> Self {
        Self::new("TimeLimitExceeded", "billiard.exceptions", seconds)
    }

    /// Its message was delivered again and again and never ended.
    pub(super) fn worker_lost(reason: &str) -> Self {
        Self::new("WorkerLostError", "billiard.exceptions", reason)
    }

    /// In words.
    pub(super) fn text(&self) -> String {
        match &self.message {
            Value::String(message) => message.clone(),
            other => other.to_string(),
        }
    }
}

/// How a run stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum State {
    /// Done, with its result.
    Success(Value),
    /// Failed for good.
    Failure(Failure),
    /// Failed, to be tried again.
    Retry(Failure),
    /// Not done because somebody said so, or too late: "revoked", "terminated", "expired", "cancelled".
    Revoked(&'static str),
}

impl State {
    /// As `celery-task-meta-<id>` has it.
    pub(super) fn meta(&self, id: &str, parent_id: Option<&str>, group_id: Option<&str>, now: Timestamp) -> String {
        let date_done = write_moment(now);
        let exception = |failure: &Failure| json!({"exc_type": failure.kind, "exc_message": [failure.message], "exc_module": failure.module});
        let traceback = |failure: &Failure| format!("{}: {}", failure.kind, failure.text());
        let (status, result, traceback, children, date_done) = match self {
            Self::Success(result) => ("SUCCESS", result.clone(), Value::Null, json!([]), json!(date_done)),
            Self::Failure(failure) => {
                ("FAILURE", exception(failure), json!(traceback(failure)), json!([]), json!(date_done))
            }
            Self::Retry(failure) => ("RETRY", exception(failure), json!(traceback(failure)), json!([]), Value::Null),
            Self::Revoked(how) => {
                let failure = Failure::new("TaskRevokedError", "celery.exceptions", *how);
                ("REVOKED", exception(&failure), Value::Null, Value::Null, json!(date_done))
            }
        };
        let mut meta = Map::from_iter([
            ("status".to_owned(), json!(status)),
            ("result".to_owned(), result),
            ("traceback".to_owned(), traceback),
            ("children".to_owned(), children),
            ("date_done".to_owned(), date_done),
            ("task_id".to_owned(), json!(id)),
        ]);
        meta.extend(parent_id.map(|parent| ("parent_id".to_owned(), json!(parent))));
        meta.extend(group_id.map(|group| ("group_id".to_owned(), json!(group))));
        Value::Object(meta).to_string()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use soniquebay_domain::Timestamp;

    use super::{Failure, State};

    #[test]
    fn results_are_as_celery_writes_them() {
        let now = Timestamp(1_795_176_470_772);
        let meta = |state: State| -> Value { serde_json::from_str(&state.meta("7499f6c4", None, None, now)).unwrap() };
        assert_eq!(
            meta(State::Success(json!({"track_id": 123}))),
            json!({"status": "SUCCESS", "result": {"track_id": 123}, "traceback": null, "children": [],
                   "date_done": "2026-11-20T12:07:50.772000+00:00", "task_id": "7499f6c4"})
        );
        let failed = meta(State::Failure(Failure::embedding("no words")));
        assert_eq!(
            failed["result"],
            json!({"exc_type": "EmbeddingError", "exc_message": ["no words"], "exc_module": "soniquebay"})
        );
        assert_eq!(failed["traceback"], "EmbeddingError: no words");
        let retried = meta(State::Retry(Failure::embedding("again")));
        assert_eq!((&retried["status"], &retried["date_done"]), (&json!("RETRY"), &Value::Null));
        let revoked = meta(State::Revoked("expired"));
        assert_eq!(revoked["result"]["exc_message"], json!(["expired"]));
        assert_eq!((&revoked["children"], &revoked["traceback"]), (&Value::Null, &Value::Null));
    }
}
