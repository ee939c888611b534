//! What becomes of a claimed message.

use serde_json::{Value, json};
use soniquebay_domain::{Job, JobKind, Setback, Timestamp};

use super::super::failure::{Failure, State};
use super::super::follow;
use super::super::keys::{Keys, job_subject, track_subject};
use super::super::message::Message;
use super::super::moves::Move;
use super::claims::Claim;

/// How the work on a message ended.
#[derive(Clone, Debug)]
pub(in super::super) enum Ending {
    /// The vector is stored, or needs not be: "success", "already_exists", "track_not_found", "outdated".
    Done(&'static str),
    /// Not this time.
    SetBack(Setback),
    /// Given up, so.
    Failed(Failure),
    /// Somebody said so: "revoked", "terminated", "cancelled".
    Revoked(&'static str),
}

impl Claim {
    /// What is done with the message, in the step that ends its claim.
    pub(in super::super) fn end(&self, ending: &Ending, keys: &Keys, now: Timestamp) -> Move {
        let message = &*self.message;
        let mut step = Move::lease(&self.tag);
        if self.lost > 0 {
            // Whatever came of it, it did not kill whoever held it.
            step = step.forget(&keys.lost(&message.id));
        }
        match ending {
            Ending::Done(status) => {
                let result = self.result(status);
                let step = tell(step, message, &State::Success(result.clone()), keys, now);
                send(step, follow::after_success(message, &result, keys))
            }
            Ending::SetBack(Setback::Retry { delay, reason }) => {
                let due = now.after(*delay);
                let step = step.later(due.0, &list(message, keys), &message.tried_again(due, reason));
                tell(step, message, &State::Retry(Failure::embedding(reason)), keys, now)
            }
            Ending::SetBack(Setback::Snooze { delay, reason }) => {
                step.later(now.after(*delay).0, &list(message, keys), &message.waiting_for(reason))
            }
            Ending::SetBack(Setback::Discard { reason }) => {
                // A worker says so when whoever held the message before was never heard of again.
                let is_lost = self.lost > 0 && reason.contains("without a word");
                let failure = if is_lost { Failure::worker_lost(reason) } else { Failure::embedding(reason) };
                fail(step, message, &self.job, &failure, keys, now)
            }
            Ending::Failed(failure) => fail(step, message, &self.job, failure, keys, now),
            Ending::Revoked(how) => revoke(step, message, &self.job, how, keys, now),
        }
    }

    /// As the Python system's own task answers.
    pub(in super::super) fn result(&self, status: &str) -> Value {
        let has_vector = matches!(status, "success" | "already_exists");
        json!({
            "task_id": &*self.message.id,
            "track_id": self.job.track_id.get(),
            "status": status,
            "vector_dimension": has_vector.then(|| self.job.space.dims()),
            "embedding_model": self.job.space.model(),
        })
    }
}

/// The job is given up: its caller is told, what hung on it is told, and it is kept until it is retried.
fn fail(step: Move, message: &Message, job: &Job, failure: &Failure, keys: &Keys, now: Timestamp) -> Move {
    let mut step = tell(step, message, &State::Failure(failure.clone()), keys, now);
    for id in follow::never_run(message) {
        let meta = State::Failure(failure.clone()).meta(&id, Some(&message.id), None, now);
        step = step.result(&keys.result(&id), &meta);
    }
    let step = send(step, follow::after_failure(message, keys));
    bury(step, message, job, &failure.text(), now)
}

/// The same by somebody's word.
pub(in super::super) fn revoke(
    step: Move,
    message: &Message,
    job: &Job,
    how: &'static str,
    keys: &Keys,
    now: Timestamp,
) -> Move {
    let step = step.forget(&keys.waiting(&job_subject(job.track_id, &job.space, job.kind)));
    let step = tell(step, message, &State::Revoked(how), keys, now);
    bury(step, message, job, how, now)
}

/// A message that names no job of ours: its caller is told, and it is kept for whoever looks.
pub(in super::super) fn refuse(
    step: Move,
    id: Option<&str>,
    raw: &[u8],
    failure: &Failure,
    keys: &Keys,
    now: Timestamp,
) -> Move {
    let step = step.aside(raw);
    match id {
        None => step,
        Some(id) => step.result(&keys.result(id), &State::Failure(failure.clone()).meta(id, None, None, now)),
    }
}

/// Stores how a run stands, unless its caller said that nobody asks.
pub(in super::super) fn tell(step: Move, message: &Message, state: &State, keys: &Keys, now: Timestamp) -> Move {
    if message.ignores_result {
        return step;
    }
    let meta = state.meta(&message.id, message.parent_id.as_deref(), message.group_id.as_deref(), now);
    step.result(&keys.result(&message.id), &meta)
}

fn send(step: Move, messages: Vec<(String, Vec<u8>)>) -> Move {
    messages.into_iter().fold(step, |step, (list, raw)| step.push(&list, &raw))
}

fn bury(step: Move, message: &Message, job: &Job, reason: &str, now: Timestamp) -> Move {
    let subject = track_subject(job.track_id, &job.space);
    let letter = json!({
        "subject": subject,
        "kind": job.kind.name(),
        "reason": reason.chars().take(1000).collect::<String>(),
        "attempts": job.attempts.made,
        "at": now.0,
        "message": String::from_utf8_lossy(&message.envelope.to_raw()),
    });
    step.die(&message.id, &letter.to_string(), &subject)
}

/// A job that was given up, as it is kept.
pub(in super::super) struct DeadLetter {
    /// Track and space.
    pub(in super::super) subject: String,
    pub(in super::super) kind: Option<JobKind>,
    pub(in super::super) reason: String,
    pub(in super::super) at: Timestamp,
    pub(in super::super) raw: Vec<u8>,
}

impl DeadLetter {
    pub(in super::super) fn read(text: &str) -> Option<Self> {
        let letter: Value = serde_json::from_str(text).ok()?;
        let text = |name: &str| letter.get(name).and_then(Value::as_str);
        Some(Self {
            subject: text("subject")?.to_owned(),
            kind: text("kind").and_then(JobKind::parse),
            reason: text("reason")?.to_owned(),
            at: Timestamp(letter.get("at")?.as_i64()?),
            raw: text("message")?.as_bytes().to_vec(),
        })
    }
}

/// The list that a message belongs into.
pub(in super::super) fn list(message: &Message, keys: &Keys) -> String {
    let space = message.space().filter(|space| soniquebay_domain::Space::parse(space).is_ok());
    keys.list(space, message.envelope.priority())
}
