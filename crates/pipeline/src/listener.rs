use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use metrics::counter;
use soniquebay_domain::{
    Event, EventBus, Happening, Heard, JobKind, JobQueue, NewJob, Priority, StoreError, TrackEvent, TrackFields,
    TrackId, Vectors,
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::wanted::WantedSpaces;

/// Events taken together, where many come at once: one round trip for all of them.
const TOGETHER: usize = 1000;

/// Turns events into jobs: one a track and wanted space, however often the track is written meanwhile.
///
/// What it cannot queue now, or did not hear, is left to the reconciler, which it wakes.
pub struct Listener {
    /// Where events come from.
    pub bus: Arc<dyn EventBus>,
    /// Where jobs go.
    pub queue: Arc<dyn JobQueue>,
    /// Where the vectors of tracks that are gone lie.
    pub vectors: Arc<dyn Vectors>,
    /// Which spaces are to be filled.
    pub wanted: Arc<WantedSpaces>,
    /// Told when something was missed.
    pub missed: Arc<Notify>,
}

/// What became of a track since the last look.
struct Latest {
    is_gone: bool,
    priority: Priority,
    told: Option<Box<TrackFields>>,
}

impl Listener {
    /// Listens until told to stop.
    pub async fn run(&self, stop: &CancellationToken) {
        let mut bursts = self.bus.subscribe().ready_chunks(TOGETHER);
        loop {
            let burst = tokio::select! {
                () = stop.cancelled() => return,
                burst = bursts.next() => burst,
            };
            let Some(burst) = burst else { return };
            if let Err(error) = self.hear(burst).await {
                counter!("soniquebay_events_postponed_total").increment(1);
                tracing::warn!(%error, "events could not be acted on; what they told is found later");
                self.missed.notify_one();
                // Whatever is away needs a moment, and events need no hurry before it is back.
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }

    async fn hear(&self, burst: Vec<Heard>) -> Result<(), StoreError> {
        let mut latest: HashMap<TrackId, Latest> = HashMap::new();
        for heard in burst {
            match heard {
                Heard::Event(Event::Track(event)) => note(&mut latest, event),
                Heard::Event(Event::Progress(_)) => {}
                Heard::Missed => self.missed.notify_one(),
            }
        }
        if latest.is_empty() {
            return Ok(());
        }
        let gone: Vec<TrackId> = latest.iter().filter(|(_, of)| of.is_gone).map(|(id, _)| *id).collect();
        if !gone.is_empty() {
            self.vectors.forget(gone).await?;
        }
        let spaces = self.wanted.get().await?;
        let mut jobs = Vec::with_capacity(latest.len() * spaces.len());
        for (track_id, Latest { priority, told, .. }) in latest.into_iter().filter(|(_, of)| !of.is_gone) {
            let has_file = told.as_ref().is_none_or(|told| told.identity.path.is_some());
            let spaces = spaces.iter().filter(|space| has_file || !space.is_sound());
            jobs.extend(spaces.map(|space| NewJob {
                kind: JobKind::of(space),
                track_id,
                space: space.clone(),
                priority,
                delay: Duration::ZERO,
                told: told.clone(),
            }));
        }
        let asked = jobs.len();
        let new = self.queue.enqueue(jobs).await?;
        counter!("soniquebay_jobs_queued_total").increment(new as u64);
        counter!("soniquebay_jobs_joined_total").increment((asked - new.min(asked)) as u64);
        Ok(())
    }
}

/// The last word on a track counts, at the highest priority that any of them asked for.
fn note(latest: &mut HashMap<TrackId, Latest>, event: TrackEvent) {
    let TrackEvent { happening, track_id, priority, told } = event;
    let before = latest.remove(&track_id);
    let priority = before.map_or(priority, |before| before.priority.min(priority));
    latest.insert(track_id, Latest { is_gone: happening == Happening::Deleted, priority, told });
}
