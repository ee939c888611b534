use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use soniquebay_api::Services;
use soniquebay_domain::{EmbedError, Space, SpaceSize};
use soniquebay_pipeline::{Differed, ListReconciler, Listener, WantedSpaces, reconcile_until};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::cli::{Cli, ServeArgs, ServicesArgs};
use crate::host::{Host, access, bind, services};
use crate::library::Library;

/// How often tracks are compared with their vectors, for what no write told.
pub(crate) const RECONCILE_EVERY: Duration = Duration::from_secs(300);

pub(crate) async fn run(cli: &Cli, args: &ServeArgs, stop: &CancellationToken) -> anyhow::Result<()> {
    cli.services.nobody_else()?;
    let library = Library::open(cli).await?;
    serve(&library, args, &cli.services, stop).await
}

/// The two addresses.
fn addresses(args: &ServeArgs) -> (SocketAddr, Option<SocketAddr>) {
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listen_recommender = match args.listen_recommender {
        Some(asked) => asked.0,
        None => args.listen.is_none().then(|| loopback(8002)),
    };
    (args.listen.unwrap_or_else(|| loopback(8001)), listen_recommender)
}

/// All roles in this process, until told to stop.
pub(crate) async fn serve(
    library: &Library,
    args: &ServeArgs,
    services_args: &ServicesArgs,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let (listen, listen_recommender) = addresses(args);
    let reached: Vec<SocketAddr> = [Some(listen), listen_recommender].into_iter().flatten().collect();
    let access = access(&args.access, &reached, services_args, Some(library.store.clone())).await?;
    let _lock = library.lock("serve")?;
    library.store.release_orphans().await?;
    library.want_spaces().await?;
    if let Err(error @ EmbedError::ModelMissing { .. }) = library.health().await {
        tracing::warn!("{error}; until then no vectors are made, and typed search answers 503");
    }
    let recommender = library.loading_recommender().await?;
    tell_of_other_spaces(library, &recommender.serving.space().await?).await?;

    let services = Services { catalog: library.catalog(), ..services(library, recommender, access, stop)? };
    let mut host = Host::new(stop);
    let (first, second) = (bind(listen).await?, listen_recommender.map(bind));
    host.answer(first, soniquebay_api::combined_router(services.clone()), args.access.limits())?;
    if let Some(second) = second {
        host.answer(second.await?, soniquebay_api::recommender_router(services), args.access.limits())?;
    }
    let progress = host.progress(Arc::clone(&library.work.bus));
    let worker = library.worker(progress);
    host.run(|stop| async move { worker.run(&stop).await });
    let progress = host.progress(Arc::clone(&library.work.bus));
    if let Some(analyst) = library.analyst(progress)? {
        host.run(|stop| async move { analyst.run(&stop).await });
    }
    keep_queued(library, &mut host);
    host.wait().await
}

/// Has every track that needs a vector get a job: by the table in the database alone, or by events and messages.
fn keep_queued(library: &Library, host: &mut Host) {
    let (store, missed) = (library.store.clone(), Arc::new(Notify::new()));
    let Some(node) = library.work.node() else {
        host.run(|stop| async move { reconcile_until(&*store, &missed, RECONCILE_EVERY, &stop).await });
        return;
    };
    host.run(|stop| async move { node.run(&stop).await });
    let queue = Arc::clone(&library.work.queue);
    let wanted = Arc::new(WantedSpaces::new(store.clone(), vec![library.preferred().clone()]));
    let listener = Listener {
        bus: Arc::clone(&library.work.bus),
        queue: Arc::clone(&queue),
        vectors: store.clone(),
        wanted: Arc::clone(&wanted),
        missed: Arc::clone(&missed),
    };
    host.run(|stop| async move { listener.run(&stop).await });
    let (forget_any_number, differed) = (false, Differed::default());
    let reconciler =
        ListReconciler { tracks: store.clone(), vectors: store, queue, wanted, forget_any_number, differed };
    host.run(|stop| async move { reconcile_until(&reconciler, &missed, RECONCILE_EVERY, &stop).await });
}

/// Says which space answers until the wanted one is full, and which ones could be dropped.
async fn tell_of_other_spaces(library: &Library, serving: &Space) -> anyhow::Result<()> {
    let wanted = library.store.wanted_spaces().await?;
    if library.store.space_names().await?.iter().all(|space| wanted.contains(space)) {
        return Ok(()); // A start does not count for nothing.
    }
    for SpaceSize { space, wanted, vectors } in &library.store.spaces().await? {
        if space == serving && space != library.preferred() && !wanted {
            tracing::info!("space {space} answers until {} is as full", library.preferred());
        } else if !wanted && space.model() != "external" {
            tracing::info!(
                "space {space} is not used any more: `soniquebay spaces drop {space}` frees {vectors} vectors"
            );
        }
    }
    Ok(())
}
