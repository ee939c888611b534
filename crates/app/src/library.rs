//! The composition root: the one place that names databases, brokers, models and the index together.

use std::sync::Arc;

use anyhow::bail;
use soniquebay_analysis::{Files, Gate, SoundMaker};
use soniquebay_broker::bus::{PublishingAnalyses, PublishingCatalog};
use soniquebay_broker::celery::CelerySettlement;
use soniquebay_domain::{
    Analyses, Catalog, Database, EmbedError, Filter, JobQueue, Settlement, Space, SystemClock, Vector, VectorIndex,
    Vectorizer,
};
use soniquebay_embed::model_files::ModelFiles;
use soniquebay_pipeline::{FromFields, Parts, Worker};
use soniquebay_search::{MemoryIndex, Recommender, Serving};
use soniquebay_store::postgres::PostgresStore;
use soniquebay_store::sqlite::SqliteStore;

use crate::cli::{AnalysisArgs, Cli, LimitArgs, ServicesArgs};
use crate::data_folder::{DataFolder, RoleLock};
use crate::metrics::{self, Counters};
use crate::models::{Models, tell_counters};
use crate::pace::follow_load;
use crate::place::Place;
use crate::shutdown;
use crate::work::Work;
use crate::workshop::{analyst, library_files};

/// What a database is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A library: the catalogue, its vectors, and the table of jobs where jobs are no messages.
    Library,
    /// A library whose vectors are kept by another process, which hears of its tracks by events alone.
    Catalog,
    /// A recommender whose tracks are copies of a library's elsewhere.
    Mirror,
}

/// One library, opened: its database, its jobs, and what makes vectors of it.
pub(crate) struct Library {
    pub(crate) folder: DataFolder,
    pub(crate) store: Arc<dyn Database>,
    pub(crate) work: Work,
    services: ServicesArgs,
    models: Models,
    /// What fills the wanted spaces, the preferred one first.
    wanted: Vec<Arc<dyn Vectorizer>>,
    limits: LimitArgs,
    /// Where to search, if the settings say so.
    serving: Option<Space>,
    analysis: AnalysisArgs,
    /// The space of what files sound like.
    sound: Space,
}

impl Library {
    pub(crate) async fn open(cli: &Cli) -> anyhow::Result<Self> {
        Self::open_for(Purpose::Library, cli).await
    }

    pub(crate) async fn open_for(purpose: Purpose, cli: &Cli) -> anyhow::Result<Self> {
        let folder = DataFolder::open(cli.data.as_deref())?;
        let files = folder.model();
        let services = match purpose {
            Purpose::Library => cli.services.clone(),
            Purpose::Catalog | Purpose::Mirror => cli.services.of_services(),
        };
        Self::open_with(purpose, folder, files, cli, &services).await
    }

    /// A library in one folder and nowhere else, with the model of another.
    pub(crate) async fn open_alone(folder: DataFolder, files: ModelFiles, cli: &Cli) -> anyhow::Result<Self> {
        Self::open_with(Purpose::Library, folder, files, cli, &ServicesArgs::default()).await
    }

    async fn open_with(
        purpose: Purpose,
        folder: DataFolder,
        files: ModelFiles,
        cli: &Cli,
        services: &ServicesArgs,
    ) -> anyhow::Result<Self> {
        let (analysis, sound) = (cli.analysis.clone(), soniquebay_analysis::sound_space()?);
        let store = open_database(purpose, &folder, services).await?;
        let models = Models::new(files, &cli.embedding, services.redis(), Some(Arc::clone(&store)));
        let wanted = models.wanted()?;
        let work = match Work::by_messages(services, wanted[0].space(), &sound).await? {
            Some(work) => work,
            None => Work::by_table(services, Arc::clone(&store))?,
        };
        let (services, serving) = (services.clone(), cli.embedding.serving_space.clone());
        let limits = cli.limits.clone();
        let library = Self { folder, store, work, services, models, wanted, limits, serving, analysis, sound };
        // Where the vectors are another's, so is the word on which are wanted.
        let is_ours = purpose != Purpose::Catalog && !library.is_filled_elsewhere();
        if is_ours && library.store.wanted_spaces().await?.is_empty() {
            library.want_spaces().await?;
        }
        Ok(library)
    }

