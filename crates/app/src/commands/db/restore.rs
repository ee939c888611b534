use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use soniquebay_domain::SystemClock;
use soniquebay_store::postgres::PostgresStore;
use soniquebay_store::sqlite::{self, NotACopy, SqliteStore};
use soniquebay_store::transfer::{Begun, Portable, transfer};
use tokio_util::sync::CancellationToken;

use super::backup::{self, Unfinished, holds, moved_text};
use super::{Shown, keep_others_out, or_stop};
use crate::cli::RestoreArgs;
use crate::data_folder::DataFolder;
use crate::exit::End;
use crate::output;
use crate::place::Place;

pub(super) async fn run(
    folder: &DataFolder,
    place: &Place,
    args: &RestoreArgs,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let (contents, fault) = sqlite::inspect(&args.file).await?;
    if let Some(fault) = fault {
        bail!("{} is damaged and was not restored: {fault}", args.file.display());
    }
    let _kept = keep_others_out(place, Some(folder)).await?;
    let aside = match place {
        Place::File(path) => over_file(path, args, stop).await?,
        Place::Server(url) => or_stop(over_server(folder, url, args, stop), stop).await?,
    };
    output::line(&format!("{place}: restored {}", holds(&contents)))?;
    aside.map_or(Ok(()), |aside| output::line(&format!("the library that was there is kept in {}", aside.display())))
}

/// The backup in the place of a file; where that one is kept.
async fn over_file(path: &Path, args: &RestoreArgs, stop: &CancellationToken) -> anyhow::Result<Option<PathBuf>> {
    let there = path.exists();
    if there && !args.force {
        // A file that cannot be read may be what the backup is for: it is asked about like one that holds tracks.
        match sqlite::inspect(path).await {
            Ok((contents, None)) if contents.tracks == 0 => {}
            Ok((contents, None)) => refuse(&path.display().to_string(), contents.tracks)?,
            Ok((_, Some(why))) => bail!("{} is damaged ({why}): --force moves it aside", path.display()),
            Err(error) => bail!("{error}: --force moves it aside"),
        }
    }
    let unfinished = Unfinished::beside(path)?;
    let (shown, given_up) = (Shown::new(), stop.clone());
    let told = move |progress| {
        shown.tell(&progress);
        !given_up.is_cancelled()
    };
    match sqlite::copy(&args.file, &unfinished.0, told).await {
        Ok(_) => {}
        Err(NotACopy::GivenUp) => return Err(End::Interrupted.into()),
        Err(error) => return Err(error.into()),
    }
    // The format of this version, before the old library is touched.
    drop(SqliteStore::open(&unfinished.0, Arc::new(SystemClock)).await?);
    if sqlite::is_in_use(&unfinished.0).await? {
        bail!("another process has {} open", unfinished.0.display());
    }
    let aside = there.then(|| aside(path)).transpose()?;
    unfinished.becomes(path)?;
    Ok(aside)
}

/// Moves a file, with what belongs to it, to a free name beside it.
fn aside(path: &Path) -> anyhow::Result<PathBuf> {
    let named = |base: &Path, ending: &str| {
        let mut name = base.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let mut aside = named(path, ".before-restore");
    for number in 2.. {
        if !aside.exists() {
            break;
        }
        aside = named(path, &format!(".before-restore-{number}"));
    }
    // Those that are damaged may still have a log: without it they are worth less.
    for ending in ["-wal", "-shm", "-journal", ""] {
        let from = named(path, ending);
        if from.exists() {
            std::fs::rename(&from, named(&aside, ending))
                .with_context(|| format!("{} cannot be moved aside", from.display()))?;
        }
    }
    Ok(aside)
}

/// The backup into a server's database; where what was there is kept.
async fn over_server(
    folder: &DataFolder,
    url: &str,
    args: &RestoreArgs,
    stop: &CancellationToken,
) -> anyhow::Result<Option<PathBuf>> {
    let clock = Arc::new(SystemClock);
    // A backup of an older version is brought to this one's format in a copy: the file itself stays as it is.
    let copy = Unfinished::beside(&folder.path().join("restoring.db"))?;
    let given_up = stop.clone();
    match sqlite::copy(&args.file, &copy.0, move |_| !given_up.is_cancelled()).await {
        Ok(_) => {}
        Err(NotACopy::GivenUp) => return Err(End::Interrupted.into()),
        Err(error) => return Err(error.into()),
    }
    let from = SqliteStore::open(&copy.0, clock.clone()).await?;
    let to = PostgresStore::connect_unfinished(url, clock).await?;
    let mut kept = None;
    match to.begin_move(&from.address()).await? {
        Begun::Anew | Begun::Again => {}
        Begun::FromElsewhere(_) => to.clear().await?,
        Begun::Occupied(tracks) if !args.force => refuse(to.address(), tracks)?,
        Begun::Occupied(_) => {
            let name = (1..).map(|number| folder.path().join(format!("before-restore-{number}.db")));
            let file = name.into_iter().find(|file| !file.exists()).context("no name is free")?;
            backup::write(&Place::Server(url.to_owned()), &file, stop).await?;
            to.clear().await?;
            kept = Some(file);
        }
    }
    let shown = Shown::new();
    let moved = transfer(&from, &to, &|progress| shown.tell(&progress)).await?;
    tracing::info!("{} are restored and compared", moved_text(&moved));
    Ok(kept)
}

fn refuse(place: &str, tracks: u64) -> anyhow::Result<()> {
    bail!("{place} holds a library of {tracks} tracks: --force puts the backup in its place and keeps it aside")
}
