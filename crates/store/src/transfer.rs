//! A library moved from one database to another, of whatever kind: ids, versions, times, job states and vectors stay as they
//! are, to the last bit.
//!
//! Nobody else may use either of them meanwhile. A job that somebody died of is not moved: the reconciler makes it anew. What was begun and given up goes on when it is asked for again: what is
//! there already is compared and left alone. At the end both are read once more, and must be equal.

use std::fmt::Debug;

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use soniquebay_domain::{
    Database, JobId, JobState, JobSummary, Progress, Space, StoreError, StoredVector, Track, TrackId,
};

/// Rows that are read and written together.
const BATCH: usize = 500;

/// A database that takes rows as they were in another one.
#[async_trait]
pub trait Destination: Database {
    /// Writes tracks with their ids, versions and times. Queues nothing.
    async fn restore_tracks(&self, tracks: Vec<Track>) -> Result<(), StoreError>;

    /// Writes vectors of tracks that are there, with their times.
    async fn restore_vectors(&self, vectors: Vec<StoredVector>) -> Result<(), StoreError>;

    /// Writes jobs with their ids, none of which is running.
    async fn restore_jobs(&self, jobs: Vec<JobSummary>) -> Result<(), StoreError>;
}

/// Why a library was not moved.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// One of the databases.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The destination is in use.
    #[error("the destination holds track {0}, which the source does not: move to an empty database")]
    Occupied(TrackId),
    /// One of them was written meanwhile.
    #[error("source and destination differ in their {0}: is one of them in use? Stop what uses it, and move again")]
    Differs(&'static str),
}

/// What was moved, counted and compared on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transferred {
    /// Tracks.
    pub tracks: u64,
    /// Vectors of each space.
    pub vectors: Vec<(Space, u64)>,
    /// Jobs.
    pub jobs: u64,
}

/// Copies everything but remembered embeddings, and compares both sides afterwards. `told` hears how far it is.
///
/// # Errors
/// Where a database cannot be used, the destination holds tracks of its own, or one of them changes meanwhile.
pub async fn transfer(
    from: &dyn Database,
    to: &dyn Destination,
    told: &(dyn Fn(Progress) + Sync),
) -> Result<Transferred, TransferError> {
    refuse_strangers(from, to).await?;
    to.want_spaces(from.wanted_spaces().await?).await?;
    to.pause_analysis(from.analysis_paused().await?).await?;
    from.release_orphans().await?;
    let total = from.counts().await?.tracks;
    let mut steps = Steps { told, step: "tracks", done: 0, total };
    copy_tracks(from, to, &mut steps).await?;
    for coverage in from.spaces().await? {
        steps.begin("vectors", coverage.ready + coverage.stale);
        copy_vectors(from, to, &coverage.space, &mut steps).await?;
    }
    copy_jobs(from, to).await?;

    steps.begin("comparing", total);
    let (source, copied) = (digest_tracks(from, &mut steps).await?, digest_tracks(to, &mut steps).await?);
    let tracks = same("tracks", &source, &copied)?;
    let mut vectors = Vec::new();
    for coverage in from.spaces().await? {
        let space = coverage.space;
        let (source, copied) = (digest_vectors(from, &space).await?, digest_vectors(to, &space).await?);
        vectors.push((space, same("vectors", &source, &copied)?));
    }
    let jobs = same("jobs", &digest_jobs(from).await?, &digest_jobs(to).await?)?;
    Ok(Transferred { tracks, vectors, jobs })
}

struct Steps<'a> {
    told: &'a (dyn Fn(Progress) + Sync),
    step: &'static str,
    done: u64,
    total: u64,
}

impl Steps<'_> {
    fn begin(&mut self, step: &'static str, total: u64) {
        (self.step, self.done, self.total) = (step, 0, total);
    }

    fn done(&mut self, more: usize) {
        self.done += more as u64;
        (self.told)(Progress { step: self.step.into(), done: self.done, total: self.total, per_second: 0.0 });
    }
}

