use std::path::Path;
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use soniquebay_domain::{StoreError, may_wait};
use tokio::sync::Semaphore;

use super::error::{SqlError, in_file};

/// How long a caller waits for a connection before it is told that we are overloaded.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connections of one role. Work runs on blocking threads, at most one a connection, so async threads never wait on the disk.
pub(super) struct Pool {
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Pool {
    pub(super) fn new(connections: Vec<Connection>) -> Self {
        Self { permits: Arc::new(Semaphore::new(connections.len())), idle: Mutex::new(connections) }
    }

    async fn with<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut Connection) -> Result<T, SqlError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => tokio::time::timeout(PATIENCE, Arc::clone(&self.permits).acquire_owned())
                .await
                .map_err(|_| StoreError::Overloaded)?
                .map_err(|closed| StoreError::Unavailable(closed.to_string()))?,
        };
        let pool = Arc::clone(self);
        let work = move || {
            let idle = pool.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(mut connection) = idle else { return Err(StoreError::Overloaded) };
            // The connection goes back even where the caller has gone away: the closure runs to its end.
            let result = work(&mut connection).map_err(StoreError::from);
            pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            drop(permit);
            result
        };
        if may_wait() {
            return work();
        }
        tokio::task::spawn_blocking(work).await.map_err(|panic| StoreError::Unavailable(panic.to_string()))?
    }

    /// Reads from one consistent state of the file.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Connection) -> Result<T, SqlError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.with(move |connection| {
            // What begins and ends a snapshot is prepared once: most reads take little longer than that would.
            connection.prepare_cached("BEGIN DEFERRED")?.execute([])?;
            let result = work(connection);
            // After some errors SQLite has ended it already.
            if !connection.is_autocommit() {
                connection.prepare_cached("ROLLBACK")?.execute([])?;
            }
            result
        })
        .await
    }

    /// Writes all or nothing. The write lock is taken first: upgrading a read would fail where another process writes.
    pub(super) async fn transaction<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, SqlError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.with(move |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let result = work(&transaction)?;
            transaction.commit()?;
            Ok(result)
        })
        .await
    }
}

impl Pool {
    /// For what SQLite does outside of transactions.
    pub(super) async fn outside_transaction<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Connection) -> Result<T, SqlError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.with(|connection| work(connection)).await
    }
}

/// Makes sqlite-vec part of every connection that is opened afterwards.
pub(super) fn register_sqlite_vec() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        type Init = unsafe extern "C" fn(
            *mut rusqlite::ffi::sqlite3,
            *mut *mut std::os::raw::c_char,
            *const rusqlite::ffi::sqlite3_api_routines,
        ) -> std::os::raw::c_int;
        // SAFETY: sqlite3_vec_init is an extension entry point; the crate declares it without its parameters.
        let registered = unsafe {
            let init = std::mem::transmute::<*const (), Init>(sqlite_vec::sqlite3_vec_init as *const ());
            rusqlite::ffi::sqlite3_auto_extension(Some(init))
        };
        if registered != rusqlite::ffi::SQLITE_OK {
            tracing::error!(code = registered, "sqlite-vec could not be registered");
        }
    });
}

pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    register_sqlite_vec();
    let connect = || -> Result<Connection, SqlError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(PATIENCE)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // FULL: what was answered as stored survives a power cut, not only a crash of ours.
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "cache_size", -8_192)?;
        connection.set_prepared_statement_cache_capacity(64);
        // Else a plan looks at the values it was made with, and each other value makes it anew: most of what a short read costs.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        rusqlite::vtab::array::load_module(&connection)?;
        Ok(connection)
    };
    connect().map_err(|error| in_file(path, error.into()))
}

/// A connection that writes nothing, to a file that must be there.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, StoreError> {
    register_sqlite_vec();
    // SQLite says no more than that it cannot open it.
    if matches!(path.try_exists(), Ok(false)) {
        return Err(in_file(path, StoreError::Unavailable("there is no such file".into())));
    }
    let connect = || -> Result<Connection, SqlError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(PATIENCE)?;
        Ok(connection)
    };
    connect().map_err(|error| in_file(path, error.into()))
}
