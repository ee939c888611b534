//! `soniquebay listener`: from events to jobs, and what no event told.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use soniquebay_api::{Check, Unwell, backlog, queue_check};
use soniquebay_domain::{StoreError, Tracks, Vectors};
use soniquebay_pipeline::{Differed, ListReconciler, Listener, WantedSpaces, reconcile_until};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::cli::{Cli, ListenerArgs};
use crate::host::{Host, access, address, bind, operations};
use crate::workshop::{Remote, Workshop, missing};

pub(crate) async fn run(cli: &Cli, args: &ListenerArgs, stop: &CancellationToken) -> anyhow::Result<()> {
    let address = address(&args.role, 8003);
    let access = access(&args.role.access, &[address], &cli.services, None).await?;
    if cli.services.redis().is_none() {
        bail!(missing("REDIS_URL", "the Redis over which the library tells of its writes"));
    }
    let remote = Remote::new(&cli.services)?;
    let workshop = Workshop::open(cli).await?;
    let tracks = remote.tracks.ok_or_else(|| missing("LIBRARY_API_URL", "the library"))?;
    let (vectors, queue) = (remote.vectors, Arc::clone(&workshop.work.queue));
    let otherwise = workshop.wanted.iter().map(|vectorizer| vectorizer.space().clone()).collect();
    let wanted = Arc::new(WantedSpaces::new(Arc::clone(&vectors), otherwise));
    let missed = Arc::new(Notify::new());

    let checks = vec![
        queue_check(Arc::clone(&queue)),
        library_check(Arc::clone(&tracks)),
        recommender_check(Arc::clone(&vectors)),
    ];
    let standing = backlog(Arc::clone(&queue));
    let operations = operations(&workshop.work, standing, checks, workshop.counters()?, access, stop);
    let mut host = Host::new(stop);
    host.answer(bind(address).await?, soniquebay_api::admin_router(operations), args.role.access.limits())?;
    let listener = Listener {
        bus: Arc::clone(&workshop.work.bus),
        queue: Arc::clone(&queue),
        vectors: Arc::clone(&vectors),
        wanted: Arc::clone(&wanted),
        missed: Arc::clone(&missed),
    };
    host.run(|stop| async move { listener.run(&stop).await });
    let forget_any_number = args.forget_any_number;
    let reconciler =
        ListReconciler { tracks, vectors, queue, wanted, forget_any_number, differed: Differed::default() };
    let every = Duration::from_secs(args.reconcile_every);
    host.run(|stop| async move { reconcile_until(&reconciler, &missed, every, &stop).await });
    host.wait().await
}

/// Whether the library answers.
pub(crate) fn library_check(tracks: Arc<dyn Tracks>) -> Check {
    Check::new("library", move || {
        let tracks = Arc::clone(&tracks);
        async move { tracks.fingerprints(0, 1).await.map(drop).map_err(|error| unwell(&error)) }
    })
}

/// With the address and what was said there: the owner of both asks.
fn unwell(error: &StoreError) -> Unwell {
    Unwell { code: "unavailable", detail: error.to_string() }
}

/// Whether the recommender answers.
pub(crate) fn recommender_check(vectors: Arc<dyn Vectors>) -> Check {
    Check::new("recommender", move || {
        let vectors = Arc::clone(&vectors);
        async move { vectors.spaces().await.map(drop).map_err(|error| unwell(&error)) }
    })
}
