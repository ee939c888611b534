//! Tracks: the truth that vectors follow.

use async_trait::async_trait;

use crate::{
    ContentHash, FieldError, MetadataHash, Priority, Space, StoreError, StoredVector, Track, TrackFields, TrackId,
    TrackPatch,
};

/// Which track a write is about.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// This one, which must exist.
    Existing {
        /// Which track.
        id: TrackId,
        /// The version it must still have, if the writer asked for that.
        version: Option<i64>,
    },
    /// The one recognised by, in this order: the caller's id; path; MusicBrainz id or ISRC; folded artist, title, album
    /// and duration within 2 s. A new one where none is.
    Recognised {
        /// The caller's id.
        id: Option<TrackId>,
    },
    /// The one whose file this is. A new one where none is: two copies of a song are two tracks.
    File,
}

/// What becomes of the fields that a patch does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteMode {
    /// They stay.
    Merge,
    /// They are unknown now.
    Replace,
}

/// One track to create or change.
#[derive(Clone, Debug, PartialEq)]
pub struct TrackWrite {
    /// Which one.
    pub target: Target,
    /// How the patch meets what is there.
    pub mode: WriteMode,
    /// What is said of it.
    pub patch: TrackPatch,
    /// How soon its vector is wanted.
    pub priority: Priority,
}

/// What a write came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A new track.
    Created,
    /// A known track, changed.
    Updated,
    /// A known track that already was so: no row was touched.
    Unchanged,
}

/// What became of one write in a batch. One refused write does not hold the others back.
#[derive(Clone, Debug, PartialEq)]
pub enum Applied {
    /// Written, or already so.
    Done {
        /// Which track.
        id: TrackId,
        /// What it came to.
        outcome: Outcome,
    },
    /// The fields are not acceptable.
    Refused(FieldError),
    /// [`Target::Existing`] names no track.
    Missing(TrackId),
    /// The track has another version by now.
    Outdated {
        /// Which track.
        id: TrackId,
        /// The version it has.
        version: i64,
    },
}

/// A file as the catalogue remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileState {
    /// The track it holds.
    pub id: TrackId,
    /// Its path.
    pub path: String,
    /// Bytes.
    pub size: Option<i64>,
    /// Nanoseconds since the epoch.
    pub mtime: Option<i64>,
}

/// A track found by the words in its names.
#[derive(Clone, Debug, PartialEq)]
pub struct TextHit {
    /// Which one.
    pub id: TrackId,
    /// 0–1, higher is better; comparable within one answer only.
    pub score: f32,
}

/// How much the catalogue holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CatalogCounts {
    /// Tracks.
    pub tracks: u64,
    /// Different artists, folded.
    pub artists: u64,
}

/// What tells whether a vector is up to date, without the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// Whose.
    pub track_id: TrackId,
    /// Of what vectors are made of.
    pub content_hash: ContentHash,
    /// Of what filters use.
    pub metadata_hash: MetadataHash,
    /// Of its file, in lists of tracks: what vectors of sound are made of.
    pub file_hash: Option<ContentHash>,
}

impl Fingerprint {
    /// What a track's vectors of this space are made of; nothing where there can be none.
    pub fn made_from(&self, space: &Space) -> Option<&ContentHash> {
        if space.is_sound() { self.file_hash.as_ref() } else { Some(&self.content_hash) }
    }
}

impl From<&Track> for Fingerprint {
    fn from(track: &Track) -> Self {
        let (content_hash, metadata_hash) = (track.content_hash.clone(), track.metadata_hash.clone());
        let file_hash = ContentHash::of_file(&track.fields.identity);
        Self { track_id: track.id, content_hash, metadata_hash, file_hash }
    }
}

impl From<&StoredVector> for Fingerprint {
    fn from(stored: &StoredVector) -> Self {
        let (content_hash, metadata_hash) = (stored.content_hash.clone(), stored.metadata_hash.clone());
        Self { track_id: stored.track_id, content_hash, metadata_hash, file_hash: None }
    }
}

/// Tracks to be read, by whoever makes vectors of them.
#[async_trait]
pub trait Tracks: Send + Sync {
    /// The tracks that exist among `ids`, in no order.
    async fn tracks(&self, ids: Vec<TrackId>) -> Result<Vec<Track>, StoreError>;

    /// Up to `limit` fingerprints of tracks with ids above `after`, by id.
    async fn fingerprints(&self, after: i64, limit: usize) -> Result<Vec<Fingerprint>, StoreError>;
}

/// Tracks: the truth that vectors follow.
#[async_trait]
pub trait Catalog: Tracks {
    /// Writes tracks and, in the same transaction, a job for each one whose vectors are to be made anew.
    /// One answer a write, in order.
    async fn apply(&self, writes: Vec<TrackWrite>) -> Result<Vec<Applied>, StoreError>;

    /// Removes tracks with their vectors and jobs, only those of this version where one is named; how many it removed.
    async fn remove(&self, ids: Vec<TrackId>, version: Option<i64>) -> Result<usize, StoreError>;

    /// Up to `limit` tracks with ids above `after`, by id, of which the first `skip` are left out.
    async fn page(&self, after: i64, skip: usize, limit: usize) -> Result<Vec<Track>, StoreError>;

    /// Tracks whose title, artist and album hold these words, best first; forgiving of typing.
    async fn find_text(&self, words: String, limit: usize) -> Result<Vec<TextHit>, StoreError>;

    /// Every file below `folder` that a track is known for.
    async fn files_below(&self, folder: String) -> Result<Vec<FileState>, StoreError>;

    /// Tracks without a file that these fields describe, by MusicBrainz id or ISRC, or folded names and duration.
    async fn without_file(&self, fields: TrackFields) -> Result<Option<TrackId>, StoreError>;

    /// How much there is.
    async fn counts(&self) -> Result<CatalogCounts, StoreError>;
}
