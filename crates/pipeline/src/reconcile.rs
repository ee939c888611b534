use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use metrics::counter;
use soniquebay_domain::{
    Fingerprint, JobKind, JobQueue, NewJob, Priority, Reconcile, Space, StoreError, Track, TrackId, Tracks, Vectors,
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::wanted::WantedSpaces;

/// Wait after a comparison that failed: whatever was away may be back.
const AGAIN: Duration = Duration::from_secs(5);

/// Wait after something was missed.
const SETTLE: Duration = Duration::from_millis(500);

/// Fingerprints read at once.
const PAGE: usize = 1000;

/// Vectors whose tracks are gone are forgotten without a person's word up to this share of all: a library that answers for
/// another one, or an empty one, must not cost every vector.
const MOST_ORPHANS: f64 = 0.05;

/// And up to so many in any case: in a small library, a few tracks are a large share.
const FEW_ORPHANS: usize = 10;

/// Compares what is with what should be: now, whenever something was missed, and every `interval`, until told to stop.
/// Events are hints; this makes it true.
pub async fn reconcile_until(
    reconciler: &dyn Reconcile,
    missed: &Notify,
    interval: Duration,
    stop: &CancellationToken,
) {
    loop {
        let wait = match reconciler.reconcile().await {
            Ok(made) => {
                if made > 0 {
                    counter!("soniquebay_reconciler_repairs_total").increment(made as u64);
                    tracing::info!(made, "tracks without a right vector got a job");
                }
                interval
            }
            Err(error) => {
                tracing::warn!(%error, "could not compare tracks with their vectors; trying again soon");
                AGAIN
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
            // What is missed once is often missed again at once: one comparison is enough for all of it.
            () = missed.notified() => tokio::time::sleep(SETTLE).await,
        }
    }
}

/// Compares tracks and vectors that lie in two places, by merging their lists of fingerprints.
pub struct ListReconciler {
    /// The library.
    pub tracks: Arc<dyn Tracks>,
    /// The recommender's vectors.
    pub vectors: Arc<dyn Vectors>,
    /// Where jobs go for what differs.
    pub queue: Arc<dyn JobQueue>,
    /// Which spaces are to be filled.
    pub wanted: Arc<WantedSpaces>,
    /// Forget vectors of tracks that are gone, however many they are.
    pub forget_any_number: bool,
    /// What differed when it was last compared.
    pub differed: Differed,
}

/// Tracks and vectors that differed, with both sides, by space.
#[derive(Default)]
pub struct Differed(Mutex<HashMap<(Space, TrackId), (Fingerprint, Fingerprint)>>);

#[async_trait]
impl Reconcile for ListReconciler {
    async fn reconcile(&self) -> Result<usize, StoreError> {
        let (mut made, mut orphans, mut vectors) = (0, HashSet::new(), 0);
        let counts = self.queue.counts_by_work().await?;
        // Files may wait for hours to be heard, and that is no reason for what is made of tags to wait.
        let is_idle = |space: &Space| {
            let counts = if space.is_sound() { counts.analysis } else { counts.embedding };
            counts.available + counts.scheduled + counts.running == 0
        };
        let mut differ = HashMap::new();
        for space in self.wanted.get().await? {
            let compared = self.compare(&space, &mut orphans, &mut differ).await?;
            made += compared.made;
            vectors += compared.vectors;
        }
        let stuck = self.stuck(differ, is_idle).await?;
        if !stuck.is_empty() {
            // As after a library was restored from a backup: the mirror has newer versions, and refuses what is right.
            tracing::warn!(
                ?stuck,
                "vectors of these tracks cannot be brought up to date: they are forgotten and made anew"
            );
            self.vectors.forget(stuck).await?;
        }
        self.forget(orphans, vectors).await?;
        Ok(made)
    }
}

struct Compared {
    made: usize,
    vectors: usize,
}

impl ListReconciler {
    /// The tracks that differ as they did before, although no job is left that could change that, and none was given up.
    async fn stuck(
        &self,
        differ: HashMap<(Space, TrackId), (Fingerprint, Fingerprint)>,
        is_idle: impl Fn(&Space) -> bool,
    ) -> Result<Vec<TrackId>, StoreError> {
        let mut by_space: HashMap<Space, Vec<TrackId>> = HashMap::new();
        {
            let mut before = self.differed.0.lock().unwrap_or_else(PoisonError::into_inner);
            for ((space, track), _) in
                differ.iter().filter(|(key, pair)| is_idle(&key.0) && before.get(key) == Some(pair))
            {
                by_space.entry(space.clone()).or_default().push(*track);
            }
            *before = differ;
        }
        let mut stuck = HashSet::new();
        for (space, tracks) in by_space {
            let failed = self.queue.failures(&space, tracks.clone()).await?;
            let failed: HashSet<TrackId> = failed.into_iter().map(|(id, _)| id).collect();
            stuck.extend(tracks.into_iter().filter(|track| !failed.contains(track)));
        }
        Ok(stuck.into_iter().collect())
    }

    async fn compare(
        &self,
        space: &Space,
        orphans: &mut HashSet<TrackId>,
        differ: &mut HashMap<(Space, TrackId), (Fingerprint, Fingerprint)>,
    ) -> Result<Compared, StoreError> {
        let mut tracks = Pages::new(|after| self.tracks.fingerprints(after, PAGE));
        let mut vectors = Pages::new(|after| self.vectors.vector_fingerprints(space, after, PAGE));
        let mut compared = Compared { made: 0, vectors: 0 };
        let mut differing = Vec::new();
        loop {
            let (track, vector) = (tracks.peek().await?.cloned(), vectors.peek().await?.cloned());
            let order = match (&track, &vector) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(track), Some(vector)) => track.track_id.cmp(&vector.track_id),
            };
            if order != Ordering::Greater {
                tracks.next();
            }
            if order != Ordering::Less {
                vectors.next();
                compared.vectors += 1;
            }
            match (order, track, vector) {
                (Ordering::Greater, _, Some(vector)) => drop(orphans.insert(vector.track_id)),
                // A track without a file sounds like nothing.
                (_, Some(track), _) if order != Ordering::Greater && track.made_from(space).is_none() => {}
                (_, Some(track), Some(vector)) if order == Ordering::Equal && differ_in(space, &track, &vector) => {
                    differing.push(track.track_id);
                    differ.insert((space.clone(), track.track_id), (track, vector));
                }
                (Ordering::Less, Some(track), _) => differing.push(track.track_id),
                _ => {}
            }
            if differing.len() == PAGE {
                compared.made += self.enqueue(space, std::mem::take(&mut differing)).await?;
            }
        }
        compared.made += self.enqueue(space, differing).await?;
        Ok(compared)
    }

    /// Jobs for tracks that have none; those that were given up wait for a person or a change.
    async fn enqueue(&self, space: &Space, ids: Vec<TrackId>) -> Result<usize, StoreError> {
        if ids.is_empty() {
            return Ok(0);
        }
        let failed = self.queue.failures(space, ids.clone()).await?;
        let failed: HashSet<TrackId> = failed.into_iter().map(|(id, _)| id).collect();
        let ids: Vec<TrackId> = ids.into_iter().filter(|id| !failed.contains(id)).collect();
        if ids.is_empty() {
            return Ok(0);
        }
        // Workers that have no library to ask know what the message tells.
        let job = |track: Track| NewJob {
            kind: JobKind::of(space),
            track_id: track.id,
            space: space.clone(),
            priority: Priority::Background,
            delay: Duration::ZERO,
            told: Some(Box::new(track.counts().into_owned())),
        };
        let tracks = self.tracks.tracks(ids).await?;
        let asked = tracks.len();
        let new = self.queue.enqueue(tracks.into_iter().map(job).collect()).await?;
        counter!("soniquebay_jobs_joined_total").increment((asked - new.min(asked)) as u64);
        Ok(new)
    }

    async fn forget(&self, orphans: HashSet<TrackId>, vectors: usize) -> Result<(), StoreError> {
        if orphans.is_empty() {
            return Ok(());
        }
        // The lists were read one after the other: only whom the library does not know now is gone.
        let mut gone = Vec::new();
        let orphans: Vec<TrackId> = orphans.into_iter().collect();
        for some in orphans.chunks(PAGE) {
            let known = self.tracks.tracks(some.to_vec()).await?;
            let known: HashSet<TrackId> = known.into_iter().map(|track| track.id).collect();
            gone.extend(some.iter().filter(|id| !known.contains(id)));
        }
        let most = FEW_ORPHANS.max((vectors as f64 * MOST_ORPHANS) as usize);
        if gone.len() > most && !self.forget_any_number {
            tracing::error!(
                gone = gone.len(),
                vectors,
                "the library does not know these tracks, which are too many to forget without a person's word: is this the \
                 right library? If so, start the listener with --forget-any-number once"
            );
            return Ok(());
        }
        for some in gone.chunks(PAGE) {
            let forgotten = self.vectors.forget(some.to_vec()).await?;
            tracing::info!(forgotten, "vectors of tracks that are gone were forgotten");
        }
        Ok(())
    }
}

