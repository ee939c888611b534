//! The composition root: the one place that names databases, brokers, models and the index together.

use std::sync::Arc;

use anyhow::{Context, bail};
use metrics_exporter_prometheus::PrometheusBuilder;
use soniquebay_analysis::{Files, Gate, Pace, SoundMaker};
use soniquebay_broker::RedisClock;
use soniquebay_broker::bus::{LocalBus, PublishingAnalyses, PublishingCatalog, RedisBus};
use soniquebay_broker::celery::{CeleryConfig, CeleryNode, CeleryQueue, CelerySettlement, TwoQueues};
use soniquebay_domain::{
    Analyses, Catalog, Database, EmbedError, EventBus, Filter, JobQueue, Settlement, Space, SystemClock, Tracks,
    Vector, VectorIndex, Vectorizer, Vectors,
};
use soniquebay_embed::model_files::ModelFiles;
use soniquebay_http::{ApiKey, BaseUrl, Http, Settings};
use soniquebay_pipeline::{FromFields, Parts, Worker, WorkerLimits};
use soniquebay_search::{MemoryIndex, Recommender, Serving};
use soniquebay_store::postgres::PostgresStore;
use soniquebay_store::remote::{Patience, RemoteLibrary, RemoteVectors};
use soniquebay_store::sqlite::SqliteStore;

use crate::cli::{AnalysisArgs, Cli, LimitArgs, ServicesArgs};
use crate::data_folder::{DataFolder, RoleLock};
use crate::exit::End;
use crate::models::{Models, tell_counters};
use crate::pace::follow_load;
use crate::shutdown;

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

/// A worker that takes one file a core at a time: what is heard is never far behind, and none waits behind another's.
fn analyst(
    parts: Parts,
    pace: Pace,
    listener: impl Fn(soniquebay_domain::Progress) + Send + Sync + 'static,
) -> Arc<Worker> {
    let limits = WorkerLimits { concurrency: pace.cores, batch: 1, ..WorkerLimits::default() };
    Arc::new(Worker::new(parts, limits, listener).hurried_by(shutdown::hurry()))
}

/// The library from which files are fetched that are not on this machine, where there is one.
fn library_files(services: &ServicesArgs) -> anyhow::Result<Option<Http>> {
    let Some(server) = library_url(services)? else { return Ok(None) };
    let connect = Patience::default().connect;
    Ok(Some(Http::new(Settings { server, api_key: api_key(services)?, connect, idle_connections: 2 })))
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
    let (clock, has_messages) = (Arc::new(SystemClock), services.celery().is_some());
    if services.shares_database() {
        let store = PostgresStore::connect(services.database().unwrap_or_default(), clock).await?;
        return Ok(match purpose {
            Purpose::Mirror => Arc::new(store.mirror()),
            Purpose::Library if !has_messages => Arc::new(store),
            Purpose::Library | Purpose::Catalog => Arc::new(store.without_queue()),
        });
    }
    let path = match services.database() {
        None => folder.database(),
        Some(url) => match url.strip_prefix("sqlite://").filter(|path| !path.is_empty()) {
            Some(path) => path.into(),
            None => {
                let scheme: String = url.split("://").next().unwrap_or_default().chars().take(40).collect();
                let message = format!(
                    "DATABASE_URL: {scheme:?} names no database that is known: write sqlite:///path or \
                     postgres://user:password@host/name"
                );
                return Err(End::Usage(message).into());
            }
        },
    };
    let store = SqliteStore::open(&path, clock).await?;
    Ok(match purpose {
        Purpose::Mirror => Arc::new(store.mirror()),
        Purpose::Library if !has_messages => Arc::new(store),
        Purpose::Library | Purpose::Catalog => Arc::new(store.without_queue()),
    })
}

