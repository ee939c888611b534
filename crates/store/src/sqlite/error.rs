use std::path::Path;

use rusqlite::ErrorCode;
use soniquebay_domain::StoreError;

/// What goes wrong inside the store: SQLite's errors and our own, so that `?` takes both.
#[derive(Debug)]
pub(super) enum SqlError {
    Sqlite(rusqlite::Error),
    Store(StoreError),
}

impl From<rusqlite::Error> for SqlError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<StoreError> for SqlError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<SqlError> for StoreError {
    fn from(error: SqlError) -> Self {
        match error {
            SqlError::Store(error) => error,
            SqlError::Sqlite(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Overloaded,
                Some(ErrorCode::DiskFull) => Self::Unavailable("the disk is full: free some space".into()),
                Some(ErrorCode::ReadOnly) => {
                    Self::Unavailable("the data folder or the file in it cannot be written".into())
                }
                Some(ErrorCode::CannotOpen) => Self::Unavailable(
                    "the file cannot be opened: is the data folder there, and may we write it?".into(),
                ),
                Some(ErrorCode::NotADatabase) => Self::Unavailable("the file is not an SQLite database".into()),
                Some(ErrorCode::DatabaseCorrupt) => Self::Unavailable(
                    "the file is damaged: restore an intact backup, or move it away and scan again".into(),
                ),
                _ => Self::Unavailable(error.to_string()),
            },
        }
    }
}

/// Names the file in an error that is shown where it was opened.
pub(super) fn in_file(path: &Path, error: StoreError) -> StoreError {
    match error {
        StoreError::Unavailable(reason) => StoreError::Unavailable(format!("{}: {reason}", path.display())),
        other => other,
    }
}
