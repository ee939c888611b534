//! The composition root: the one place that names the database, the models and the index together.

use std::sync::Arc;

use anyhow::Context;
use metrics_exporter_prometheus::PrometheusBuilder;
use soniquebay_domain::{Database, EmbedError, Space, SystemClock, VectorIndex, Vectorizer};
use soniquebay_embed::model_files::ModelFiles;
use soniquebay_pipeline::{Parts, Worker, WorkerLimits};
use soniquebay_search::{MemoryIndex, Recommender, Serving};
use soniquebay_store::sqlite::SqliteStore;

use crate::cli::{Cli, EmbeddingArgs};
use crate::data_folder::DataFolder;
use crate::models::{Models, tell_counters};

/// One library, opened: its file, and what makes vectors of it.
pub(crate) struct Library {
    pub(crate) folder: DataFolder,
    pub(crate) store: Arc<dyn Database>,
    models: Models,
    /// What fills the wanted spaces, the preferred one first.
    wanted: Vec<Arc<dyn Vectorizer>>,
    /// Where to search, if the settings say so.
    serving: Option<Space>,
}

impl Library {
    pub(crate) async fn open(cli: &Cli) -> anyhow::Result<Self> {
        Self::open_in(DataFolder::open(cli.data.as_deref())?, &cli.embedding).await
    }

    pub(crate) async fn open_in(folder: DataFolder, embedding: &EmbeddingArgs) -> anyhow::Result<Self> {
        let files = folder.model();
        Self::open_with(folder, files, embedding).await
    }

    /// A library in one folder, with the model of another.
    pub(crate) async fn open_with(
        folder: DataFolder,
        files: ModelFiles,
        embedding: &EmbeddingArgs,
    ) -> anyhow::Result<Self> {
        let store: Arc<dyn Database> = Arc::new(SqliteStore::open(&folder.database(), Arc::new(SystemClock)).await?);
        let models = Models::new(files, embedding, Some(Arc::clone(&store)));
        let wanted = models.wanted()?;
        let library = Self { folder, store, models, wanted, serving: embedding.serving_space.clone() };
        if library.store.wanted_spaces().await?.is_empty() {
            library.want_spaces().await?;
        }
        Ok(library)
    }

    /// Has jobs fill the spaces of these settings, and no others.
    pub(crate) async fn want_spaces(&self) -> anyhow::Result<()> {
        let spaces = self.wanted.iter().map(|vectorizer| vectorizer.space().clone()).collect();
        Ok(self.store.want_spaces(spaces).await?)
    }

    /// The space that is to answer once it is full.
    pub(crate) fn preferred(&self) -> &Space {
        self.wanted[0].space()
    }

    /// Whether any model can work; of those that cannot, what the preferred one says.
    pub(crate) async fn health(&self) -> Result<(), EmbedError> {
        let mut refused = Ok(());
        for vectorizer in &self.wanted {
            match vectorizer.health().await {
                Ok(()) => return Ok(()),
                Err(error) => refused = refused.and(Err(error)),
            }
        }
        refused
    }

    /// Questions answered from memory: for a process that answers many.
    pub(crate) async fn recommender_in_memory(&self) -> anyhow::Result<Recommender> {
        // Full vectors lie beside the database: the system's folder for temporary files may itself lie in memory.
        let index = MemoryIndex::new(self.store.clone()).in_folder(self.folder.path().to_owned());
        self.recommender(Arc::new(index)).await
    }

    /// Questions answered from the file: for a process that answers one.
    pub(crate) async fn recommender_on_disk(&self) -> anyhow::Result<Recommender> {
        self.recommender(self.store.stored_index()).await
    }

    async fn recommender(&self, index: Arc<dyn VectorIndex>) -> anyhow::Result<Recommender> {
        let mut vectorizers = self.wanted.clone();
        // Spaces of former settings answer until the wanted ones have caught up.
        for coverage in self.store.spaces().await? {
            let is_known = vectorizers.iter().any(|vectorizer| *vectorizer.space() == coverage.space);
            vectorizers.extend(Some(&coverage.space).filter(|_| !is_known).and_then(|space| self.models.of(space)));
        }
        let vectors = self.store.clone();
        let serving = match &self.serving {
            Some(space) => Serving::new(vectors.clone(), space.clone(), Vec::new()),
            None => {
                let mut spaces = vectorizers.iter().map(|vectorizer| vectorizer.space().clone());
                let preferred = spaces.next().unwrap_or_else(|| self.preferred().clone());
                Serving::new(vectors.clone(), preferred, spaces.collect())
            }
        };
        Ok(Recommender { catalog: self.store.clone(), vectors, index, vectorizers, serving })
    }

    /// Counts from now on, and says what was counted, in Prometheus' text format.
    pub(crate) fn counters(&self) -> anyhow::Result<Arc<dyn Fn() -> String + Send + Sync>> {
        let counted = PrometheusBuilder::new().install_recorder().context("nothing can be counted")?;
        let servers = self.models.servers();
        Ok(Arc::new(move || {
            servers.iter().for_each(|server| tell_counters(server));
            counted.render()
        }))
    }

    /// A worker over this library's jobs.
    pub(crate) fn worker(&self, listener: impl Fn(soniquebay_domain::Progress) + Send + Sync + 'static) -> Arc<Worker> {
        let store = self.store.clone();
        let parts = Parts {
            queue: store.clone(),
            settlement: store.clone(),
            tracks: Some(store.clone()),
            vectors: store,
            vectorizers: self.wanted.clone(),
        };
        Arc::new(Worker::new(parts, WorkerLimits::default(), listener))
    }
}
