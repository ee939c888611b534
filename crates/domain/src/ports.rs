//! The seams between the parts. Each trait has at least two real implementations or stands for a remote service.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use crate::{
    ContentHash, Discarded, Facts, FieldError, Filter, JobId, JobState, JobSummary, Lease, MetadataHash, NewJob,
    Priority, Setback, Space, Timestamp, Track, TrackFields, TrackId, TrackPatch, Vector,
};

/// Why a store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk, the file or the server does not let us.
    #[error("the database cannot be used: {0}")]
    Unavailable(String),
    /// More is asked at once than is done: come back later.
    #[error("the database is busy; try again in a moment")]
    Overloaded,
    /// A newer SoniqueBay wrote this database.
    #[error("the database has format {found}, this version knows up to {supported}: use the newer SoniqueBay")]
    Newer {
        /// The format found.
        found: i64,
        /// The newest one known here.
        supported: i64,
    },
    /// A stored value cannot be read.
    #[error("{table} {row}: {column} cannot be read")]
    Corrupt {
        /// Where it lies.
        table: &'static str,
        /// Which row.
        row: String,
        /// Which column.
        column: &'static str,
    },
    /// The track is not in the catalogue.
    #[error("there is no track {0}")]
    NoTrack(TrackId),
    /// The vector was made from an older version of the track than the one that is known.
    #[error("track {0} has a newer version")]
    Outdated(TrackId),
    /// Each space costs an index: there is a bound.
    #[error("there are {0} spaces already, and no more are kept: store vectors in one of them")]
    TooManySpaces(usize),
    /// A space that jobs fill is not dropped.
    #[error("space {0} is the one that the settings ask for: it is kept")]
    SpaceWanted(Space),
}

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
}

impl From<&Track> for Fingerprint {
    fn from(track: &Track) -> Self {
        let (content_hash, metadata_hash) = (track.content_hash.clone(), track.metadata_hash.clone());
        Self { track_id: track.id, content_hash, metadata_hash }
    }
}

impl From<&StoredVector> for Fingerprint {
    fn from(stored: &StoredVector) -> Self {
        let (content_hash, metadata_hash) = (stored.content_hash.clone(), stored.metadata_hash.clone());
        Self { track_id: stored.track_id, content_hash, metadata_hash }
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

    /// Removes tracks with their vectors and jobs; how many were there.
    async fn remove(&self, ids: Vec<TrackId>) -> Result<usize, StoreError>;

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

/// One step of the change log: the vector now, or `None` where it is gone.
#[derive(Clone, Debug)]
pub struct VectorChange {
    /// Grows with each change.
    pub sequence: i64,
    /// Whose.
    pub track_id: TrackId,
    /// The numbers and what filters ask of the track, or nothing.
    pub now: Option<(Vector, Facts)>,
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
    async fn spaces(&self) -> Result<Vec<SpaceCoverage>, StoreError>;

    /// Forgets tracks that are gone, with their vectors in all spaces; how many there were.
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

    /// Removes a track's vector; whether there was one.
    async fn remove_vector(&self, space: &Space, id: TrackId) -> Result<bool, StoreError>;

    /// Forgets a space with all its vectors and jobs; how many vectors there were.
    ///
    /// # Errors
    /// [`StoreError::SpaceWanted`] for one that jobs fill: it would only be filled again.
    async fn drop_space(&self, space: &Space) -> Result<u64, StoreError>;

    /// How far each of these tracks is in a space. Unknown tracks are left out.
    async fn states(&self, space: &Space, ids: Vec<TrackId>) -> Result<Vec<(TrackId, TrackState)>, StoreError>;

    /// Up to `limit` changes after `sequence` in a space, oldest first.
    async fn changes(&self, space: &Space, sequence: i64, limit: usize) -> Result<Vec<VectorChange>, StoreError>;
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
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq)]
pub struct SettledJob {
    /// The claim that is settled.
    pub lease: Lease,
    /// The vector, nothing more to do, or a setback.
    pub result: Result<Option<VectorWrite>, Setback>,
}

/// Finishing jobs together with what they made.
#[async_trait]
pub trait Settlement: Send + Sync {
    /// Stores vectors and finishes their jobs in one step. A vector whose track changed meanwhile or is gone is not
    /// stored; a lease that was lost changes nothing. How many leases still held.
    async fn settle(&self, jobs: Vec<SettledJob>) -> Result<usize, StoreError>;
}

/// How many jobs there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobCounts {
    /// Claimable now.
    pub available: u64,
    /// Waiting for a moment in the future.
    pub scheduled: u64,
    /// Claimed.
    pub running: u64,
    /// Given up.
    pub discarded: u64,
}

/// Work to be done, leased and never lost.
#[async_trait]
pub trait JobQueue: Send + Sync {
    /// Queues jobs; how many are new. One that waits already for the same track and space stands for the new one too, at
    /// the higher of both priorities; an earlier failure is forgotten.
    async fn enqueue(&self, jobs: Vec<NewJob>) -> Result<usize, StoreError>;

    /// Claims up to `limit` jobs of a space for `lease`, by priority and age. Jobs whose lease ran out are claimable again.
    async fn claim(&self, space: &Space, limit: usize, lease: Duration) -> Result<Vec<Lease>, StoreError>;

    /// Asks for more time; the leases that are still held, with their new ends.
    async fn extend(&self, leases: Vec<Lease>, by: Duration) -> Result<Vec<Lease>, StoreError>;

