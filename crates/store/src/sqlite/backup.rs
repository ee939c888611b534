//! A file of a library copied while others read and write it, and what a copy is worth.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use soniquebay_domain::{Progress, StoreError};

use super::error::{SqlError, in_file};
use super::{blocking, connection, migrate};

/// Pages that are copied at once: some 4 MB, a moment in which nobody else is held up.
const PAGES: i32 = 1000;

/// What a library's file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// Its format.
    pub format: i64,
    /// Tracks.
    pub tracks: u64,
    /// Vectors of each space, by name.
    pub vectors: BTreeMap<String, u64>,
    /// Jobs.
    pub jobs: u64,
}

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum NotACopy {
    /// One of the files cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The caller gave it up.
    #[error("the copy was given up")]
    GivenUp,
    /// What was written is not what was read: the disk, or the file itself, is damaged.
    #[error("the copy is not sound: {0}")]
    Unsound(String),
}

/// Copies a library as it is at one moment into a file that is not there yet, a few pages at a time, while others go on
/// reading and writing; then checks the copy. `told` hears how far it is, and answers whether to go on. The copy is one file,
/// without a log beside it. Where it is not made to its end, its file is left for the caller to remove.
///
/// # Errors
/// [`NotACopy`].
pub async fn copy(
    from: &Path,
    to: &Path,
    told: impl Fn(Progress) -> bool + Send + 'static,
) -> Result<Contents, NotACopy> {
    let (from, to) = (from.to_owned(), to.to_owned());
    let done = tokio::task::spawn_blocking(move || {
        let source = connection::open_to_read(&from)?;
        let named = |path: &Path, error: SqlError| NotACopy::Store(in_file(path, error.into()));
        migrate::format(&source).map_err(|error| named(&from, error))?;
        // The open transaction holds one state of the file: without it each write of another process would begin the copy anew.
        let begun = source.execute_batch("BEGIN").map_err(SqlError::from).and_then(|()| contents(&source));
        let there = begun.map_err(|error| named(&from, error))?;
        let whole = write(&source, &to, &told).map_err(|error| named(&to, error))?;
        if !whole {
            return Err(NotACopy::GivenUp);
        }
        drop(source);
        told(Progress { step: "checking".into(), done: 0, total: 1, per_second: 0.0 });
        let copied = connection::open_to_read(&to)?;
        let said = sound(&copied).and_then(|said| Ok((said, contents(&copied)?)));
        match said.map_err(|error| named(&to, error))? {
            (None, found) if found == there => Ok(found),
            (None, found) => Err(NotACopy::Unsound(format!("it holds {found:?} where {there:?} were read"))),
            (Some(said), _) => Err(NotACopy::Unsound(said)),
        }
    })
    .await;
    done.map_err(|panic| StoreError::Unavailable(panic.to_string()))?
}

/// Whether it came to its end.
fn write(source: &Connection, to: &Path, told: &dyn Fn(Progress) -> bool) -> Result<bool, SqlError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut copy = Connection::open_with_flags(to, flags)?;
    {
        let backup = Backup::new(source, &mut copy)?;
        loop {
            let step = backup.step(PAGES)?;
            let progress = backup.progress();
            let (total, left) = (progress.pagecount.unsigned_abs(), progress.remaining.unsigned_abs());
            let done = u64::from(total.saturating_sub(left));
            if !told(Progress { step: "pages".into(), done, total: total.into(), per_second: 0.0 }) {
                return Ok(false);
            }
            match step {
                StepResult::Done => break,
                StepResult::More => {}
                _ => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
    // One file, whole by itself, on the disk before anybody hears of it.
    copy.pragma_update(None, "journal_mode", "DELETE")?;
    copy.close().map_err(|(_, error)| error)?;
    let synced = std::fs::File::open(to).and_then(|file| file.sync_all());
    synced.map_err(|error| StoreError::Unavailable(format!("{}: {error}", to.display())))?;
    Ok(true)
}

/// What a file of ours holds, and whether it is sound: the first fault, or none.
///
/// # Errors
/// Where it is no SoniqueBay database, a newer one's, or cannot be read.
pub async fn inspect(path: &Path) -> Result<(Contents, Option<String>), StoreError> {
    let path = path.to_owned();
    blocking(move || {
        let file = connection::open_to_read(&path)?;
        let found = contents(&file).and_then(|contents| Ok((contents, sound(&file)?)));
        found.map_err(|error| in_file(&path, error.into()))
    })
    .await
}

/// Whether another process has the file open. Where none has, all of it is in the one file afterwards.
///
/// # Errors
/// Where the file cannot be used.
pub async fn is_in_use(path: &Path) -> Result<bool, StoreError> {
    let path = path.to_owned();
    blocking(move || {
        let ask = || -> Result<bool, SqlError> {
            let file = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            // Only whoever is alone with a file may take its log away.
            let mode = file.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get::<_, String>(0));
            match mode {
                Ok(mode) => Ok(mode != "delete"),
                Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => Ok(true),
                Err(error) => Err(error.into()),
            }
        };
        ask().map_err(|error| in_file(&path, error.into()))
    })
    .await
}

fn contents(file: &Connection) -> Result<Contents, SqlError> {
    let format = migrate::format(file)?;
    if format == 0 {
        return Err(StoreError::Unavailable("the file holds no library".into()).into());
    }
    let count = |table: &str| file.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, u64>(0));
    let mut spaces = file.prepare("SELECT space, count(*) FROM track_vectors GROUP BY space")?;
    let vectors = spaces.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    Ok(Contents { format, tracks: count("tracks")?, vectors, jobs: count("jobs")? })
}

/// What SQLite itself finds wrong first, if anything.
pub(super) fn sound(file: &Connection) -> Result<Option<String>, SqlError> {
    let said: String = file.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if said != "ok" {
        return Ok(Some(said));
    }
    let strays: u64 = file.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0))?;
    Ok((strays > 0).then(|| format!("{strays} rows belong to tracks or spaces that are not there")))
}