/// Whether a vector, or what lies beside it for filters, is not that of the track as it is. What filters ask follows with
/// vectors of what tracks say, so that no file is heard for it.
fn differ_in(space: &Space, track: &Fingerprint, vector: &Fingerprint) -> bool {
    let is_stale = track.made_from(space) != Some(&vector.content_hash);
    is_stale || (!space.is_sound() && track.metadata_hash != vector.metadata_hash)
}

/// A long list, read page by page.
struct Pages<R, F> {
    read: R,
    page: std::collections::VecDeque<Fingerprint>,
    after: i64,
    ended: bool,
    _future: std::marker::PhantomData<F>,
}

impl<R: Fn(i64) -> F, F: Future<Output = Result<Vec<Fingerprint>, StoreError>>> Pages<R, F> {
    fn new(read: R) -> Self {
        let page = std::collections::VecDeque::new();
        Self { read, page, after: 0, ended: false, _future: std::marker::PhantomData }
    }

    async fn peek(&mut self) -> Result<Option<&Fingerprint>, StoreError> {
        if self.page.is_empty() && !self.ended {
            let page = (self.read)(self.after).await?;
            self.ended = page.is_empty();
            // A server that does not page would be asked for ever.
            self.page = page.into_iter().filter(|print| print.track_id.get() > self.after).collect();
            self.ended |= self.page.is_empty();
            self.after = self.page.back().map_or(self.after, |print| print.track_id.get());
        }
        Ok(self.page.front())
    }

    fn next(&mut self) {
        self.page.pop_front();
    }
}
