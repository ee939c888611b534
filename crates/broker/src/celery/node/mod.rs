//! The process as Celery's tools see it: `celery inspect`, `celery status`, `celery events`, Flower.

mod control;
mod mingle;
mod watch;

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Map, Value, json};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::envelope::Envelope;
use super::queue::{CeleryQueue, Inner};

pub(super) use watch::{Happened, Watch};

/// How often this process says that it is there, as Celery's do.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// Wait after the connection was lost.
const PAUSE: Duration = Duration::from_secs(1);

/// Time for one answer: who asked waits a second or little more.
const ANSWER: Duration = Duration::from_secs(5);

/// Time for the last word.
const FAREWELL: Duration = Duration::from_millis(500);

/// Events published together.
const BATCH: usize = 256;

/// Answers remote control and tells what happens.
pub struct CeleryNode {
    queue: CeleryQueue,
    beside: Vec<CeleryQueue>,
}

/// The queues that a node works on. The first one's settings and connection are the node's; they share one [`Watch`].
#[derive(Clone, Copy)]
struct Queues<'a> {
    first: &'a Inner,
    beside: &'a [CeleryQueue],
}

impl<'a> Queues<'a> {
    fn all(self) -> impl Iterator<Item = &'a Inner> {
        [self.first].into_iter().chain(self.beside.iter().map(|queue| &*queue.inner))
    }

    /// Messages that are held.
    fn active(self) -> usize {
        self.all().map(|queue| queue.claims.all().len()).sum()
    }
}

impl CeleryNode {
    /// The node of whoever works on this queue, and on those that were made [beside](CeleryQueue::beside) it.
    pub fn new(queue: CeleryQueue, beside: Vec<CeleryQueue>) -> Self {
        Self { queue, beside }
    }

    /// Listens and tells until told to stop. Nothing waits for it: what it does not tell is lost.
    pub async fn run(&self, stop: &CancellationToken) {
        let queues = Queues { first: &self.queue.inner, beside: &self.beside };
        let mingle = async {
            tokio::select! {
                () = stop.cancelled() => {}
                () = mingle::mingle(queues.first) => {}
            }
        };
        tokio::join!(listen(queues, stop), tell(queues, stop), mingle);
    }
}

async fn listen(queues: Queues<'_>, stop: &CancellationToken) {
    let inner = queues.first;
    loop {
        let listening = async {
            let mut channel = inner.redis.client.get_async_pubsub().await?;
            channel.subscribe(inner.redis.keys.control()).await?;
            tracing::debug!(node = inner.config.node, "remote control is heard");
            let mut requests = channel.into_on_message();
            while let Some(request) = requests.next().await {
                if timeout(ANSWER, control::handle(queues, request.get_payload_bytes())).await.is_err() {
                    tracing::debug!("an answer to remote control took too long");
                }
            }
            Ok::<(), redis::RedisError>(())
        };
        tokio::select! {
            () = stop.cancelled() => return,
            ended = listening => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "remote control is not heard");
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(PAUSE) => {}
        }
    }
}

async fn tell(queues: Queues<'_>, stop: &CancellationToken) {
    let inner = queues.first;
    let watch = &inner.watch;
    let mut told = watch.told.lock().await;
    let mut beat = interval(HEARTBEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    publish(inner, "worker.online", &watch.event("worker-online", state(queues))).await;
    let mut events = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = beat.tick() => publish(inner, "worker.heartbeat", &watch.event("worker-heartbeat", state(queues))).await,
            _ = told.recv_many(&mut events, BATCH) => {
                publish(inner, "task.multi", &json!(events)).await;
                events.clear();
            }
        }
    }
    // Nobody waits long for it where Redis is away.
    let farewell = watch.event("worker-offline", state(queues));
    let _ = timeout(FAREWELL, publish(inner, "worker.offline", &farewell)).await;
}

/// How this process is, as its heartbeat says.
fn state(queues: Queues<'_>) -> Value {
    json!({
        "freq": HEARTBEAT.as_secs_f64(),
        "active": queues.active(),
        "processed": queues.first.watch.totals().values().sum::<u64>(),
        "loadavg": load(),
        "sw_ident": "soniquebay",
        "sw_ver": env!("CARGO_PKG_VERSION"),
        "sw_sys": "Linux",
    })
}

fn load() -> [f64; 3] {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let mut numbers = text.split_whitespace().map(|number| number.parse().unwrap_or(0.0));
    [(); 3].map(|()| numbers.next().unwrap_or(0.0))
}

async fn publish(inner: &Inner, kind: &str, body: &Value) {
    let headers = Map::from_iter([("hostname".to_owned(), json!(inner.config.node))]);
    let properties = Map::from_iter([
        ("delivery_mode".to_owned(), json!(1)),
        ("delivery_info".to_owned(), json!({"exchange": "celeryev", "routing_key": kind})),
        ("priority".to_owned(), json!(0)),
    ]);
    let envelope = Envelope::new(body, headers, properties);
    let mut command = redis::cmd("PUBLISH");
    command.arg(inner.redis.keys.events(kind)).arg(envelope.to_raw());
    if let Err(error) = inner.redis.ask::<i64>(&command).await {
        tracing::debug!(%error, "an event was not told");
    }
}

impl Watch {
    /// Whether events of tasks are told from now on; whether that is a change.
    fn tell_tasks(&self, yes: bool) -> bool {
        self.tells_tasks.swap(yes, Ordering::Relaxed) != yes
    }
}
