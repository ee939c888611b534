//! `soniquebay db move`.

use std::io::{BufRead, IsTerminal, Read};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use soniquebay_domain::SystemClock;
use soniquebay_store::postgres::PostgresStore;
use soniquebay_store::sqlite::SqliteStore;
use soniquebay_store::transfer::{Begun, Portable, TransferError, transfer};

use super::backup::moved_text;
use super::{Shown, keep_others_out, open};
use crate::cli::MoveArgs;
use crate::data_folder::DataFolder;
use crate::exit::End;
use crate::output;
use crate::place::Place;

/// More than any address has.
const ADDRESS_BYTES: u64 = 16 * 1024;

pub(super) async fn run(folder: &DataFolder, place: &Place, args: &MoveArgs) -> anyhow::Result<()> {
    let to = if args.to == "-" { typed().await? } else { args.to.clone() };
    let destination = Place::parse("--to", to.trim())?;
    if *place == destination {
        bail!("{place} is where the library is already");
    }
    let _source = keep_others_out(place, Some(folder)).await.context("the library to be moved")?;
    let beside = data_folder_of(&destination, folder)?;
    let _destination = keep_others_out(&destination, beside.as_ref()).await.context("the place to move to")?;
    let from = open(place).await?;
    let clock = Arc::new(SystemClock);
    let to: Arc<dyn Portable> = match &destination {
        Place::File(path) => Arc::new(SqliteStore::open_unfinished(path, clock).await?),
        Place::Server(url) => Arc::new(PostgresStore::connect_unfinished(url, clock).await?),
    };
    if args.anew {
        match to.begin_move(&from.address()).await? {
            Begun::Occupied(tracks) => {
                bail!("{destination} holds a whole library of {tracks} tracks: it is left alone")
            }
            Begun::Anew => {}
            Begun::Again | Begun::FromElsewhere(_) => to.clear().await?,
        }
    }
    let shown = Shown::new();
    let moved = match transfer(&*from, &*to, &|progress| shown.tell(&progress)).await {
        Err(error @ TransferError::Begun(_)) => bail!("{error}: --anew throws that away and begins again"),
        moved => moved?,
    };
    drop(shown);
    output::line(&format!("{} are in {destination}, compared with {place}", moved_text(&moved)))?;
    output::line(&format!(
        "from now on set DATABASE_URL to the address you gave as --to; the library in {place} is as it was, and not used any more"
    ))
}

/// The first line of standard input.
async fn typed() -> anyhow::Result<String> {
    let read = || {
        let input = std::io::stdin().lock();
        if input.is_terminal() {
            output::note("where to? Type the address, then Enter:");
        }
        let mut line = String::new();
        input.take(ADDRESS_BYTES).read_line(&mut line).map(|_| line)
    };
    let line = tokio::task::spawn_blocking(read).await?.context("standard input cannot be read")?;
    if line.trim().is_empty() {
        return Err(End::Usage("--to -: no address came from standard input".to_owned()).into());
    }
    Ok(line)
}

/// The data folder that a SQLite file is the library of, whose roles lock it.
fn data_folder_of(place: &Place, own: &DataFolder) -> anyhow::Result<Option<DataFolder>> {
    let Place::File(path) = place else { return Ok(None) };
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // The lock of our own folder is held for the source.
    let is_own = parent.canonicalize().ok() == own.path().canonicalize().ok();
    let has_lock = parent.join("soniquebay.lock").exists();
    Ok(if is_own || !has_lock { None } else { Some(DataFolder::open(Some(parent))?) })
}