/// A destination that holds tracks which the source lacks is another library's.
async fn refuse_strangers(from: &dyn Database, to: &dyn Database) -> Result<(), TransferError> {
    let mut after = 0;
    loop {
        let there = to.fingerprints(after, BATCH).await?;
        let Some(last) = there.last() else { return Ok(()) };
        after = last.track_id.get();
        let ids: Vec<TrackId> = there.iter().map(|print| print.track_id).collect();
        let known = from.tracks(ids.clone()).await?;
        if let Some(stranger) = ids.into_iter().find(|id| !known.iter().any(|track| track.id == *id)) {
            return Err(TransferError::Occupied(stranger));
        }
    }
}

async fn copy_tracks(from: &dyn Database, to: &dyn Destination, steps: &mut Steps<'_>) -> Result<(), StoreError> {
    let mut after = 0;
    loop {
        let mut page = from.page(after, 0, BATCH).await?;
        let (read, Some(last)) = (page.len(), page.last()) else { return Ok(()) };
        after = last.id.get();
        let there = to.tracks(page.iter().map(|track| track.id).collect()).await?;
        page.retain(|track| !there.contains(track));
        to.restore_tracks(page).await?;
        steps.done(read);
    }
}

async fn copy_vectors(
    from: &dyn Database,
    to: &dyn Destination,
    space: &Space,
    steps: &mut Steps<'_>,
) -> Result<(), StoreError> {
    let mut after = 0;
    loop {
        let mut page = from.vector_page(space, after, 0, BATCH).await?;
        let (read, Some(last)) = (page.len(), page.last()) else { return Ok(()) };
        after = last.track_id.get();
        let there = to.vectors(space, page.iter().map(|vector| vector.track_id).collect()).await?;
        page.retain(|vector| !there.iter().any(|known| known == vector && bits(known) == bits(vector)));
        to.restore_vectors(page).await?;
        steps.done(read);
    }
}

async fn copy_jobs(from: &dyn Database, to: &dyn Destination) -> Result<(), StoreError> {
    let mut after = None;
    loop {
        let mut page = from.jobs(None, after, BATCH).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.job.id.clone());
        page.retain(|job| job.state != JobState::Running);
        to.restore_jobs(page).await?;
    }
}

/// Rows counted, and a hash over all that they hold.
#[derive(Default)]
struct Counted {
    rows: u64,
    hash: Sha256,
}

impl Counted {
    fn add(&mut self, row: &dyn Debug) {
        self.rows += 1;
        self.hash.update(format!("{row:?}\n"));
    }
}

fn same(what: &'static str, source: &Counted, copied: &Counted) -> Result<u64, TransferError> {
    let equal = source.rows == copied.rows && source.hash.clone().finalize() == copied.hash.clone().finalize();
    if equal { Ok(source.rows) } else { Err(TransferError::Differs(what)) }
}

async fn digest_tracks(store: &dyn Database, steps: &mut Steps<'_>) -> Result<Counted, StoreError> {
    let (mut counted, mut after) = (Counted::default(), 0);
    steps.done = 0;
    loop {
        let page = store.page(after, 0, BATCH).await?;
        let Some(last) = page.last() else { return Ok(counted) };
        after = last.id.get();
        page.iter().for_each(|track| counted.add(track));
        steps.done(page.len());
    }
}

async fn digest_vectors(store: &dyn Database, space: &Space) -> Result<Counted, StoreError> {
    let (mut counted, mut after) = (Counted::default(), 0);
    loop {
        let page = store.vector_page(space, after, 0, BATCH).await?;
        let Some(last) = page.last() else { return Ok(counted) };
        after = last.track_id.get();
        for stored in page {
            let hashes = (&stored.content_hash, &stored.metadata_hash);
            counted.add(&(stored.track_id, &stored.space, hashes, stored.updated_at, bits(&stored)));
        }
    }
}

async fn digest_jobs(store: &dyn Database) -> Result<Counted, StoreError> {
    let (mut counted, mut after): (_, Option<JobId>) = (Counted::default(), None);
    loop {
        let page = store.jobs(None, after, BATCH).await?;
        let Some(last) = page.last() else { return Ok(counted) };
        after = Some(last.job.id.clone());
        page.iter().filter(|job| job.state != JobState::Running).for_each(|job| counted.add(job));
    }
}

fn bits(stored: &StoredVector) -> Vec<u32> {
    stored.vector.as_slice().iter().map(|number| number.to_bits()).collect()
}
