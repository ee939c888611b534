//! A process of one or several roles: what listens and what runs, until told to stop.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use axum::Router;
use soniquebay_api::{
    Access, Check, Limits, Operations, Services, Standing, catalog_check, coverage, index_check, model_check,
    queue_check,
};
use soniquebay_domain::{Event, EventBus, Keys, Progress};
use soniquebay_search::{Recommender, TrackStates};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cli::{AccessArgs, RoleArgs, ServicesArgs};
use crate::exit::End;
use crate::library::Library;
use crate::metrics::Counters;
use crate::progress_log::ProgressLog;
use crate::work::Work;

/// Progress that waits to be told. More would be old news.
const PROGRESS_BACKLOG: usize = 16;

/// The parts of a process.
pub(crate) struct Host {
    parts: JoinSet<()>,
    stop: CancellationToken,
}

impl Host {
    pub(crate) fn new(stop: &CancellationToken) -> Self {
        Self { parts: JoinSet::new(), stop: stop.clone() }
    }

    /// Answers at this address.
    pub(crate) fn answer(&mut self, listener: TcpListener, router: Router, limits: Limits) -> anyhow::Result<()> {
        let address = listener.local_addr()?;
        tracing::info!("listening on http://{address} (docs at http://{address}/docs)");
        let stop = self.stop.clone().cancelled_owned();
        self.parts.spawn(soniquebay_api::serve(listener, router, limits, stop));
        Ok(())
    }

    /// Runs a part until told to stop.
    pub(crate) fn run<F>(&mut self, part: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.parts.spawn(part(self.stop.clone()));
    }

    /// What is under way, told to the bus and, now and then, to the log.
    pub(crate) fn progress(&mut self, bus: Arc<dyn EventBus>) -> impl Fn(Progress) + Send + Sync + 'static {
        let (log, told) = (ProgressLog::new(), tell(bus));
        move |step| {
            log.hear(&step);
            told(step);
        }
    }

    /// Waits for the end. A part that ends before it was told to has failed, and must not leave the others half alive.
    pub(crate) async fn wait(mut self) -> anyhow::Result<()> {
        while let Some(ended) = self.parts.join_next().await {
            let early = !self.stop.is_cancelled();
            self.stop.cancel();
            ended.context("a part of the server failed")?;
            ensure!(!early, "a part of the server stopped by itself");
        }
        tracing::info!("stopped");
        Ok(())
    }
}

/// Tells the bus how far a long operation is. Where the bus is slow, the next step says more than this one.
pub(crate) fn tell(bus: Arc<dyn EventBus>) -> impl Fn(Progress) + Send + Sync + 'static {
    let (sender, mut steps) = mpsc::channel(PROGRESS_BACKLOG);
    tokio::spawn(async move {
        while let Some(step) = steps.recv().await {
            if let Err(error) = bus.publish(vec![Event::Progress(step)]).await {
                tracing::debug!(%error, "progress was told to nobody");
            }
        }
    });
    move |step| drop(sender.try_send(step))
}

/// The address that was asked for, or this port of this machine.
pub(crate) fn address(args: &RoleArgs, port: u16) -> SocketAddr {
    args.listen.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

/// Who is answered at these addresses. One that other machines reach needs a way to let somebody in, or the word that
/// everybody is.
pub(crate) async fn access(
    args: &AccessArgs,
    addresses: &[SocketAddr],
    services: &ServicesArgs,
    keys: Option<Arc<dyn Keys>>,
) -> anyhow::Result<Arc<Access>> {
    let settings = args.settings(addresses, services.key(), keys)?;
    if settings.insecure {
        let reached = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
        tracing::warn!("NO ACCESS CONTROL: whoever reaches {reached} can read, change and delete everything");
        return Ok(Access::new(settings));
    }
    let mut is_closed = settings.own_key.is_some() || !settings.trusted_networks.is_empty();
    if let Some(kept) = &settings.keys {
        is_closed |= kept.keys().await?.iter().any(|key| key.revoked_at.is_none());
    }
    if settings.reachable && !is_closed {
        let far = addresses.iter().find(|address| !address.ip().is_loopback()).unwrap_or(&addresses[0]);
        bail!(End::Usage(format!(
            "{far} can be reached from other machines, and nobody there could be let in: make a key with `soniquebay keys \
             create NAME --scope write`, or set SONIQUEBAY_API_KEY; name the networks of callers that cannot send a key with \
             TRUSTED_NETWORKS; or say --insecure to LET EVERYBODY IN"
        )));
    }
    Ok(Access::new(settings))
}

pub(crate) async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("{address} cannot be listened on: is something else there? Choose another with --listen")
    })
}

/// What every role answers about itself.
pub(crate) fn operations(
    work: &Work,
    standing: Standing,
    checks: Vec<Check>,
    counters: Counters,
    access: Arc<Access>,
    stop: &CancellationToken,
) -> Operations {
    Operations {
        queue: Arc::clone(&work.queue),
        bus: Arc::clone(&work.bus),
        standing,
        checks: checks.into(),
        counters,
        shutdown: stop.clone(),
        access,
        version: env!("CARGO_PKG_VERSION"),
    }
}

/// What a role answers that keeps tracks and vectors in one database, a library's own.
pub(crate) fn services(
    library: &Library,
    recommender: Arc<Recommender>,
    access: Arc<Access>,
    stop: &CancellationToken,
) -> anyhow::Result<Services> {
    let (store, queue) = (library.store.clone(), Arc::clone(&library.work.queue));
    let checks = vec![
        catalog_check(store.clone()),
        model_check(recommender.vectorizers.clone()),
        index_check(Arc::clone(&recommender)),
        queue_check(Arc::clone(&queue)),
    ];
    let space = library.preferred().clone();
    let standing = coverage(store.clone(), store.clone(), space.clone());
    Ok(Services {
        catalog: store.clone(),
        vectors: store.clone(),
        mirror: false,
        library: None,
        recommender,
        states: Some(Arc::new(TrackStates { vectors: store.clone(), queue, space })),
        sound_states: library.hears().then(|| {
            let space = library.sound().clone();
            Arc::new(TrackStates { vectors: store, queue: Arc::clone(&library.work.queue), space })
        }),
        analyses: library.analyses(),
        operations: operations(&library.work, standing, checks, library.counters()?, access, stop),
    })
}