    /// Has jobs fill the spaces of these settings, and no others.
    pub(crate) async fn want_spaces(&self) -> anyhow::Result<()> {
        let spaces = self.wanted.iter().map(|vectorizer| vectorizer.space().clone());
        let sound = self.analysis.is_on().then(|| self.sound.clone());
        Ok(self.store.want_spaces(spaces.chain(sound).collect()).await?)
    }

    /// The space of what files sound like.
    pub(crate) fn sound(&self) -> &Space {
        &self.sound
    }

    /// Whether files are to be heard, here or elsewhere.
    pub(crate) fn hears(&self) -> bool {
        self.analysis.is_on()
    }

    /// What is known of tracks' audio, with changes told to whoever listens beyond this database.
    pub(crate) fn analyses(&self) -> Arc<dyn Analyses> {
        match self.tells_others() {
            true => {
                Arc::new(PublishingAnalyses::new(self.store.clone(), self.store.clone(), Arc::clone(&self.work.bus)))
            }
            false => self.store.clone(),
        }
    }

    /// Whether others than this database hear of writes.
    fn tells_others(&self) -> bool {
        self.work.celery.is_some() || self.services.redis().is_some()
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

    /// Whether the vectors of this library's tracks are made by other processes, which hear of them by events alone.
    pub(crate) fn is_filled_elsewhere(&self) -> bool {
        self.services.recommender().is_some() && !self.services.shares_database()
    }

    /// What makes the vectors, the preferred space's first.
    pub(crate) fn wanted(&self) -> Vec<Arc<dyn Vectorizer>> {
        self.wanted.clone()
    }

    /// The one place of a long-running role on this file; `None` on a database that several machines share.
    pub(crate) fn lock(&self, role: &str) -> anyhow::Result<Option<RoleLock>> {
        if self.services.shares_database() {
            return Ok(None);
        }
        match self.folder.try_lock(role)? {
            Ok(lock) => Ok(Some(lock)),
            Err(holder) => bail!(
                "{} works on {} already: stop it first, or choose another folder with --data",
                holder.0,
                self.folder.path().display()
            ),
        }
    }

    /// The tracks, with writes told to whoever listens beyond this database.
    pub(crate) fn catalog(&self) -> Arc<dyn Catalog> {
        let store: Arc<dyn Catalog> = self.store.clone();
        match self.tells_others() {
            true => Arc::new(PublishingCatalog::new(store, Arc::clone(&self.work.bus))),
            false => store,
        }
    }

    /// Questions answered from memory: for a process that answers many.
    pub(crate) async fn recommender_in_memory(&self) -> anyhow::Result<Recommender> {
        // Full vectors lie beside the database: the system's folder for temporary files may itself lie in memory.
        let index = MemoryIndex::new(self.store.clone()).in_folder(self.folder.path().to_owned());
        self.recommender(Arc::new(index)).await
    }

    /// The same, with the index loaded from now on: `/readyz` tells how far that is, and questions wait for it.
    pub(crate) async fn loading_recommender(&self) -> anyhow::Result<Arc<Recommender>> {
        let recommender = Arc::new(self.recommender_in_memory().await?);
        let (space, loading) = (recommender.serving.space().await?, Arc::clone(&recommender));
        let anything = Vector::new(vec![1.0; space.dims()])?;
        tokio::spawn(async move {
            if let Err(error) = loading.index.search(&space, &anything, 1, &Filter::default()).await {
                tracing::warn!(%space, %error, "The index is not loaded; the next question tries again");
            }
        });
        Ok(recommender)
    }

    /// Questions answered from the database: for a process that answers one.
    pub(crate) async fn recommender_on_disk(&self) -> anyhow::Result<Recommender> {
        self.recommender(self.store.stored_index()).await
    }

    async fn recommender(&self, index: Arc<dyn VectorIndex>) -> anyhow::Result<Recommender> {
        let mut vectorizers = self.wanted.clone();
        // Spaces of former settings answer until the wanted ones have caught up.
        for space in self.store.space_names().await? {
            let is_known = vectorizers.iter().any(|vectorizer| *vectorizer.space() == space);
            vectorizers.extend(Some(&space).filter(|_| !is_known).and_then(|space| self.models.of(space)));
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
        Ok(Recommender {
            catalog: self.store.clone(),
            vectors,
            index,
            vectorizers,
            serving,
            sound: Some(self.sound.clone()),
        })
    }

    /// What counts from now on, and says what was counted.
    pub(crate) fn counters(&self) -> anyhow::Result<Counters> {
        counters(&self.models)
    }

    /// A worker over this library's jobs.
    pub(crate) fn worker(&self, listener: impl Fn(soniquebay_domain::Progress) + Send + Sync + 'static) -> Arc<Worker> {
        let store = self.store.clone();
        let settlement: Arc<dyn Settlement> = match &self.work.celery {
            Some(queues) => Arc::new(CelerySettlement::new(queues.embedding.clone(), store.clone())),
            None => store.clone(),
        };
        let parts = Parts {
            queue: self.work.embedding(),
            settlement,
            tracks: Some(store.clone()),
            vectors: store,
            makers: FromFields::each(&self.wanted, self.limits.time_limit()),
        };
        worker(parts, &self.limits, listener)
    }

    /// A worker that hears this library's files; `None` where that is not for this process.
    ///
    /// # Errors
    /// Where the settings of the library, from which files are fetched, are wrong.
    pub(crate) fn analyst(
        &self,
        listener: impl Fn(soniquebay_domain::Progress) + Send + Sync + 'static,
    ) -> anyhow::Result<Option<Arc<Worker>>> {
        let Some(pace) = self.analysis.pace() else { return Ok(None) };
        let (store, analyses) = (self.store.clone(), self.analyses());
        let (queue, settlement): (Arc<dyn JobQueue>, Arc<dyn Settlement>) = match &self.work.celery {
            Some(queues) => {
                let settlement = CelerySettlement::new(queues.analysis.clone(), store.clone());
                (Arc::new(queues.analysis.clone()), Arc::new(settlement.with_analyses(Arc::clone(&analyses))))
            }
            None => (store.clone(), store.clone()),
        };
        let gate = Gate::new(Arc::clone(&analyses), Arc::clone(&self.work.queue), self.wanted.clone());
        let files = Files::new(library_files(&self.services)?, self.folder.path().to_owned());
        let gate = gate.at(self.analysis.hours());
        let maker = SoundMaker::new(self.sound.clone(), files, pace, gate, analyses, store.clone());
        let parts =
            Parts { queue, settlement, tracks: Some(store.clone()), vectors: store, makers: vec![Arc::new(maker)] };
        Ok(Some(analyst(parts, pace, listener)))
    }
}

/// The database alone, for a command that needs nothing else.
pub(crate) async fn database(cli: &Cli) -> anyhow::Result<Arc<dyn Database>> {
    let folder = DataFolder::open(cli.data.as_deref())?;
    open_database(Purpose::Library, &folder, &cli.services).await
}

async fn open_database(
    purpose: Purpose,
    folder: &DataFolder,
    services: &ServicesArgs,
) -> anyhow::Result<Arc<dyn Database>> {
    let has_messages = services.celery().is_some();
    Ok(match Place::of(services, folder)? {
        Place::Server(url) => {
            let store = PostgresStore::connect_by_its_time(&url).await?;
            match purpose {
                Purpose::Mirror => Arc::new(store.mirror()),
                Purpose::Library if !has_messages => Arc::new(store),
                Purpose::Library | Purpose::Catalog => Arc::new(store.without_queue()),
            }
        }
        Place::File(path) => {
            let store = SqliteStore::open(&path, Arc::new(SystemClock)).await?;
            match purpose {
                Purpose::Mirror => Arc::new(store.mirror()),
                Purpose::Library if !has_messages => Arc::new(store),
                Purpose::Library | Purpose::Catalog => Arc::new(store.without_queue()),
            }
        }
    })
}

pub(crate) fn worker(
    parts: Parts,
    limits: &LimitArgs,
    listener: impl Fn(soniquebay_domain::Progress) + Send + Sync + 'static,
) -> Arc<Worker> {
    let worker = Worker::new(parts, limits.of_worker(), listener).hurried_by(shutdown::hurry());
    Arc::new(match limits.by_load() {
        Some((least, most)) => worker.paced_by(follow_load(least, most)),
        None => worker,
    })
}

pub(crate) fn counters(models: &Models) -> anyhow::Result<Counters> {
    let servers = models.servers();
    metrics::start(move || servers.iter().for_each(|server| tell_counters(server)))
}
