//! `soniquebay db`: the library's database looked after.

mod backup;
mod check;
mod migrate;
mod restore;
mod transfer;
mod vacuum;

use std::path::Path;
use std::sync::Arc;

use anyhow::bail;
use indicatif::ProgressBar;
use soniquebay_domain::{Progress, SystemClock};
use soniquebay_store::check::Maintained;
use soniquebay_store::postgres::{Alone, PostgresStore};
use soniquebay_store::sqlite::{self, SqliteStore};
use tokio_util::sync::CancellationToken;

use super::or_stop;
use crate::cli::{Cli, DbCommand};
use crate::data_folder::{DataFolder, RoleLock};
use crate::output;
use crate::place::Place;
use crate::vectorize::bar;

pub(crate) async fn run(cli: &Cli, command: &DbCommand, stop: &CancellationToken) -> anyhow::Result<()> {
    let folder = DataFolder::open(cli.data.as_deref())?;
    let place = Place::of(&cli.services, &folder)?;
    match command {
        DbCommand::Backup(args) => backup::run(&place, args, stop).await,
        DbCommand::Restore(args) => restore::run(&folder, &place, args, stop).await,
        DbCommand::Move(args) => or_stop(transfer::run(&folder, &place, args), stop).await,
        DbCommand::Check(args) => or_stop(check::run(&place, args), stop).await,
        DbCommand::Vacuum => or_stop(vacuum::run(&folder, &place), stop).await,
        DbCommand::Migrate => or_stop(migrate::run(&place), stop).await,
    }
}

/// The library at a place, which must be there.
async fn open(place: &Place) -> anyhow::Result<Arc<dyn Maintained>> {
    let clock = Arc::new(SystemClock);
    Ok(match place {
        Place::File(path) => {
            require(path)?;
            Arc::new(SqliteStore::open(path, clock).await?)
        }
        Place::Server(url) => Arc::new(PostgresStore::connect_for_upkeep(url, clock).await?),
    })
}

/// Says so where there is no file: opening one would make it.
fn require(path: &Path) -> anyhow::Result<()> {
    if !path.exists() {
        bail!("there is no library in {}: --data or DATABASE_URL says where it is", path.display());
    }
    Ok(())
}

/// What keeps others out of a database while it is worked on as a whole.
#[expect(dead_code, reason = "held, not read")]
enum Kept {
    File(Option<RoleLock>),
    Server(Alone),
}

/// Keeps others out of the database at a place. Refuses where a role or a command uses it, as far as that can be known.
async fn keep_others_out(place: &Place, folder: Option<&DataFolder>) -> anyhow::Result<Kept> {
    match place {
        Place::File(path) => {
            let lock = match folder.map(|folder| folder.try_lock("db")).transpose()? {
                Some(Err(holder)) => bail!("{} works on {}: stop it first", holder.0, path.display()),
                Some(Ok(lock)) => Some(lock),
                None => None,
            };
            // Of a file that cannot be opened at all whoever opens it next says why.
            if path.exists() && sqlite::is_in_use(path).await.unwrap_or(false) {
                bail!("another process has {} open: stop it first", path.display());
            }
            Ok(Kept::File(lock))
        }
        Place::Server(url) => {
            let store = PostgresStore::connect_unfinished(url, Arc::new(SystemClock)).await?;
            Ok(Kept::Server(store.alone().await?))
        }
    }
}

/// Shows how far an operation is, as a bar where that is a terminal and else as a line for each tenth of a step.
#[derive(Clone)]
struct Shown {
    bar: ProgressBar,
    tenths: Arc<std::sync::Mutex<(String, u64)>>,
}

impl Shown {
    fn new() -> Self {
        Self { bar: bar(0, ""), tenths: Arc::default() }
    }

    fn tell(&self, progress: &Progress) {
        let Progress { step, done, total, .. } = progress;
        self.bar.set_message(step.to_string());
        self.bar.set_length(*total);
        self.bar.set_position(*done);
        if !self.bar.is_hidden() {
            return;
        }
        let tenth = (done * 10).checked_div(*total).unwrap_or(0);
        let mut last = self.tenths.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if last.0 != **step || last.1 < tenth {
            *last = (step.to_string(), tenth);
            output::note(&if *total > 1 { format!("{step}: {done} of {total}") } else { step.to_string() });
        }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Bytes for a person.
fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
