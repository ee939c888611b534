//! Vectors by track and space, and what is nearest.

use std::collections::HashMap;
use std::ops::{Deref, Range};
use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    ContentHash, Facts, Filter, Fingerprint, MetadataHash, Space, StoreError, Timestamp, TrackFields, TrackId, Vector,
    VectorError,
};

/// How far a track's vector in a space is.
#[derive(Clone, Debug, PartialEq)]
pub enum TrackState {
    /// A job waits or runs.
    Pending,
    /// The vector is there and made from what the track is now.
    Ready,
    /// There is a vector, made from what the track was.
    Stale,
    /// Given up.
    Failed {
        /// Why.
        reason: String,
    },
}

/// A vector to store.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorWrite {
    /// Whose.
    pub track_id: TrackId,
    /// In which space.
    pub space: Space,
    /// The numbers, of the space's length.
    pub vector: Vector,
    /// What it was made from; `None` means the track as it stands.
    pub content_hash: Option<ContentHash>,
    /// The track's version then. With [`VectorWrite::told`] for a store that mirrors a library elsewhere.
    pub version: Option<i64>,
    /// What the track is. A mirror keeps it for its filters; a library's own store knows better and looks at neither.
    pub told: Option<Arc<TrackFields>>,
}

impl VectorWrite {
    /// A vector of a track that the store knows itself.
    pub fn new(track_id: TrackId, space: Space, vector: Vector, content_hash: Option<ContentHash>) -> Self {
        Self { track_id, space, vector, content_hash, version: None, told: None }
    }
}

/// A vector as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredVector {
    /// Whose.
    pub track_id: TrackId,
    /// In which space.
    pub space: Space,
    /// The numbers.
    pub vector: Vector,
    /// What it was made from.
    pub content_hash: ContentHash,
    /// The filter data that lies beside it.
    pub metadata_hash: MetadataHash,
    /// When it was made.
    pub updated_at: Timestamp,
}

/// One step of the change log.
#[derive(Clone, Debug)]
pub struct VectorChange {
    /// Grows with each change.
    pub sequence: i64,
    /// Whose.
    pub track_id: TrackId,
    /// What filters ask of the track now, or `None` where its vector is gone.
    pub now: Option<Facts>,
    /// Where its numbers lie among those of all changes.
    pub numbers: Range<usize>,
}

/// Steps of the change log, oldest first. All their vectors are one piece of memory: libraries of millions are read so.
#[derive(Clone, Debug, Default)]
pub struct VectorChanges {
    changes: Vec<VectorChange>,
    numbers: Vec<f32>,
}

impl VectorChanges {
    /// Adds a change after which the track has these numbers and facts.
    ///
    /// # Errors
    /// Where the numbers are no vector. Nothing is added then.
    pub fn stored(
        &mut self,
        sequence: i64,
        track_id: TrackId,
        numbers: impl IntoIterator<Item = f32>,
        facts: Facts,
    ) -> Result<(), VectorError> {
        let start = self.numbers.len();
        self.numbers.extend(numbers);
        if let Err(error) = Vector::check(&self.numbers[start..]) {
            self.numbers.truncate(start);
            return Err(error);
        }
        let numbers = start..self.numbers.len();
        self.changes.push(VectorChange { sequence, track_id, now: Some(facts), numbers });
        Ok(())
    }

    /// Adds a change after which the track has no vector.
    pub fn removed(&mut self, sequence: i64, track_id: TrackId) {
        self.changes.push(VectorChange { sequence, track_id, now: None, numbers: 0..0 });
    }

    /// A change's numbers as they are stored; none where the vector is gone.
    pub fn numbers(&self, change: &VectorChange) -> &[f32] {
        &self.numbers[change.numbers.clone()]
    }

    /// The changes, and the numbers of all.
    pub fn into_parts(self) -> (Vec<VectorChange>, Vec<f32>) {
        (self.changes, self.numbers)
    }
}

impl Deref for VectorChanges {
    type Target = [VectorChange];

    fn deref(&self) -> &[VectorChange] {
        &self.changes
    }
}

/// A space, and how much lies in it.
#[derive(Clone, Debug, PartialEq)]
pub struct SpaceSize {
    /// Which space.
    pub space: Space,
    /// Whether jobs fill it.
    pub wanted: bool,
    /// Vectors in it, whatever they were made from.
    pub vectors: u64,
}

