use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use soniquebay_api::{Limits, Services};
use soniquebay_domain::{EmbedError, Filter, Space, Vector};
use soniquebay_pipeline::reconcile_until;
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::cli::{Cli, ServeArgs};
use crate::library::Library;
use crate::progress_log::ProgressLog;

/// How often tracks are compared with their vectors, for what no write told.
const RECONCILE_EVERY: Duration = Duration::from_secs(300);

/// Progress events that a slow listener may lag behind.
const PROGRESS_BACKLOG: usize = 64;

pub(crate) async fn run(cli: &Cli, args: &ServeArgs, stop: &CancellationToken) -> anyhow::Result<()> {
    let (listen, listen_recommender) = addresses(args)?;
    let library = Library::open(cli).await?;
    serve(&library, listen, listen_recommender, args.insecure, stop).await
}

/// The two addresses, checked.
pub(crate) fn addresses(args: &ServeArgs) -> anyhow::Result<(SocketAddr, Option<SocketAddr>)> {
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listen = args.listen.unwrap_or_else(|| loopback(8001));
    let listen_recommender = match args.listen_recommender {
        Some(asked) => asked.0,
        None => args.listen.is_none().then(|| loopback(8002)),
    };
    for address in [Some(listen), listen_recommender].into_iter().flatten() {
        ensure!(
            args.insecure || address.ip().is_loopback(),
            "{address} can be reached from other machines, and there is no access control: put a reverse proxy that asks for \
             a password in front of a loopback address, or say --insecure"
        );
    }
    if args.insecure {
        tracing::warn!("NO ACCESS CONTROL: whoever reaches {listen} can read, change and delete everything");
    }
    Ok((listen, listen_recommender))
}

/// All roles in this process, until told to stop.
pub(crate) async fn serve(
    library: &Library,
    listen: SocketAddr,
    listen_recommender: Option<SocketAddr>,
    any_host: bool,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let _lock = match library.folder.try_lock("serve")? {
        Ok(lock) => lock,
        Err(holder) => bail!(
            "{} works on {} already: stop it first, or choose another folder with --data",
            holder.0,
            library.folder.path().display()
        ),
    };
    library.store.release_orphans().await?;
    library.want_spaces().await?;
    if let Err(error @ EmbedError::ModelMissing { .. }) = library.health().await {
        tracing::warn!("{error}; until then no vectors are made, and typed search answers 503");
    }

    let recommender = Arc::new(library.recommender_in_memory().await?);
    // Loads the index before the first question comes.
    let space = recommender.serving.space().await?;
    let anything = Vector::new(vec![1.0; space.dims()])?;
    recommender.index.search(&space, &anything, 1, &Filter::default()).await?;

    tell_of_other_spaces(library, &space).await?;

    let (progress, _) = broadcast::channel(PROGRESS_BACKLOG);
    let services = Services {
        catalog: library.store.clone(),
        vectors: library.store.clone(),
        mirror: false,
        library: None,
        queue: library.store.clone(),
        recommender,
        progress: progress.clone(),
        counters: library.counters()?,
        shutdown: stop.clone(),
        any_host,
        version: env!("CARGO_PKG_VERSION"),
    };
    let mut servers = vec![(bind(listen).await?, soniquebay_api::combined_router(services.clone()))];
    if let Some(address) = listen_recommender {
        servers.push((bind(address).await?, soniquebay_api::recommender_router(services)));
    }

    let mut tasks = tokio::task::JoinSet::new();
    for (listener, router) in servers {
        let address = listener.local_addr()?;
        tracing::info!("listening on http://{address} (docs at http://{address}/docs)");
        tasks.spawn(soniquebay_api::serve(listener, router, Limits::default(), stop.clone().cancelled_owned()));
    }
    let log = ProgressLog::new();
    let worker = library.worker(move |step| {
        log.hear(&step);
        // Nobody listens most of the time.
        let _ = progress.send(step);
    });
    let until = stop.clone();
    tasks.spawn(async move { worker.run(&until).await });
    let (store, until) = (library.store.clone(), stop.clone());
    tasks.spawn(async move { reconcile_until(&*store, RECONCILE_EVERY, &until).await });
    // A part that ends before it was told to has failed, and must not leave the others half alive.
    while let Some(ended) = tasks.join_next().await {
        let early = !stop.is_cancelled();
        stop.cancel();
        ended.context("a part of the server failed")?;
        ensure!(!early, "a part of the server stopped by itself");
    }
    tracing::info!("stopped");
    Ok(())
}

/// Says which space answers until the wanted one is full, and which ones could be dropped.
async fn tell_of_other_spaces(library: &Library, serving: &Space) -> anyhow::Result<()> {
    for coverage in library.store.spaces().await? {
        let (space, vectors) = (&coverage.space, coverage.ready + coverage.stale);
        if space == serving && space != library.preferred() && !coverage.wanted {
            tracing::info!("space {space} answers until {} is as full", library.preferred());
        } else if !coverage.wanted && space.model() != "external" {
            tracing::info!(
                "space {space} is not used any more: `soniquebay spaces drop {space}` frees {vectors} vectors"
            );
        }
    }
    Ok(())
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("{address} cannot be listened on: is something else there? Choose another with --listen")
    })
}
