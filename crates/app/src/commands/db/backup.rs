use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use soniquebay_domain::SystemClock;
use soniquebay_store::postgres::PostgresStore;
use soniquebay_store::sqlite::{self, Contents, NotACopy, SqliteStore};
use soniquebay_store::transfer::{Transferred, transfer};
use tokio_util::sync::CancellationToken;

use super::{Shown, megabytes, or_stop, require};
use crate::cli::BackupArgs;
use crate::exit::End;
use crate::output;
use crate::place::Place;

pub(super) async fn run(place: &Place, args: &BackupArgs, stop: &CancellationToken) -> anyhow::Result<()> {
    let BackupArgs { file, force } = args;
    if file.exists() && !force {
        bail!("{} is there already: choose another name, or replace it with --force", file.display());
    }
    if let Place::File(path) = place {
        require(path)?;
        if file.exists() && file.canonicalize()? == path.canonicalize()? {
            bail!("{} is the library itself", file.display());
        }
    }
    let said = write(place, file, stop).await?;
    let bytes = std::fs::metadata(file).map_or(0, |file| file.len());
    output::line(&format!("{}: {said}, {}, checked", file.display(), megabytes(bytes)))
}

/// Copies the library at a place into a file that appears when it is whole and checked; says what it holds.
pub(super) async fn write(place: &Place, file: &Path, stop: &CancellationToken) -> anyhow::Result<String> {
    let unfinished = Unfinished::beside(file)?;
    let shown = Shown::new();
    let said = match place {
        Place::File(path) => {
            let (shown, stop) = (shown.clone(), stop.clone());
            let told = move |progress| {
                shown.tell(&progress);
                !stop.is_cancelled()
            };
            match sqlite::copy(path, &unfinished.0, told).await {
                Ok(contents) => holds(&contents),
                Err(NotACopy::GivenUp) => return Err(End::Interrupted.into()),
                Err(error) => return Err(error.into()),
            }
        }
        Place::Server(url) => {
            let clock = Arc::new(SystemClock);
            let from = PostgresStore::snapshot(url, clock.clone()).await?;
            let to = SqliteStore::open_unfinished(&unfinished.0, clock).await?;
            let moved =
                or_stop(async { Ok(transfer(&from, &to, &|progress| shown.tell(&progress)).await?) }, stop).await?;
            drop(to);
            // Its log goes into the file, which then is whole by itself.
            if sqlite::is_in_use(&unfinished.0).await? {
                bail!("another process has {} open", unfinished.0.display());
            }
            moved_text(&moved)
        }
    };
    drop(shown);
    unfinished.becomes(file)?;
    Ok(said)
}

/// What a file holds, for a person.
pub(super) fn holds(contents: &Contents) -> String {
    let vectors: u64 = contents.vectors.values().sum();
    format!("{} tracks, {vectors} vectors, {} jobs", contents.tracks, contents.jobs)
}

/// What was moved, for a person.
pub(super) fn moved_text(moved: &Transferred) -> String {
    let vectors: u64 = moved.vectors.iter().map(|(_, count)| count).sum();
    format!("{} tracks, {vectors} vectors, {} jobs", moved.tracks, moved.jobs)
}

/// A file that is being written under a name of its own. It is removed unless it becomes what it is to be.
pub(super) struct Unfinished(pub(super) PathBuf);

impl Unfinished {
    pub(super) fn beside(file: &Path) -> anyhow::Result<Self> {
        let name = file.file_name().with_context(|| format!("{} names no file", file.display()))?;
        let mut unfinished = name.to_owned();
        unfinished.push(".unfinished");
        let unfinished = Self(file.with_file_name(unfinished));
        // What a try that was killed left.
        unfinished.remove();
        Ok(unfinished)
    }

    /// Takes the place of `file`, in one step, and stays there through a power cut.
    pub(super) fn becomes(self, file: &Path) -> anyhow::Result<()> {
        let context = || format!("{} cannot be written", file.display());
        std::fs::rename(&self.0, file).with_context(context)?;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::File::open(folder).and_then(|folder| folder.sync_all()).with_context(context)
    }

    fn remove(&self) {
        for ending in ["", "-wal", "-shm", "-journal"] {
            let mut name = self.0.as_os_str().to_owned();
            name.push(ending);
            let _ = std::fs::remove_file(name);
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.remove();
    }
}