fn worker(
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

/// Says what was counted, in Prometheus' text format.
pub(crate) type Counters = Arc<dyn Fn() -> String + Send + Sync>;

fn counters(models: &Models) -> anyhow::Result<Counters> {
    let counted = PrometheusBuilder::new().install_recorder().context("nothing can be counted")?;
    let servers = models.servers();
    Ok(Arc::new(move || {
        servers.iter().for_each(|server| tell_counters(server));
        counted.render()
    }))
}

/// Where jobs are, and how parts tell each other what happened.
pub(crate) struct Work {
    pub(crate) queue: Arc<dyn JobQueue>,
    pub(crate) bus: Arc<dyn EventBus>,
    /// The same, where jobs are Celery's messages.
    pub(crate) celery: Option<TwoQueues>,
}

impl Work {
    /// Jobs as Celery's messages on Redis, where the settings say so.
    pub(crate) async fn by_messages(
        services: &ServicesArgs,
        default_space: &Space,
        sound: &Space,
    ) -> anyhow::Result<Option<Self>> {
        let Some((broker, results)) = services.celery() else { return Ok(None) };
        let config =
            CeleryConfig::new(broker, results, default_space.clone()).map_err(|error| End::Usage(error.to_string()))?;
        let clock = RedisClock::new(broker).map_err(|error| End::Usage(error.to_string()))?;
        clock.first_look().await;
        let clock = Arc::new(clock);
        let heard = config.of_analysis(sound.clone());
        let connect =
            |config| CeleryQueue::connect(config, clock.clone()).map_err(|error| End::Usage(error.to_string()));
        let queues = TwoQueues { embedding: connect(config)?, analysis: connect(heard)? };
        Ok(Some(Self { queue: Arc::new(queues.clone()), bus: bus(services)?, celery: Some(queues) }))
    }

    /// Where vectors of what tracks say wait to be made.
    pub(crate) fn embedding(&self) -> Arc<dyn JobQueue> {
        match &self.celery {
            Some(queues) => Arc::new(queues.embedding.clone()),
            None => Arc::clone(&self.queue),
        }
    }

    fn by_table(services: &ServicesArgs, store: Arc<dyn Database>) -> anyhow::Result<Self> {
        Ok(Self { queue: store, bus: bus(services)?, celery: None })
    }

    /// What `celery inspect` and Flower see of this process, where jobs are Celery's messages.
    pub(crate) fn node(&self) -> Option<CeleryNode> {
        self.celery.clone().map(|queues| CeleryNode::new(queues.embedding))
    }
}

fn bus(services: &ServicesArgs) -> anyhow::Result<Arc<dyn EventBus>> {
    Ok(match services.redis() {
        Some(url) => {
            let bus = RedisBus::new(url, Arc::new(SystemClock));
            Arc::new(bus.map_err(|error| End::Usage(format!("REDIS_URL: {error}")))?)
        }
        None => Arc::new(LocalBus::default()),
    })
}

/// The library and the recommender, asked over HTTP.
pub(crate) struct Remote {
    /// `None` where nobody can be asked, and messages say what there is to know.
    pub(crate) tracks: Option<Arc<dyn Tracks>>,
    pub(crate) vectors: Arc<dyn Vectors>,
    /// What is known of audio, where the library can be asked.
    pub(crate) analyses: Option<Arc<dyn Analyses>>,
}

impl Remote {
    pub(crate) fn new(services: &ServicesArgs) -> anyhow::Result<Self> {
        let recommender = services.recommender().ok_or_else(|| missing("RECOMMENDER_API_URL", "the recommender"))?;
        let server =
            BaseUrl::parse(recommender, 8002).map_err(|error| End::Usage(format!("RECOMMENDER_API_URL: {error}")))?;
        let vectors = RemoteVectors::new(server, api_key(services)?, Patience::default());
        let library = remote_library(services)?;
        let tracks = library.clone().map(|library| library as Arc<dyn Tracks>);
        Ok(Self { tracks, vectors: Arc::new(vectors), analyses: library.map(|library| library as _) })
    }
}

/// The library over HTTP, where it is another process.
pub(crate) fn library(services: &ServicesArgs) -> anyhow::Result<Option<Arc<dyn Tracks>>> {
    Ok(remote_library(services)?.map(|library| library as _))
}

fn remote_library(services: &ServicesArgs) -> anyhow::Result<Option<Arc<RemoteLibrary>>> {
    let Some(server) = library_url(services)? else { return Ok(None) };
    Ok(Some(Arc::new(RemoteLibrary::new(server, api_key(services)?, Patience::default()))))
}

fn library_url(services: &ServicesArgs) -> anyhow::Result<Option<BaseUrl>> {
    let url = services.library().map(|url| BaseUrl::parse(url, 8001)).transpose();
    Ok(url.map_err(|error| End::Usage(format!("LIBRARY_API_URL: {error}")))?)
}

fn api_key(services: &ServicesArgs) -> anyhow::Result<Option<ApiKey>> {
    services.key().map(ApiKey::new).transpose().context("SONIQUEBAY_API_KEY")
}

/// A setting without which a role cannot work.
pub(crate) fn missing(setting: &str, what: &str) -> End {
    let such_as = if setting.contains("API_URL") { "http://host:8002" } else { "redis://host:6379/0" };
    End::Usage(format!("{setting} is not set: say where {what} is, such as {such_as}"))
}

/// Models and messages without a database: a worker's.
pub(crate) struct Workshop {
    pub(crate) work: Work,
    pub(crate) wanted: Vec<Arc<dyn Vectorizer>>,
    models: Models,
    analysis: AnalysisArgs,
    /// Where fetched files lie until they were heard.
    folder: DataFolder,
}

impl Workshop {
    pub(crate) async fn open(cli: &Cli) -> anyhow::Result<Self> {
        let folder = DataFolder::open(cli.data.as_deref())?;
        let models = Models::new(folder.model(), &cli.embedding, cli.services.redis(), None);
        let wanted = models.wanted()?;
        let sound = soniquebay_analysis::sound_space()?;
        let work = Work::by_messages(&cli.services, wanted[0].space(), &sound).await?;
        let work = work.ok_or_else(|| missing("REDIS_URL or CELERY_BROKER_URL", "the queue"))?;
        Ok(Self { work, wanted, models, analysis: cli.analysis.clone(), folder })
    }

    pub(crate) fn counters(&self) -> anyhow::Result<Counters> {
        counters(&self.models)
    }

    /// A worker over the messages, with tracks and vectors elsewhere.
    pub(crate) fn worker(
        &self,
        remote: &Remote,
        limits: &LimitArgs,
        listener: impl Fn(soniquebay_domain::Progress) + Send + Sync + 'static,
    ) -> anyhow::Result<Arc<Worker>> {
        let queues = self.queues()?;
        let parts = Parts {
            settlement: Arc::new(CelerySettlement::new(queues.embedding, Arc::clone(&remote.vectors))),
            queue: self.work.embedding(),
            tracks: remote.tracks.clone(),
            vectors: Arc::clone(&remote.vectors),
            makers: FromFields::each(&self.wanted, limits.time_limit()),
        };
        Ok(worker(parts, limits, listener))
    }

    /// A worker that hears the library's files; `None` where that is not for this process, or there is no library to ask.
    pub(crate) fn analyst(
        &self,
        services: &ServicesArgs,
        remote: &Remote,
        listener: impl Fn(soniquebay_domain::Progress) + Send + Sync + 'static,
    ) -> anyhow::Result<Option<Arc<Worker>>> {
        let Some((pace, analyses)) = self.analysis.pace().zip(remote.analyses.clone()) else { return Ok(None) };
        let (queues, vectors) = (self.queues()?, Arc::clone(&remote.vectors));
        let gate = Gate::new(Arc::clone(&analyses), Arc::clone(&self.work.queue), self.wanted.clone());
        let files = Files::new(library_files(services)?, self.folder.path().to_owned());
        let (sound, gate) = (soniquebay_analysis::sound_space()?, gate.at(self.analysis.hours()));
        let maker = SoundMaker::new(sound, files, pace, gate, Arc::clone(&analyses), Arc::clone(&vectors));
        let settlement = CelerySettlement::new(queues.analysis.clone(), Arc::clone(&vectors));
        let parts = Parts {
            queue: Arc::new(queues.analysis),
            settlement: Arc::new(settlement.with_analyses(analyses)),
            tracks: remote.tracks.clone(),
            vectors,
            makers: vec![Arc::new(maker)],
        };
        Ok(Some(analyst(parts, pace, listener)))
    }

    fn queues(&self) -> anyhow::Result<TwoQueues> {
        Ok(self.work.celery.clone().ok_or_else(|| missing("REDIS_URL or CELERY_BROKER_URL", "the queue"))?)
    }
}
