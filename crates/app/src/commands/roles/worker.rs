//! `soniquebay worker`: from jobs to vectors.

use std::sync::Arc;

use soniquebay_api::{Access, admin_router, backlog, model_check, queue_check};
use soniquebay_domain::{Keys, Vectorizer};
use soniquebay_pipeline::Worker;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::listener::{library_check, recommender_check};
use crate::cli::{Cli, WorkerArgs};
use crate::host::{Host, access, address, bind, operations};
use crate::library::{Library, Purpose};
use crate::metrics::Counters;
use crate::work::Work;
use crate::workshop::{Remote, Workshop};

pub(crate) async fn run(cli: &Cli, args: &WorkerArgs, stop: &CancellationToken) -> anyhow::Result<()> {
    let mut host = Host::new(stop);
    if cli.services.shares_database() && cli.services.recommender().is_none() {
        let library = Library::open_for(Purpose::Library, cli).await?;
        let access = admit(cli, args, Some(library.store.clone())).await?;
        let worker = library.worker(host.progress(Arc::clone(&library.work.bus)));
        let analyst = library.analyst(host.progress(Arc::clone(&library.work.bus)))?;
        let workers = std::iter::once(worker).chain(analyst).collect();
        let (wanted, counters) = (library.wanted(), library.counters()?);
        return start(host, args, access, &library.work, wanted, Vec::new(), counters, workers, stop).await;
    }
    let access = admit(cli, args, None).await?;
    let workshop = Workshop::open(cli).await?;
    let remote = Remote::new(&cli.services)?;
    let worker = workshop.worker(&remote, &cli.limits, host.progress(Arc::clone(&workshop.work.bus)))?;
    let analyst = workshop.analyst(&cli.services, &remote, host.progress(Arc::clone(&workshop.work.bus)))?;
    let workers = std::iter::once(worker).chain(analyst).collect();
    if remote.tracks.is_none() {
        tracing::info!("LIBRARY_API_URL is not set: vectors are made of what the messages say");
    }
    let mut checks = vec![recommender_check(Arc::clone(&remote.vectors))];
    checks.extend(remote.tracks.clone().map(library_check));
    let (wanted, counters) = (workshop.wanted.clone(), workshop.counters()?);
    start(host, args, access, &workshop.work, wanted, checks, counters, workers, stop).await
}

async fn admit(cli: &Cli, args: &WorkerArgs, keys: Option<Arc<dyn Keys>>) -> anyhow::Result<Arc<Access>> {
    access(&args.role.access, &[address(&args.role, 8004)], &cli.services, keys).await
}

#[expect(clippy::too_many_arguments, reason = "the parts of one process, put together once")]
async fn start(
    mut host: Host,
    args: &WorkerArgs,
    access: Arc<Access>,
    work: &Work,
    wanted: Vec<Arc<dyn Vectorizer>>,
    mut checks: Vec<soniquebay_api::Check>,
    counters: Counters,
    workers: Vec<Arc<Worker>>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    checks.extend([queue_check(Arc::clone(&work.queue)), model_check(wanted)]);
    let standing = backlog(Arc::clone(&work.queue));
    let operations = operations(work, standing, checks, counters, access, stop);
    host.answer(listen(args).await?, admin_router(operations), args.role.access.limits())?;
    if let Some(node) = work.node() {
        host.run(|stop| async move { node.run(&stop).await });
    }
    for worker in workers {
        host.run(|stop| async move { worker.run(&stop).await });
    }
    host.wait().await
}

/// Of several workers on one machine, each that was given no address finds a port of its own.
async fn listen(args: &WorkerArgs) -> anyhow::Result<TcpListener> {
    let address = address(&args.role, 8004);
    if args.role.listen.is_none()
        && let Err(error) = TcpListener::bind(address).await
        && error.kind() == std::io::ErrorKind::AddrInUse
    {
        return bind((address.ip(), 0).into()).await;
    }
    bind(address).await
}
