//! A library moved from one database to another, of whatever kind: ids, versions, times, job states and vectors stay as they
//! are, to the last bit.
//!
//! Nobody else may use either of them meanwhile. The destination is marked until the move is done, so that nobody takes half a
//! library for a whole one; what was begun and given up goes on when it is asked for again: what is there already is compared
//! and left alone, what the source has lost since is removed. A job that somebody died of is not moved: the reconciler makes it
//! anew. At the end both are read once more, and must be equal.

mod digest;

use async_trait::async_trait;
use soniquebay_domain::{
    Database, JobState, JobSummary, Progress, Space, SpaceSize, StoreError, StoredKey, StoredVector, Track, TrackId,
};

use digest::{bits, same};

/// Rows that are read and written together.
const BATCH: usize = 500;

/// A database whose rows go to another one, and come from it, as they are.
#[async_trait]
pub trait Portable: Database {
    /// What it is called where a person may read it: a file's path, or a server's host, port and database.
    fn address(&self) -> String;

    /// The highest id that a track ever had: ids are not given twice, wherever the library goes.
    async fn last_track_id(&self) -> Result<i64, StoreError>;

    /// Marks the database as one that is being filled from `source`, unless it is somebody's already.
    async fn begin_move(&self, source: &str) -> Result<Begun, StoreError>;

    /// Takes the mark away; tracks that come later get ids above this one.
    async fn end_move(&self, last_track_id: i64) -> Result<(), StoreError>;

    /// Forgets all tracks, vectors, spaces and jobs.
    async fn clear(&self) -> Result<(), StoreError>;

    /// Writes tracks with their ids, versions and times. Queues nothing.
    async fn restore_tracks(&self, tracks: Vec<Track>) -> Result<(), StoreError>;

    /// Writes vectors of tracks that are there, with their times.
    async fn restore_vectors(&self, vectors: Vec<StoredVector>) -> Result<(), StoreError>;

    /// Forgets all jobs.
    async fn clear_jobs(&self) -> Result<(), StoreError>;

    /// Writes jobs with their ids, none of which is running.
    async fn restore_jobs(&self, jobs: Vec<JobSummary>) -> Result<(), StoreError>;

    /// Makes these the keys, those that were revoked too, and no others.
    async fn restore_keys(&self, keys: Vec<StoredKey>) -> Result<(), StoreError>;
}

/// What whoever opens half a library is told.
pub(crate) fn half_moved(source: &str) -> String {
    format!(
        "the library that is moved or restored here from {source} is not whole yet: run the same `soniquebay db move` or \
         `restore` again, which goes on where it ended"
    )
}

/// How a destination was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// Empty, and marked now.
    Anew,
    /// Marked by an earlier try from the same source.
    Again,
    /// Marked by a move from elsewhere.
    FromElsewhere(String),
    /// It holds so many tracks, and no mark: a library of its own.
    Occupied(u64),
}

/// Why a library was not moved.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// One of the databases.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The destination is a library.
    #[error("the destination holds {0} tracks already: move to an empty database")]
    Occupied(u64),
    /// The destination is half of another one.
    #[error("a move from {0} into the destination was begun and not finished")]
    Begun(String),
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

/// Copies everything, keys too, but for remembered embeddings, and compares both sides afterwards. `told` hears how far it is.
///
/// # Errors
/// Where a database cannot be used, the destination is somebody's, or one of them changes meanwhile.
pub async fn transfer(
    from: &dyn Portable,
    to: &dyn Portable,
    told: &(dyn Fn(Progress) + Sync),
) -> Result<Transferred, TransferError> {
    match to.begin_move(&from.address()).await? {
        Begun::Anew | Begun::Again => {}
        Begun::FromElsewhere(source) => return Err(TransferError::Begun(source)),
        Begun::Occupied(tracks) => return Err(TransferError::Occupied(tracks)),
    }
    from.release_orphans().await?;
    let total = from.counts().await?.tracks;
    let mut steps = Steps { told, step: "tracks", done: 0, total };
    remove_strangers(from, to).await?;
    // Only now: a vector that was removed asks for another.
    to.clear_jobs().await?;
    to.want_spaces(from.wanted_spaces().await?).await?;
    to.pause_analysis(from.analysis_paused().await?).await?;
    copy_tracks(from, to, &mut steps).await?;
    let spaces = from.spaces().await?;
    for SpaceSize { space, vectors, .. } in &spaces {
        steps.begin("vectors", *vectors);
        copy_vectors(from, to, space, &mut steps).await?;
    }
    copy_jobs(from, to).await?;
    to.restore_keys(from.keys().await?).await?;

    steps.begin("comparing", total * 2);
    let (source, copied) = (digest::tracks(from, &mut steps).await?, digest::tracks(to, &mut steps).await?);
    let tracks = same("tracks", &source, &copied)?;
    let mut vectors = Vec::new();
    for SpaceSize { space, vectors: held, .. } in spaces {
        steps.begin("comparing vectors", held * 2);
        let source = digest::vectors(from, &space, &mut steps).await?;
        let copied = digest::vectors(to, &space, &mut steps).await?;
        vectors.push((space, same("vectors", &source, &copied)?));
    }
    let jobs = same("jobs", &digest::jobs(from).await?, &digest::jobs(to).await?)?;
    same("keys", &digest::keys(from).await?, &digest::keys(to).await?)?;
    to.end_move(from.last_track_id().await?).await?;
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

/// What an earlier try brought and the source has lost or changed since. A track that changed goes whole: its old path may be
/// another's by now.
async fn remove_strangers(from: &dyn Portable, to: &dyn Portable) -> Result<(), StoreError> {
    let mut after = 0;
    loop {
        let there = to.page(after, 0, BATCH).await?;
        let Some(last) = there.last() else { break };
        after = last.id.get();
        let known = from.tracks(there.iter().map(|track| track.id).collect()).await?;
        let strange: Vec<TrackId> =
            there.into_iter().filter(|track| !known.contains(track)).map(|track| track.id).collect();
        if !strange.is_empty() {
            to.remove(strange, None).await?;
        }
    }
    for SpaceSize { space, .. } in &to.spaces().await? {
        let mut after = 0;
        loop {
            let there = to.vector_fingerprints(space, after, BATCH).await?;
            let Some(last) = there.last() else { break };
            after = last.track_id.get();
            let ids: Vec<TrackId> = there.iter().map(|print| print.track_id).collect();
            let known = from.vectors(space, ids.clone()).await?;
            for id in ids.into_iter().filter(|id| !known.iter().any(|vector| vector.track_id == *id)) {
                to.remove_vector(space, id).await?;
            }
        }
    }
    Ok(())
}

async fn copy_tracks(from: &dyn Portable, to: &dyn Portable, steps: &mut Steps<'_>) -> Result<(), StoreError> {
    let mut after = 0;
    loop {
        let mut page = from.page(after, 0, BATCH).await?;
        let (read, Some(last)) = (page.len(), page.last()) else { return Ok(()) };
        after = last.id.get();
        let there = to.tracks(page.iter().map(|track| track.id).collect()).await?;
        page.retain(|track| !there.iter().any(|known| known.id == track.id));
        to.restore_tracks(page).await?;
        steps.done(read);
    }
}

async fn copy_vectors(
    from: &dyn Portable,
    to: &dyn Portable,
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

async fn copy_jobs(from: &dyn Portable, to: &dyn Portable) -> Result<(), StoreError> {
    let mut after = None;
    loop {
        let mut page = from.jobs(None, after, BATCH).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.job.id.clone());
        page.retain(|job| job.state != JobState::Running);
        to.restore_jobs(page).await?;
    }
}
