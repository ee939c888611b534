use std::sync::Arc;

use soniquebay_domain::{Catalog, JobQueue, Progress, VectorStore, Vectorizer};
use soniquebay_search::Recommender;
use tokio::sync::broadcast;

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
    /// Makes vectors; asked here whether it can.
    pub vectorizer: Arc<dyn Vectorizer>,
    /// Where long operations say how far they are.
    pub progress: broadcast::Sender<Progress>,
    /// This program's version, for the API's description.
    pub version: &'static str,
}
