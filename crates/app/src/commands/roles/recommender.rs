//! `soniquebay recommender`: vectors, similar tracks and typed search, with a database of its own or a shared one.

use std::sync::Arc;

use soniquebay_api::{Services, catalog_check, coverage, index_check, model_check, queue_check};
use soniquebay_search::TrackStates;
use tokio_util::sync::CancellationToken;

use crate::cli::{Cli, RoleArgs};
use crate::host::{Host, address, bind, operations};
use crate::library::{self, Library, Purpose};

pub(crate) async fn run(cli: &Cli, args: &RoleArgs, stop: &CancellationToken) -> anyhow::Result<()> {
    let address = address(args, 8002)?;
    // On a database that all share, the tracks are the library's own; a file of ours, or a database beside a library that is
    // asked over HTTP, holds copies.
    let mirror = !cli.services.shares_database() || cli.services.library().is_some();
    let purpose = if mirror { Purpose::Mirror } else { Purpose::Library };
    let library = Library::open_for(purpose, cli).await?;
    let _lock = library.lock("recommender")?;
    library.want_spaces().await?;
    let recommender = library.ready_recommender().await?;

    let (store, queue) = (library.store.clone(), Arc::clone(&library.work.queue));
    let checks = vec![
        catalog_check(store.clone()),
        model_check(recommender.vectorizers.clone()),
        index_check(Arc::clone(&recommender)),
        queue_check(Arc::clone(&queue)),
    ];
    let standing = coverage(store.clone(), store.clone(), library.preferred().clone());
    let operations = operations(&library.work, standing, checks, library.counters()?, args.insecure, stop);
    let states = TrackStates { vectors: store.clone(), queue, space: library.preferred().clone() };
    let services = Services {
        catalog: store.clone(),
        vectors: store,
        mirror,
        library: library::library(&cli.services)?,
        recommender,
        states: Some(Arc::new(states)),
        operations,
    };
    let mut host = Host::new(stop);
    host.answer(bind(address).await?, soniquebay_api::recommender_router(services))?;
    host.wait().await
}
