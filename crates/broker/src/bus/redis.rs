use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use metrics::counter;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, IntoConnectionInfo, RedisError, pipe};
use soniquebay_domain::{BusError, Clock, Event, EventBus, Heard};
use soniquebay_wire::{EventError, MAX_EVENT_BYTES, ProgressView, read_progress, read_track_event, write_track_event};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::LocalBus;

/// Where tracks' events are published, and read.
pub(crate) const TRACKS: &str = "vectorization";

/// Where older publishers of the Python system tell of tracks: read only.
const OLDER_TRACKS: &str = "tracks.to_vectorize";

/// Where long operations say how far they are.
const PROGRESS: &str = "progress";

/// How long Redis may take for an answer. Events are hints: a write must not wait for them.
const PATIENCE: Duration = Duration::from_secs(2);

/// Between two tries to subscribe: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How often unreadable messages get a line in the log.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// Why a text is no address of a Redis server.
#[derive(Debug, thiserror::Error)]
#[error("no address of a Redis server, such as redis://host:6379/0: {0}")]
pub struct RedisUrlError(#[from] RedisError);

/// Events between processes, over Redis Pub/Sub, as the Python SoniqueBay publishes and hears them.
///
/// One subscription serves all subscribers of this process: to progress alone, until somebody wants all events. It is made
/// anew whenever the connection breaks, and subscribers then hear that they missed something: Pub/Sub keeps nothing for who is
/// away.
pub struct RedisBus {
    connection: ConnectionManager,
    clock: Arc<dyn Clock>,
    heard: LocalBus,
    wants_tracks: watch::Sender<bool>,
    _subscription: AbortOnDropHandle<()>,
}

impl RedisBus {
    /// A bus on this server, which may be away for now.
    ///
    /// # Errors
    /// Where this is no address of a Redis server.
    pub fn new(url: &str, clock: Arc<dyn Clock>) -> Result<Self, RedisUrlError> {
        let client = Client::open(url.into_connection_info()?)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_number_of_retries(1);
        let connection = ConnectionManager::new_lazy_with_config(client.clone(), config)?;
        let heard = LocalBus::default();
        let (wants_tracks, wanted) = watch::channel(false);
        let listening = tokio::spawn(listen(client, heard.clone(), wanted));
        let _subscription = AbortOnDropHandle::new(listening);
        Ok(Self { connection, clock, heard, wants_tracks, _subscription })
    }
}

#[async_trait]
impl EventBus for RedisBus {
    async fn publish(&self, events: Vec<Event>) -> Result<(), BusError> {
        let now = self.clock.now();
        let mut commands = pipe();
        for event in events {
            let (channel, message) = match event {
                Event::Track(event) => (TRACKS, write_track_event(&event, now)),
                Event::Progress(progress) => {
                    let view = serde_json::to_string(&ProgressView::from(progress));
                    (PROGRESS, view.map_err(|error| BusError(error.to_string()))?)
                }
            };
            if message.len() > MAX_EVENT_BYTES {
                tracing::warn!(bytes = message.len(), "an event is too long to be published; its track is found later");
                continue;
            }
            commands.publish(channel, message).ignore();
        }
        let mut connection = self.connection.clone();
        commands.query_async::<()>(&mut connection).await.map_err(|error| BusError(format!("Redis: {error}")))
    }

    fn subscribe(&self) -> BoxStream<'static, Heard> {
        let heard = self.heard.subscribe();
        self.wants_tracks.send_if_modified(|wants| !std::mem::replace(wants, true));
        heard
    }

    fn progress(&self) -> BoxStream<'static, Heard> {
        self.heard.subscribe()
    }
}

/// Hears everything, for as long as the bus lives.
async fn listen(client: Client, heard: LocalBus, mut wants_tracks: watch::Receiver<bool>) {
    let mut complaints = Complaints::default();
    let mut pause = FIRST_PAUSE;
    let mut away = false;
    loop {
        let subscribed = async {
            let (mut sink, messages) = client.get_async_pubsub().await?.split();
            sink.subscribe(PROGRESS).await?;
            if *wants_tracks.borrow_and_update() {
                sink.subscribe(&[TRACKS, OLDER_TRACKS]).await?;
            }
            Ok::<_, RedisError>((sink, messages))
        };
        match tokio::time::timeout(PATIENCE, subscribed).await {
            Ok(Ok((mut sink, mut messages))) => {
                if std::mem::take(&mut away) {
                    tracing::info!("Redis is back: events are heard again");
                }
                pause = FIRST_PAUSE;
                // From here on nothing is missed; before, something may have been.
                heard.tell(Heard::Missed);
                loop {
                    tokio::select! {
                        message = messages.next() => match message {
                            Some(message) => hear(&message, &heard, &mut complaints),
                            None => break,
                        },
                        Ok(()) = wants_tracks.changed() => {
                            if sink.subscribe(&[TRACKS, OLDER_TRACKS]).await.is_err() {
                                break;
                            }
                            // Of tracks nothing was heard until now.
                            heard.tell(Heard::Missed);
                        }
                    }
                }
            }
            Ok(Err(error)) if !away => tracing::warn!(%error, "Redis is away: events are not heard until it is back"),
            Err(_) if !away => tracing::warn!("Redis does not answer: events are not heard until it does"),
            Ok(Err(_)) | Err(_) => {}
        }
        away = true;
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn hear(message: &redis::Msg, heard: &LocalBus, complaints: &mut Complaints) {
    let payload = message.get_payload_bytes();
    let Ok(text) = std::str::from_utf8(payload) else {
        return complaints.note("not UTF-8");
    };
    if message.get_channel_name() == PROGRESS {
        // Other programs say other things there.
        if let Some(progress) = read_progress(text) {
            heard.tell(Heard::Event(Event::Progress(progress)));
        }
        return;
    }
    match read_track_event(text) {
        Ok(event) => {
            counter!("soniquebay_events_heard_total").increment(1);
            heard.tell(Heard::Event(Event::Track(event)));
        }
        Err(EventError::UnknownType(kind)) => {
            counter!("soniquebay_events_unknown_total").increment(1);
            tracing::debug!(kind, "an event that nobody here knows");
        }
        Err(EventError::Malformed(reason)) => complaints.note(&reason),
    }
}

/// Unreadable messages, counted, with one line in the log a minute however many there are.
#[derive(Default)]
struct Complaints {
    last: Option<Instant>,
    since: u64,
}

impl Complaints {
    fn note(&mut self, reason: &str) {
        counter!("soniquebay_events_malformed_total").increment(1);
        self.since += 1;
        if self.last.is_none_or(|last| last.elapsed() >= COMPLAIN_EVERY) {
            let reason: String = reason.chars().take(200).collect();
            tracing::warn!(messages = self.since, reason, "messages on channel {TRACKS} are no events");
            (self.last, self.since) = (Some(Instant::now()), 0);
        }
    }
}
