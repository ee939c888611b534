//! The composition root: the one place that names the database, the model and the index together.

use std::sync::Arc;

use anyhow::Context;
use soniquebay_domain::{SystemClock, VectorIndex, Vectorizer};
use soniquebay_embed::{InstalledModel, SpaceSettings, TextAndNumbers};
use soniquebay_pipeline::{Worker, WorkerLimits};
use soniquebay_search::{MemoryIndex, Recommender};
use soniquebay_store::sqlite::SqliteStore;

use crate::cli::Cli;
use crate::data_folder::DataFolder;

/// One library, opened: its file, and what makes vectors of it.
pub(crate) struct Library {
    pub(crate) folder: DataFolder,
    pub(crate) store: SqliteStore,
    pub(crate) vectorizer: Arc<dyn Vectorizer>,
}

impl Library {
    pub(crate) async fn open(cli: &Cli) -> anyhow::Result<Self> {
        let folder = DataFolder::open(cli.data.as_deref())?;
        Self::open_in(folder, cli.space_settings()?).await
    }

    pub(crate) async fn open_in(folder: DataFolder, settings: SpaceSettings) -> anyhow::Result<Self> {
        let store = SqliteStore::open(&folder.database(), Arc::new(SystemClock)).await?;
        let vectorizer = vectorizer(&folder, settings)?;
        if store.wanted_space().await?.is_none() {
            store.want_space(vectorizer.space()).await?;
        }
        Ok(Self { folder, store, vectorizer })
    }

    /// Questions answered from memory: for a process that answers many.
    pub(crate) fn recommender_in_memory(&self) -> Recommender {
        self.recommender(Arc::new(MemoryIndex::new(Arc::new(self.store.clone()))))
    }

    /// Questions answered from the file: for a process that answers one.
    pub(crate) fn recommender_on_disk(&self) -> Recommender {
        self.recommender(Arc::new(self.store.vec0_index()))
    }

    fn recommender(&self, index: Arc<dyn VectorIndex>) -> Recommender {
        Recommender {
            catalog: Arc::new(self.store.clone()),
            vectors: Arc::new(self.store.clone()),
            index,
            vectorizer: Arc::clone(&self.vectorizer),
            serving: self.vectorizer.space().clone(),
        }
    }

    /// A worker over this library's jobs.
    pub(crate) fn worker(&self, listener: impl Fn(soniquebay_domain::Progress) + Send + Sync + 'static) -> Arc<Worker> {
        let store = Arc::new(self.store.clone());
        let vectorizer = Arc::clone(&self.vectorizer);
        let limits = WorkerLimits::default();
        Arc::new(Worker::new(store.clone(), store.clone(), store, vectorizer, limits, listener))
    }
}

/// What makes vectors by these settings, with the model of this folder.
pub(crate) fn vectorizer(folder: &DataFolder, settings: SpaceSettings) -> anyhow::Result<Arc<dyn Vectorizer>> {
    let model = Arc::new(InstalledModel::new(folder.model()));
    Ok(Arc::new(TextAndNumbers::new(model, settings).context("these settings name no space")?))
}
