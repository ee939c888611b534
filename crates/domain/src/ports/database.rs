//! One database for everything.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    Analyses, Catalog, EmbeddingCache, JobQueue, Keys, Reconcile, Settlement, Space, StoreError, VectorIndex,
    VectorStore,
};

/// Everything that a library keeps in one database.
#[async_trait]
pub trait Database: Catalog + Analyses + VectorStore + JobQueue + Settlement + Reconcile + Keys {
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
