//! What happens to messages, counted and told to whoever watches; and which tasks nobody wants any more.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use soniquebay_domain::{Clock, Setback, Timestamp};
use tokio::sync::mpsc;

use super::super::failure::Failure;
use super::super::message::{Message, write_moment};
use super::super::python::repr;
use super::super::queue::{Claim, Ending};

/// Events that wait to be published; what is more is not told.
const MOST_EVENTS: usize = 4096;

/// Revoked tasks that are remembered, and how long, as Celery does.
const MOST_REVOKED: usize = 10_000;
const REVOKED_FOR: Duration = Duration::from_secs(3 * 3600);

/// What happened to a claimed message.
#[derive(Clone, Copy)]
pub(in super::super) enum Happened<'a> {
    /// It was claimed.
    Started,
    /// It ended, at this moment.
    Ended(&'a Ending, Timestamp),
}

/// Tasks that nobody wants any more.
#[derive(Default)]
struct Revoked {
    until: HashMap<String, Timestamp>,
    order: VecDeque<(String, Timestamp)>,
}

impl Revoked {
    fn prune(&mut self, now: Timestamp) {
        while self.order.front().is_some_and(|(_, until)| *until <= now || self.order.len() > MOST_REVOKED) {
            let Some((id, until)) = self.order.pop_front() else { return };
            if self.until.get(&id) == Some(&until) {
                self.until.remove(&id);
            }
        }
    }
}

/// Watches the queue.
pub(in super::super) struct Watch {
    pub(super) node: String,
    clock: Arc<dyn Clock>,
    pub(super) since: Timestamp,
    /// Whether anybody asked for events of tasks.
    pub(super) tells_tasks: AtomicBool,
    lamport: AtomicU64,
    revoked: Mutex<Revoked>,
    totals: Mutex<BTreeMap<String, u64>>,
    events: mpsc::Sender<Value>,
    pub(super) told: tokio::sync::Mutex<mpsc::Receiver<Value>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch {
    pub(in super::super) fn new(node: &str, clock: Arc<dyn Clock>) -> Self {
        let (events, told) = mpsc::channel(MOST_EVENTS);
        Self {
            node: node.into(),
            since: clock.now(),
            clock,
            tells_tasks: AtomicBool::new(false),
            lamport: AtomicU64::new(0),
            revoked: Mutex::default(),
            totals: Mutex::default(),
            events,
            told: tokio::sync::Mutex::new(told),
        }
    }

    /// Lamport's clock, one on.
    pub(super) fn tick(&self) -> u64 {
        self.lamport.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The same after a message that bore `clock`.
    pub(super) fn witness(&self, clock: u64) {
        // A clock near the end is no clock.
        if clock < u64::MAX / 2 {
            self.lamport.fetch_max(clock, Ordering::Relaxed);
        }
        self.tick();
    }

    /// An event of this node, ready to be published.
    pub(super) fn event(&self, kind: &str, fields: Value) -> Value {
        let mut event = json!({
            "type": kind,
            "hostname": self.node,
            "utcoffset": 0,
            "pid": std::process::id(),
            "clock": self.tick(),
            "timestamp": self.clock.now().seconds(),
        });
        if let (Some(event), Value::Object(fields)) = (event.as_object_mut(), fields) {
            event.extend(fields);
        }
        event
    }

    fn tell(&self, kind: &str, message: &Message, mut fields: Value) {
        if self.tells_tasks.load(Ordering::Relaxed) {
            fields["uuid"] = json!(&*message.id);
            // Watching is no reason to wait: what does not fit is lost.
            let _ = self.events.try_send(self.event(kind, fields));
        }
    }

    fn received(&self, message: &Message) {
        let mut totals = lock(&self.totals);
        if totals.len() < 64 || totals.contains_key(&message.task) {
            *totals.entry(message.task.clone()).or_default() += 1;
        }
        drop(totals);
        if self.tells_tasks.load(Ordering::Relaxed) {
            let fields = json!({
                "name": message.task,
                "args": repr(&json!(message.args)),
                "kwargs": repr(&json!(message.kwargs)),
                "root_id": message.root_id,
                "parent_id": message.parent_id,
                "retries": message.retries,
                "eta": message.eta.map(write_moment),
                "expires": message.expires.map(write_moment),
            });
            self.tell("task-received", message, fields);
        }
    }

    pub(in super::super) fn happened(&self, claim: &Claim, what: Happened<'_>) {
        let message = &*claim.message;
        let told = |failure: &str| json!({"exception": format!("EmbeddingError({})", repr(&json!(failure))), "traceback": failure});
        match what {
            Happened::Started => {
                self.received(message);
                self.tell("task-started", message, json!({}));
            }
            Happened::Ended(Ending::Done(status), now) => {
                let runtime = (now.0 - claim.since.0).max(0) as f64 / 1000.0;
                let result = repr(&claim.result(status));
                self.tell("task-succeeded", message, json!({"result": result, "runtime": runtime}));
            }
            Happened::Ended(Ending::SetBack(Setback::Retry { reason, .. }), _) => {
                self.tell("task-retried", message, told(reason));
            }
            Happened::Ended(Ending::SetBack(Setback::Snooze { .. }), _) => {
                self.tell("task-rejected", message, json!({"requeue": true}));
            }
            Happened::Ended(Ending::SetBack(Setback::Discard { reason }), _) => {
                self.tell("task-failed", message, told(reason));
            }
            Happened::Ended(Ending::Failed(failure), _) => self.tell("task-failed", message, exception(failure)),
            Happened::Ended(Ending::Revoked(how), _) => {
                let fields = json!({"terminated": *how == "terminated", "signum": null, "expired": false});
                self.tell("task-revoked", message, fields);
            }
        }
    }

    /// A message that is no job of ours failed.
    pub(in super::super) fn refused(&self, message: &Message, failure: &Failure) {
        self.received(message);
        self.tell("task-failed", message, exception(failure));
    }

    /// A message was not begun, because somebody said so or because it came too late.
    pub(in super::super) fn revoked(&self, message: &Message, expired: bool) {
        self.received(message);
        self.tell("task-revoked", message, json!({"terminated": false, "signum": null, "expired": expired}));
    }

    pub(in super::super) fn is_revoked(&self, id: &str, now: Timestamp) -> bool {
        lock(&self.revoked).until.get(id).is_some_and(|until| *until > now)
    }

    /// These tasks are not wanted.
    pub(super) fn revoke(&self, ids: impl IntoIterator<Item = String>) {
        let now = self.clock.now();
        let until = now.after(REVOKED_FOR);
        let mut revoked = lock(&self.revoked);
        for id in ids.into_iter().take(MOST_REVOKED) {
            revoked.until.insert(id.clone(), until);
            revoked.order.push_back((id, until));
            revoked.prune(now);
        }
    }

    /// This one is wanted again.
    pub(in super::super) fn pardon(&self, id: &str) {
        lock(&self.revoked).until.remove(id);
    }

    pub(super) fn revoked_ids(&self) -> Vec<String> {
        let now = self.clock.now();
        let mut ids: Vec<String> =
            lock(&self.revoked).until.iter().filter(|(_, until)| **until > now).map(|(id, _)| id.clone()).collect();
        ids.sort();
        ids
    }

    /// How many messages there were of each task.
    pub(super) fn totals(&self) -> BTreeMap<String, u64> {
        lock(&self.totals).clone()
    }
}

fn exception(failure: &Failure) -> Value {
    json!({"exception": format!("{}({})", failure.kind, repr(&failure.message)), "traceback": failure.text()})
}
