//! Names of what lies in Redis: kombu's, and ours beside them.

use soniquebay_domain::{JobKind, Space, TrackId};

/// Between a queue's name and its priority, as kombu has it.
const SEPARATOR: &str = "\u{6}\u{16}";

/// The priorities that have lists of their own; 0 goes first.
pub(super) const STEPS: [i64; 4] = [0, 3, 6, 9];

/// Names of keys and channels.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    /// kombu's `global_keyprefix`.
    prefix: String,
    /// The same for results, with the underscore that Celery puts behind it.
    results: String,
    /// Name of the queue.
    pub(super) queue: String,
    /// Number of the database, which channels have in their names.
    db: i64,
}

impl Keys {
    pub(super) fn new(prefix: &str, results: &str, queue: &str, db: i64) -> Self {
        let joint = if results.is_empty() || results.ends_with([':', '_', '-', '.']) { "" } else { "_" };
        Self { prefix: prefix.into(), results: format!("{results}{joint}"), queue: queue.into(), db }
    }

    fn kombu(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn ours(&self, name: &str) -> String {
        format!("{}{}:{name}", self.prefix, self.queue)
    }

    /// What was delivered and not ended: tag → `[message, exchange, routing key]`.
    pub(super) fn unacked(&self) -> String {
        self.kombu("unacked")
    }

    /// The same by time of delivery.
    pub(super) fn unacked_index(&self) -> String {
        self.kombu("unacked_index")
    }

    /// Our claims by their ends.
    pub(super) fn leases(&self) -> String {
        self.ours("leases")
    }

    /// Messages that wait for their moment, by that moment: list, NUL, message.
    pub(super) fn delayed(&self) -> String {
        self.ours("delayed")
    }

    /// The last token given out.
    pub(super) fn token(&self) -> String {
        self.ours("token")
    }

    /// Spaces that have lists of their own.
    pub(super) fn spaces(&self) -> String {
        self.ours("spaces")
    }

    /// Messages that nobody could read.
    pub(super) fn unreadable(&self) -> String {
        self.ours("unreadable")
    }

    /// Jobs given up, by task id.
    pub(super) fn dead(&self) -> String {
        self.ours("dead")
    }

    /// The same by time.
    pub(super) fn dead_order(&self) -> String {
        self.ours("dead:order")
    }

    /// The same by track and space.
    pub(super) fn dead_tracks(&self) -> String {
        self.ours("dead:tracks")
    }

    /// How many claims of a task ended without a word.
    pub(super) fn lost(&self, id: &str) -> String {
        self.ours("lost:") + id
    }

    /// Keeps a subject from being queued twice.
    pub(super) fn waiting(&self, subject: &str) -> String {
        self.ours("waiting:") + subject
    }

    /// What lists of spaces begin with.
    pub(super) fn space_lists(&self) -> String {
        self.ours("space:")
    }

    /// The list of a queue for a priority, as kombu chooses it.
    pub(super) fn list_of(&self, queue: &str, priority: i64) -> String {
        format!("{}{queue}{}", self.prefix, suffix(priority))
    }

    /// Where messages for a space wait; those for the default space, which name none, where all Celery looks.
    pub(super) fn list(&self, space: Option<&str>, priority: i64) -> String {
        match space {
            None => self.list_of(&self.queue, priority),
            Some(space) => format!("{}{space}{}", self.space_lists(), suffix(priority)),
        }
    }

    /// Where a result lies and is told.
    pub(super) fn result(&self, id: &str) -> String {
        format!("{}celery-task-meta-{id}", self.results)
    }

    /// Channel of remote control.
    pub(super) fn control(&self) -> String {
        self.kombu(&format!("/{}.celery.pidbox", self.db))
    }

    /// Channel of events of a kind, such as "worker.heartbeat".
    pub(super) fn events(&self, kind: &str) -> String {
        self.kombu(&format!("/{}.celeryev/{kind}", self.db))
    }

    /// That a queue listens for a routing key, as a member of [`Keys::bindings`].
    pub(super) fn binding(&self, routing_key: &str, queue: &str) -> String {
        format!("{routing_key}{SEPARATOR}{SEPARATOR}{queue}")
    }

    /// Which queues listen to an exchange.
    pub(super) fn bindings(&self, exchange: &str) -> String {
        self.kombu(&format!("_kombu.binding.{exchange}"))
    }
}

/// What the list of a priority has behind its name: of the steps, the largest that is not above it.
pub(super) fn suffix(priority: i64) -> String {
    match STEPS.into_iter().rev().find(|step| *step <= priority) {
        None | Some(0) => String::new(),
        Some(step) => format!("{SEPARATOR}{step}"),
    }
}

/// What a dead letter is found by.
pub(super) fn track_subject(track: TrackId, space: &Space) -> String {
    format!("{track}:{space}")
}

/// What a waiting message is told from others by.
pub(super) fn job_subject(track: TrackId, space: &Space, kind: JobKind) -> String {
    format!("{track}:{space}:{}", kind.name())
}

/// Splits what a binding says: routing key, pattern, queue.
pub(super) fn read_binding(member: &str) -> Option<(&str, &str)> {
    let mut parts = member.split(SEPARATOR);
    let (key, _pattern, queue) = (parts.next()?, parts.next()?, parts.next()?);
    Some((key, queue))
}

#[cfg(test)]
mod tests {
    use super::Keys;

    #[test]
    fn names_are_kombus() {
        let keys = Keys::new("", "", "vectorization", 3);
        for (priority, list) in [
            (0, "vectorization"),
            (2, "vectorization"),
            (5, "vectorization\u{6}\u{16}3"),
            (8, "vectorization\u{6}\u{16}6"),
            (9, "vectorization\u{6}\u{16}9"),
        ] {
            assert_eq!(keys.list(None, priority), list);
        }
        assert_eq!(keys.control(), "/3.celery.pidbox");
        assert_eq!(keys.result("a"), "celery-task-meta-a");
        let keys = Keys::new("home:", "home", "vectorization", 0);
        assert_eq!((keys.unacked().as_str(), keys.result("a").as_str()), ("home:unacked", "home_celery-task-meta-a"));
        assert_eq!(keys.list(Some("m/4"), 3), "home:vectorization:space:m/4\u{6}\u{16}3");
    }
}