    /// Gives jobs back untouched, for instance at shutdown.
    async fn release(&self, leases: Vec<Lease>) -> Result<(), StoreError>;

    /// Resolves when new work may be there, after `at_most` in any case. A hint: it may come late or for nothing.
    async fn wait(&self, at_most: Duration);

    /// How many there are.
    async fn job_counts(&self) -> Result<JobCounts, StoreError>;

    /// Up to `limit` jobs of one state or of all, in the queue's order, those up to `after` left out.
    async fn jobs(
        &self,
        state: Option<JobState>,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<Vec<JobSummary>, StoreError>;

    /// One job.
    async fn job(&self, id: &JobId) -> Result<Option<JobSummary>, StoreError>;

    /// Gives a job up for good, running or not: what its holder still settles changes nothing, and only a change of the
    /// track or a retry brings it back. Whether there was one to give up.
    async fn cancel(&self, id: &JobId) -> Result<bool, StoreError>;

    /// Makes discarded jobs claimable again, with fresh attempts; how many.
    async fn retry(&self, which: Discarded) -> Result<usize, StoreError>;

    /// Why jobs of these tracks in this space were given up, for those that were.
    async fn failures(&self, space: &Space, ids: Vec<TrackId>) -> Result<Vec<(TrackId, String)>, StoreError>;
}

/// Finds what no event told.
#[async_trait]
pub trait Reconcile: Send + Sync {
    /// Makes jobs for tracks whose vector in a wanted space is missing or stale and that have none; how many.
    async fn reconcile(&self) -> Result<usize, StoreError>;
}

/// Everything that a library keeps in one database.
#[async_trait]
pub trait Database: Catalog + VectorStore + JobQueue + Settlement + Reconcile {
    /// Makes these the spaces that jobs fill; vectors of other spaces stay. The reconciler then makes the jobs.
    async fn want_spaces(&self, wanted: Vec<Space>) -> Result<(), StoreError>;

    /// The spaces that jobs fill: none in a database that has just been made.
    async fn wanted_spaces(&self) -> Result<Vec<Space>, StoreError>;

    /// Gives back the jobs that were running in processes which are gone, where that can be known; how many.
    async fn release_orphans(&self) -> Result<usize, StoreError>;

    /// Embeddings of texts remembered here, up to so many.
    fn embedding_cache(&self, entries: usize) -> Arc<dyn EmbeddingCache>;

    /// The index that lies in the database itself, for questions that come one at a time.
    fn stored_index(&self) -> Arc<dyn VectorIndex>;
}

/// What a text is embedded for: some models embed queries and documents differently, and queries go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A track that is stored.
    Document,
    /// Words that somebody typed and waits for.
    Query,
}

/// Why texts were not embedded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmbedError {
    /// The model's files are not there.
    #[error("the model {model} is not installed; fetch it with `soniquebay model pull`")]
    ModelMissing {
        /// Which model.
        model: String,
    },
    /// The service or the engine is away.
    #[error("the embedding service is not available: {0}")]
    Unavailable(String),
    /// More is asked at once than is done.
    #[error("too many texts wait to be embedded; try again in a moment")]
    Overloaded,
    /// This batch cannot be embedded; another may.
    #[error("the embedding failed: {0}")]
    Failed(String),
    /// This text, which was alone, will never be embedded.
    #[error("the text cannot be embedded: {0}")]
    Refused(String),
}

/// Turns texts into unit vectors of one model.
///
/// Invariant: one vector a text, in input order, all of `dims()` and of length 1.
#[async_trait]
pub trait Embedder: Send + Sync {
    /// The model, as EMBEDDING_MODEL spells it.
    fn model(&self) -> &str;

    /// Length of its vectors.
    fn dims(&self) -> usize;

    /// Whether it can work now. Always so where nothing says otherwise.
    async fn health(&self) -> Result<(), EmbedError> {
        Ok(())
    }

    /// How many texts it takes on together; more are asked for bit by bit. A caller that remembers what it was answered so
    /// loses less when one text spoils the rest.
    fn texts_at_once(&self) -> usize {
        usize::MAX
    }

    /// One unit vector a text.
    async fn embed(&self, texts: Vec<String>, purpose: Purpose) -> Result<Vec<Vec<f32>>, EmbedError>;
}

/// What a text's vector is kept by: SHA-256 over all that decides it.
pub type TextKey = [u8; 32];

/// Vectors of texts that were embedded before. Bounded; may forget anything at any time.
#[async_trait]
pub trait EmbeddingCache: Send + Sync {
    /// What is known, one answer a key, in order.
    async fn get(&self, keys: Vec<TextKey>) -> Result<Vec<Option<Vec<f32>>>, StoreError>;

    /// Remembers, as long as there is room.
    async fn put(&self, entries: Vec<(TextKey, Vec<f32>)>) -> Result<(), StoreError>;
}

/// Makes the vectors of one space, from tracks and from typed words.
#[async_trait]
pub trait Vectorizer: Send + Sync {
    /// The space its vectors lie in.
    fn space(&self) -> &Space;

    /// How many leading numbers of a vector come from words; the rest are measured numbers.
    fn text_dims(&self) -> usize;

    /// One vector a track, in order.
    async fn vectorize(&self, tracks: Vec<TrackFields>) -> Result<Vec<Vector>, EmbedError>;

    /// The vector of typed words.
    async fn vectorize_query(&self, words: String) -> Result<Vector, EmbedError>;

    /// Whether it can work now.
    async fn health(&self) -> Result<(), EmbedError>;
}

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
}
