use std::sync::Arc;

use soniquebay_domain::{Catalog, JobQueue, Progress, VectorStore};
use soniquebay_search::Recommender;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

/// What the routes work with. Cheap to clone.
#[derive(Clone)]
pub struct Services {
    /// The tracks.
    pub catalog: Arc<dyn Catalog>,
    /// Their vectors.
    pub vectors: Arc<dyn VectorStore>,
    /// The work to be done on them.
    pub queue: Arc<dyn JobQueue>,
    /// What is like what.
    pub recommender: Arc<Recommender>,
    /// Where long operations say how far they are.
    pub progress: broadcast::Sender<Progress>,
    /// What the parts counted, in Prometheus' text format.
    pub counters: Arc<dyn Fn() -> String + Send + Sync>,
    /// Ends the streams of events, which would otherwise hold a shutdown up.
    pub shutdown: CancellationToken,
    /// Answer under any name. Otherwise only under addresses and localhost, so that no page of the internet can have
    /// its own name point here and be taken for one of ours.
    pub any_host: bool,
    /// This program's version, for the API's description.
    pub version: &'static str,
}