/// How full a space is.
#[derive(Clone, Debug, PartialEq)]
pub struct SpaceCoverage {
    /// Which space.
    pub space: Space,
    /// Whether jobs fill it.
    pub wanted: bool,
    /// Vectors made from what their tracks are now.
    pub ready: u64,
    /// Vectors made from what their tracks were.
    pub stale: u64,
}

/// Vectors to be written and compared, by whoever makes them.
#[async_trait]
pub trait Vectors: Send + Sync {
    /// Creates or replaces vectors, all or none.
    ///
    /// # Errors
    /// [`StoreError::NoTrack`] for the first track that is not in the catalogue, [`StoreError::Outdated`] for the first
    /// that a mirror knows a newer version of.
    async fn put(&self, writes: Vec<VectorWrite>) -> Result<(), StoreError>;

    /// The vectors of these tracks in a space.
    async fn vectors(&self, space: &Space, ids: Vec<TrackId>) -> Result<Vec<StoredVector>, StoreError>;

    /// Up to `limit` fingerprints of a space's vectors with track ids above `after`, by track.
    async fn vector_fingerprints(
        &self,
        space: &Space,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Fingerprint>, StoreError>;

    /// All spaces that hold vectors or are wanted.
    async fn spaces(&self) -> Result<Vec<SpaceSize>, StoreError>;

    /// Which ones those are, without counting.
    async fn space_names(&self) -> Result<Vec<Space>, StoreError> {
        Ok(self.spaces().await?.into_iter().map(|size| size.space).collect())
    }

    /// Forgets copies of tracks that are gone from their library, with their vectors in all spaces; how many there were. In
    /// a library's own store, none: there, vectors go with their tracks.
    async fn forget(&self, ids: Vec<TrackId>) -> Result<usize, StoreError>;
}

/// Vectors by track and space.
#[async_trait]
pub trait VectorStore: Vectors {
    /// Up to `limit` vectors of a space with track ids above `after`, of which the first `skip` are left out.
    async fn vector_page(
        &self,
        space: &Space,
        after: i64,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<StoredVector>, StoreError>;

    /// How much of each space is up to date: every vector is compared with its track, a second for a million.
    async fn coverage(&self) -> Result<Vec<SpaceCoverage>, StoreError>;

    /// Removes a track's vector; whether there was one. A space that jobs fill here is filled again.
    async fn remove_vector(&self, space: &Space, id: TrackId) -> Result<bool, StoreError>;

    /// Forgets a space with all its vectors and jobs; how many vectors there were.
    ///
    /// # Errors
    /// [`StoreError::SpaceWanted`] for one that jobs fill: it would only be filled again.
    async fn drop_space(&self, space: &Space) -> Result<u64, StoreError>;

    /// How far each of these tracks is in a space. Unknown tracks are left out.
    async fn states(&self, space: &Space, ids: Vec<TrackId>) -> Result<Vec<(TrackId, TrackState)>, StoreError>;

    /// Up to `limit` changes after `sequence` in a space, oldest first.
    async fn changes(&self, space: &Space, sequence: i64, limit: usize) -> Result<VectorChanges, StoreError>;
}

/// A track near a query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Which one.
    pub track_id: TrackId,
    /// Cosine similarity, −1 to 1.
    pub score: f32,
}

/// Nearest neighbours under exact filters, in any space that holds vectors.
///
/// Guarantees, held by one contract suite: exactly `k` hits when `k` tracks pass the filter; best first, ties by id;
/// `max_per_artist` keeps the best of each artist; every vector stored before the call is seen.
#[async_trait]
pub trait VectorIndex: Send + Sync {
    /// The `k` tracks that pass `filter` with the highest cosine to `query`. None in a space without vectors or for a
    /// query of another length than the space's.
    async fn search(&self, space: &Space, query: &Vector, k: usize, filter: &Filter) -> Result<Vec<Hit>, StoreError>;

    /// How many changes have gone in, while the index catches up with so many that answers wait for it.
    fn catching_up(&self, _space: &Space) -> Option<usize> {
        None
    }

    /// The vectors of these tracks, made unit, those that are there: as fresh as an answer. `None` where the index has none
    /// at hand, and the store must be asked.
    async fn units(&self, _space: &Space, _ids: &[TrackId]) -> Result<Option<HashMap<TrackId, Vec<f32>>>, StoreError> {
        Ok(None)
    }
}
