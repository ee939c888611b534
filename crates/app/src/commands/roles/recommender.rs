//! `soniquebay recommender`: vectors, similar tracks and typed search, with a database of its own or a shared one.

use soniquebay_api::Services;
use tokio_util::sync::CancellationToken;

use crate::cli::{Cli, RoleArgs};
use crate::host::{Host, access, address, bind, services};
use crate::library::{Library, Purpose};
use crate::workshop;

pub(crate) async fn run(cli: &Cli, args: &RoleArgs, stop: &CancellationToken) -> anyhow::Result<()> {
    let address = address(args, 8002);
    // On a database that all share, the tracks are the library's own; a file of ours, or a database beside a library that is
    // asked over HTTP, holds copies.
    let mirror = !cli.services.shares_database() || cli.services.library().is_some();
    let purpose = if mirror { Purpose::Mirror } else { Purpose::Library };
    let library = Library::open_for(purpose, cli).await?;
    let access = access(&args.access, &[address], &cli.services, Some(library.store.clone())).await?;
    let _lock = library.lock("recommender")?;
    library.want_spaces().await?;
    let recommender = library.loading_recommender().await?;
    let services = Services {
        mirror,
        library: workshop::library(&cli.services)?,
        ..services(&library, recommender, access, stop)?
    };
    let mut host = Host::new(stop);
    host.answer(bind(address).await?, soniquebay_api::recommender_router(services), args.access.limits())?;
    host.wait().await
}
