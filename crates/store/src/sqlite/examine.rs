//! What a file is and whether it is whole, without changing anything: for whoever looks for a fault.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use soniquebay_domain::StoreError;

use super::connection::register_sqlite_vec;
use super::error::{SqlError, in_file};
use super::migrate::{APPLICATION_ID, STEPS};

/// What a file of ours, or of another program, is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqliteStanding {
    /// Whether SoniqueBay made it.
    pub is_ours: bool,
    /// Its format, and the newest that is known here.
    pub format: (i64, i64),
    /// The first damage that was found.
    pub damage: Option<String>,
    /// Whether there was time to look at all of it.
    pub is_whole_seen: bool,
    /// Versions of SQLite and sqlite-vec.
    pub versions: (String, String),
}

impl SqliteStanding {
    /// Looks at the file, as far as this much time allows.
    ///
    /// # Errors
    /// Where it is not there, cannot be read, or is no SQLite database.
    pub async fn look(path: &Path, within: Duration) -> Result<Self, StoreError> {
        let path = path.to_owned();
        let look = tokio::task::spawn_blocking(move || {
            examine(&path, within).map_err(|error| in_file(&path, StoreError::from(error)))
        });
        look.await.map_err(|error| StoreError::Unavailable(error.to_string()))?
    }
}

fn examine(path: &Path, within: Duration) -> Result<SqliteStanding, SqlError> {
    register_sqlite_vec();
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(within)?;
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let is_ours = pragma("application_id")? == APPLICATION_ID;
    let format = (pragma("user_version")?, STEPS.len() as i64);
    let version = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, String>(0));
    let versions = (version("SELECT sqlite_version()")?, version("SELECT vec_version()")?);

    // A large file takes minutes on a slow disk.
    let interrupt = connection.get_interrupt_handle();
    let (done, waits) = std::sync::mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        if waits.recv_timeout(within) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            interrupt.interrupt();
        }
    });
    let checked = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    drop(done);
    let _ = watch.join();
    let (damage, is_whole_seen) = match checked {
        Ok(said) => (Some(said).filter(|said| said != "ok"), true),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => (None, false),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => (Some(error.to_string()), true),
        Err(error) => return Err(error.into()),
    };
    Ok(SqliteStanding { is_ours, format, damage, is_whole_seen, versions })
}
