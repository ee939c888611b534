use std::sync::Arc;

use futures_util::future::BoxFuture;
use soniquebay_domain::{Analyses, Catalog, EventBus, JobQueue, Progress, StoreError, Tracks, VectorStore};
use soniquebay_search::{Recommender, TrackStates};
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::error::ApiError;

/// What the routes about tracks and vectors work with. Cheap to clone.
#[derive(Clone)]
pub struct Services {
    /// The tracks.
    pub catalog: Arc<dyn Catalog>,
    /// Their vectors.
    pub vectors: Arc<dyn VectorStore>,
    /// Whether the tracks are copies of a library's elsewhere, which come with the vectors.
    pub mirror: bool,
    /// That library, to be asked about a track that came without a word on it.
    pub library: Option<Arc<dyn Tracks>>,
    /// What is like what.
    pub recommender: Arc<Recommender>,
    /// How far each track's vector is, where that is known.
    pub states: Option<Arc<TrackStates>>,
    /// How far each track's analysis is, where that is known and files are heard.
    pub sound_states: Option<Arc<TrackStates>>,
    /// What is known of tracks' audio.
    pub analyses: Arc<dyn Analyses>,
    /// What every role answers about itself.
    pub operations: Operations,
}

/// What every role answers about itself. Cheap to clone.
#[derive(Clone)]
pub struct Operations {
    /// The work to be done.
    pub queue: Arc<dyn JobQueue>,
    /// Where long operations say how far they are.
    pub bus: Arc<dyn EventBus>,
    /// How things stand, for whoever begins to listen.
    pub standing: Standing,
    /// What must be well for the role to do its work.
    pub checks: Arc<[Check]>,
    /// What the parts counted, in Prometheus' text format.
    pub counters: Arc<dyn Fn() -> String + Send + Sync>,
    /// Ends the streams of events, which would otherwise hold a shutdown up.
    pub shutdown: CancellationToken,
    /// Who is answered.
    pub access: Arc<Access>,
    /// This program's version, for the API's description.
    pub version: &'static str,
}

/// How far vectorization is now.
pub type Standing = Arc<dyn Fn() -> BoxFuture<'static, Result<Progress, StoreError>> + Send + Sync>;

/// A part that must be well.
#[derive(Clone)]
pub struct Check {
    /// Its name: "queue", "library".
    pub name: &'static str,
    /// Whether it is.
    pub run: Arc<dyn Fn() -> BoxFuture<'static, Result<(), Unwell>> + Send + Sync>,
}

/// What is wrong with a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unwell {
    /// A stable name: "unavailable", "model_missing".
    pub code: &'static str,
    /// What is wrong and what to do.
    pub detail: String,
}

impl<E: Into<ApiError>> From<E> for Unwell {
    fn from(error: E) -> Self {
        let (code, detail) = error.into().told();
        Self { code: code.name(), detail }
    }
}

impl Check {
    /// A check by this name.
    pub fn new<F>(name: &'static str, run: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), Unwell>> + Send + 'static,
    {
        Self { name, run: Arc::new(move || Box::pin(run())) }
    }
}
