use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use soniquebay_domain::{BusError, Event, EventBus, Heard};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;

use super::BACKLOG;

/// Events within one process.
#[derive(Clone)]
pub struct LocalBus {
    sender: broadcast::Sender<Heard>,
}

impl Default for LocalBus {
    fn default() -> Self {
        Self::new(BACKLOG)
    }
}

impl LocalBus {
    /// A bus whose subscribers may lag so many events behind before they miss some.
    pub fn new(backlog: usize) -> Self {
        Self { sender: broadcast::Sender::new(backlog) }
    }

    /// Tells every subscriber. Nobody listens most of the time.
    pub(super) fn tell(&self, heard: Heard) {
        let _ = self.sender.send(heard);
    }
}

#[async_trait]
impl EventBus for LocalBus {
    async fn publish(&self, events: Vec<Event>) -> Result<(), BusError> {
        events.into_iter().for_each(|event| self.tell(Heard::Event(event)));
        Ok(())
    }

    fn subscribe(&self) -> BoxStream<'static, Heard> {
        let stream = BroadcastStream::new(self.sender.subscribe());
        // Whoever lagged behind has missed what was said meanwhile.
        stream.map(|heard| heard.unwrap_or(Heard::Missed)).boxed()
    }
}
