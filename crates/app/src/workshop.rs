//! What works without a database of its own: models and messages here, tracks and vectors at other processes.

use std::sync::Arc;

use anyhow::Context;
use soniquebay_analysis::{Files, Gate, Pace, SoundMaker};
use soniquebay_broker::celery::{CelerySettlement, TwoQueues};
use soniquebay_domain::{Analyses, Tracks, Vectorizer, Vectors};
use soniquebay_http::{ApiKey, BaseUrl, Http, Settings};
use soniquebay_pipeline::{FromFields, Parts, Worker, WorkerLimits};
use soniquebay_store::remote::{Patience, RemoteLibrary, RemoteVectors};

use crate::cli::{AnalysisArgs, Cli, LimitArgs, ServicesArgs};
use crate::data_folder::DataFolder;
use crate::exit::End;
use crate::library::{counters, worker};
use crate::metrics::Counters;
use crate::models::Models;
use crate::shutdown;
use crate::work::Work;

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
        let work = Work::by_messages(&cli.services.of_services(), wanted[0].space(), &sound).await?;
        let work = work.ok_or_else(|| {
            missing("REDIS_URL or CELERY_BROKER_URL, or DATABASE_URL of a PostgreSQL that all share,", "the queue")
        })?;
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

/// A worker that takes one file a core at a time: what is heard is never far behind, and none waits behind another's.
pub(crate) fn analyst(
    parts: Parts,
    pace: Pace,
    listener: impl Fn(soniquebay_domain::Progress) + Send + Sync + 'static,
) -> Arc<Worker> {
    let limits = WorkerLimits { concurrency: pace.cores, batch: 1, ..WorkerLimits::default() };
    Arc::new(Worker::new(parts, limits, listener).hurried_by(shutdown::hurry()))
}

/// The library from which files are fetched that are not on this machine, where there is one.
pub(crate) fn library_files(services: &ServicesArgs) -> anyhow::Result<Option<Http>> {
    let Some(server) = library_url(services)? else { return Ok(None) };
    let connect = Patience::default().connect;
    Ok(Some(Http::new(Settings { server, api_key: api_key(services)?, connect, idle_connections: 2 })))
}
