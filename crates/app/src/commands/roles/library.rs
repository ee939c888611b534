//! `soniquebay library`: the tracks, and the word that one of them changed.

use std::sync::Arc;

use anyhow::bail;
use soniquebay_api::{Services, backlog, catalog_check, coverage, queue_check};
use soniquebay_domain::{Space, Vectors};
use soniquebay_pipeline::reconcile_until;
use soniquebay_search::TrackStates;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::cli::{Cli, RoleArgs};
use crate::commands::serve::RECONCILE_EVERY;
use crate::host::{Host, access, address, bind, operations};
use crate::library::{Library, Purpose};
use crate::workshop::{Remote, missing};

pub(crate) async fn run(cli: &Cli, args: &RoleArgs, stop: &CancellationToken) -> anyhow::Result<()> {
    let address = address(args, 8001);
    if cli.services.redis().is_none() && !cli.services.shares_database() {
        bail!(missing("REDIS_URL", "the Redis over which writes are told to the listener"));
    }
    let is_shared = cli.services.shares_database();
    let purpose = if is_shared { Purpose::Library } else { Purpose::Catalog };
    let library = Library::open_for(purpose, cli).await?;
    let _lock = library.lock("library")?;
    let access = access(&args.access, &[address], &cli.services, Some(library.store.clone())).await?;
    let mut host = Host::new(stop);
    let recommender = Arc::new(library.recommender_on_disk().await?);
    let (catalog, store, queue) = (library.catalog(), library.store.clone(), Arc::clone(&library.work.queue));
    let (vectors, standing): (Option<Arc<dyn Vectors>>, _) = if is_shared {
        // One database for all: its jobs are made here, with each write and by comparing.
        library.want_spaces().await?;
        let compared = store.clone();
        host.run(|stop| async move { reconcile_until(&*compared, &Notify::new(), RECONCILE_EVERY, &stop).await });
        (Some(store.clone()), coverage(store.clone(), store.clone(), library.preferred().clone()))
    } else {
        let elsewhere = cli.services.recommender().map(|_| Remote::new(&cli.services)).transpose()?;
        (elsewhere.map(|remote| remote.vectors), backlog(Arc::clone(&queue)))
    };
    let space = library.preferred().clone();
    let states_in = |space: Space, vectors: Arc<dyn Vectors>| {
        Arc::new(TrackStates { vectors, queue: Arc::clone(&library.work.queue), space })
    };
    let sound_states = vectors.clone().filter(|_| library.hears());
    let sound_states = sound_states.map(|vectors| states_in(library.sound().clone(), vectors));
    let states = vectors.map(|vectors| states_in(space, vectors));
    let checks = vec![catalog_check(Arc::clone(&catalog)), queue_check(queue)];
    let operations = operations(&library.work, standing, checks, library.counters()?, access, stop);
    let services = Services {
        catalog,
        analyses: library.analyses(),
        vectors: store,
        mirror: false,
        library: None,
        recommender,
        states,
        sound_states,
        operations,
    };
    host.answer(bind(address).await?, soniquebay_api::library_router(services), args.access.limits())?;
    host.wait().await
}
