//! What one part tells the others.

use std::borrow::Cow;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use crate::{Priority, TrackFields, TrackId};

/// How far a long operation is.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// Which operation: "vectorization", "scan".
    pub step: Cow<'static, str>,
    /// Items done.
    pub done: u64,
    /// Items in all.
    pub total: u64,
    /// Items a second lately.
    pub per_second: f64,
}

/// What happened to a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// It is new.
    Created,
    /// It changed.
    Updated,
    /// It is gone.
    Deleted,
}

/// A track was written.
#[derive(Clone, Debug, PartialEq)]
pub struct TrackEvent {
    /// What happened.
    pub happening: Happening,
    /// To which track.
    pub track_id: TrackId,
    /// How soon its vector is wanted.
    pub priority: Priority,
    /// What is known of the track now; nothing of one that is gone.
    pub told: Option<Box<TrackFields>>,
}

/// What one part tells the others.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A track was written.
    Track(TrackEvent),
    /// A long operation is so far.
    Progress(Progress),
}

/// What a subscriber hears.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// This happened.
    Event(Event),
    /// Some events were not heard: whoever needs them all compares what is with what should be.
    Missed,
}

/// Events could not be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("events cannot be published: {0}")]
pub struct BusError(pub String);

/// Tells parts, here and in other processes, what happened. A hint that makes things fast: who does not hear it finds out
/// later.
#[async_trait]
pub trait EventBus: Send + Sync {
    /// Tells whoever listens now.
    async fn publish(&self, events: Vec<Event>) -> Result<(), BusError>;

    /// All events from now on. The stream ends with the bus, not with a connection that breaks.
    fn subscribe(&self) -> BoxStream<'static, Heard>;

    /// The same, for whoever cares for progress alone: events of tracks may be left out.
    fn progress(&self) -> BoxStream<'static, Heard> {
        self.subscribe()
    }
}
