//! When to look for messages again.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use redis::AsyncConnectionConfig;
use tokio::sync::Notify;
use tokio::time::{Instant, interval, sleep, sleep_until};

use super::Inner;

/// How often lists are looked at that nobody blocks on.
const LOOK: Duration = Duration::from_millis(100);

/// How long one blocking call lasts.
const BLOCK: Duration = Duration::from_secs(1);

/// Wait after Redis could not be asked.
const PAUSE: Duration = Duration::from_millis(500);

/// Spaces that this process claimed jobs of; more are not looked at.
const MOST_SPACES: usize = 16;

/// Who waits for messages, and what they saw.
pub(super) struct Arrivals {
    /// This process put something into a list.
    told: Notify,
    /// Something lies in the list that goes first.
    seen: Notify,
    /// Somebody begins to wait.
    begun: Notify,
    waiting: AtomicUsize,
    /// Looks into the lists so far, and how many there were when somebody was last woken: who was woken and did not look,
    /// because no model is there, is not woken again for the same message.
    looks: AtomicU64,
    woken: AtomicU64,
    spaces: Mutex<BTreeSet<String>>,
}

impl Default for Arrivals {
    fn default() -> Self {
        Self {
            told: Notify::new(),
            seen: Notify::new(),
            begun: Notify::new(),
            waiting: AtomicUsize::new(0),
            looks: AtomicU64::new(1),
            woken: AtomicU64::new(0),
            spaces: Mutex::default(),
        }
    }
}

impl Arrivals {
    pub(super) fn tell(&self) {
        self.told.notify_one();
    }

    pub(super) fn looked(&self) {
        self.looks.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn serve(&self, space: &str) {
        let mut spaces = self.spaces.lock().unwrap_or_else(PoisonError::into_inner);
        if spaces.len() < MOST_SPACES && !spaces.contains(space) {
            spaces.insert(space.to_owned());
        }
    }

    fn spaces(&self) -> Vec<String> {
        self.spaces.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Whether a look may find what the last one did not.
    fn may_wake(&self) -> bool {
        let looks = self.looks.load(Ordering::Relaxed);
        self.woken.swap(looks, Ordering::Relaxed) != looks
    }
}

/// Counts a waiter for as long as it lives.
struct Waiting<'a>(&'a Arrivals);

impl<'a> Waiting<'a> {
    fn begin(arrivals: &'a Arrivals) -> Self {
        arrivals.waiting.fetch_add(1, Ordering::Relaxed);
        arrivals.begun.notify_one();
        Self(arrivals)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Inner {
    pub(super) async fn wait(&self, at_most: Duration) {
        let arrivals = &self.arrivals;
        let end = Instant::now() + at_most;
        let mut look = interval(LOOK);
        look.tick().await;
        let seen = arrivals.seen.notified();
        tokio::pin!(seen);
        seen.as_mut().enable();
        let _waiting = Waiting::begin(arrivals);
        loop {
            let is_there = tokio::select! {
                () = sleep_until(end) => return,
                () = arrivals.told.notified() => return,
                () = &mut seen => {
                    seen.set(arrivals.seen.notified());
                    true
                }
                _ = look.tick() => {
                    let spaces = arrivals.spaces();
                    tokio::select! {
                        () = sleep_until(end) => return,
                        ready = self.redis.ready(self.clock.now(), &spaces) => ready.unwrap_or(false),
                    }
                }
            };
            if is_there && arrivals.may_wake() {
                return;
            }
        }
    }
}

/// Looks, as long as anybody waits, for what goes first: a move of a list's end onto itself blocks until there is one, and
/// changes nothing.
pub(super) async fn watch(inner: Weak<Inner>) {
    let mut connection = None;
    while let Some(queue) = inner.upgrade() {
        if queue.arrivals.waiting.load(Ordering::Relaxed) == 0 {
            let begun = Arc::clone(&queue);
            drop(queue);
            // Woken once more when the queue is dropped: the task is then aborted.
            begun.arrivals.begun.notified().await;
            continue;
        }
        let list = queue.redis.keys.list(None, 0);
        let mut open = match connection.take() {
            Some(open) => open,
            None => {
                let patience =
                    AsyncConnectionConfig::new().set_response_timeout(Some(BLOCK + super::super::redis::PATIENCE));
                match queue.redis.client.get_multiplexed_async_connection_with_config(&patience).await {
                    Ok(open) => open,
                    Err(error) => {
                        tracing::debug!(%error, "Redis cannot be asked for arrivals");
                        sleep(PAUSE).await;
                        continue;
                    }
                }
            }
        };
        let mut peek = redis::cmd("BLMOVE");
        peek.arg(&list).arg(&list).arg("RIGHT").arg("RIGHT").arg(BLOCK.as_secs());
        match peek.query_async::<Option<Vec<u8>>>(&mut open).await {
            Ok(found) => {
                connection = Some(open);
                if found.is_some() {
                    queue.arrivals.seen.notify_waiters();
                    // Who was woken looks first: until then the same message would be found again and again.
                    sleep(Duration::from_millis(2)).await;
                    while queue.arrivals.waiting.load(Ordering::Relaxed) > 0 && !moved_on(&queue) {
                        sleep(LOOK).await;
                    }
                }
            }
            Err(error) => {
                tracing::debug!(%error, "Redis cannot be asked for arrivals");
                sleep(PAUSE).await;
            }
        }
    }
}

/// Whether somebody looked since the last one was woken.
fn moved_on(queue: &Inner) -> bool {
    queue.arrivals.looks.load(Ordering::Relaxed) != queue.arrivals.woken.load(Ordering::Relaxed)
}
