//! `soniquebay library`: the tracks, and the word that one of them changed.

use std::sync::Arc;

use anyhow::bail;
use soniquebay_api::{Services, backlog, catalog_check, coverage, queue_check};
use soniquebay_pipeline::reconcile_until;
use soniquebay_search::TrackStates;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::cli::{Cli, RoleArgs};
use crate::commands::serve::RECONCILE_EVERY;
use crate::host::{Host, address, bind, operations};
use crate::library::{Library, Purpose, Remote, missing};

pub(crate) async fn run(cli: &Cli, args: &RoleArgs, stop: &CancellationToken) -> anyhow::Result<()> {
    let address = address(args, 8001)?;
    if cli.services.redis().is_none() && !cli.services.shares_database() {
        bail!(missing("REDIS_URL", "the Redis over which writes are told to the listener"));
    }
    let library = Library::open_for(Purpose::Library, cli).await?;
    let _lock = library.lock("library")?;
    let mut host = Host::new(stop);
    let recommender = Arc::new(library.recommender_on_disk().await?);
    let (catalog, store) = (library.catalog(), library.store.clone());
    let mut standing = coverage(store.clone(), store.clone(), library.preferred().clone());
    let mut vectors: Arc<dyn soniquebay_domain::Vectors> = store.clone();
    if library.is_filled_elsewhere() {
        vectors = Remote::new(&cli.services)?.vectors;
        standing = backlog(Arc::clone(&library.work.queue));
    } else {
        // One database for all: its jobs are made here, with each write and by comparing.
        library.want_spaces().await?;
        let store = store.clone();
        host.run(|stop| async move { reconcile_until(&*store, &Notify::new(), RECONCILE_EVERY, &stop).await });
    }
    let states = TrackStates { vectors, queue: Arc::clone(&library.work.queue), space: library.preferred().clone() };
    let checks = vec![catalog_check(Arc::clone(&catalog)), queue_check(Arc::clone(&library.work.queue))];
    let operations = operations(&library.work, standing, checks, library.counters()?, args.insecure, stop);
    let services = Services {
        catalog,
        vectors: store,
        mirror: false,
        library: None,
        recommender,
        states: Arc::new(states),
        operations,
    };
    host.answer(bind(address).await?, soniquebay_api::library_router(services))?;
    host.wait().await
}
