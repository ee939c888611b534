use std::error::Error;

use deadpool_postgres::{PoolError, TimeoutType};
use soniquebay_domain::StoreError;
use tokio_postgres::error::SqlState;

/// What goes wrong inside the store: PostgreSQL's errors and our own, so that `?` takes both.
#[derive(Debug)]
pub(super) enum SqlError {
    Postgres(tokio_postgres::Error),
    /// The connection was lost while a transaction was being committed: nobody knows whether it was.
    Unsure(tokio_postgres::Error),
    Pool(PoolError),
    Store(StoreError),
}

impl From<tokio_postgres::Error> for SqlError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

impl From<PoolError> for SqlError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => Self::Postgres(error),
            other => Self::Pool(other),
        }
    }
}

impl From<StoreError> for SqlError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl SqlError {
    /// What whoever asked is told. `address` is where the server is, without user and password.
    pub(super) fn told(self, address: &str) -> StoreError {
        let unavailable = |reason: &str| StoreError::Unavailable(format!("PostgreSQL at {address}: {reason}"));
        match self {
            Self::Store(error) => error,
            Self::Pool(PoolError::Timeout(TimeoutType::Wait)) => StoreError::Overloaded,
            Self::Pool(error) => unavailable(&causes(&error)),
            Self::Unsure(error) => {
                unavailable(&format!("{}: whether the last write was kept is not known", causes(&error)))
            }
            Self::Postgres(error) => match error.code() {
                Some(state) if overloaded(state) => StoreError::Overloaded,
                Some(state) => match advice(state) {
                    Some(advice) => unavailable(&format!("{}: {advice}", causes(&error))),
                    None => unavailable(&causes(&error)),
                },
                None if is_of_network(&error) => unavailable(&format!(
                    "{}: does the server run, and does DATABASE_URL name its host and port?",
                    causes(&error)
                )),
                None => unavailable(&causes(&error)),
            },
        }
    }

    /// What went wrong while a transaction was being committed.
    pub(super) fn committing(error: tokio_postgres::Error) -> Self {
        if error.code().is_some_and(|state| state.code().starts_with("40")) {
            Self::Postgres(error)
        } else {
            Self::Unsure(error)
        }
    }

    /// Whether the same may pass when it is tried again: another transaction was in its way, or a connection was lost that
    /// had been idle or had not come to its end.
    pub(super) fn is_passing(&self) -> bool {
        let Self::Postgres(error) = self else { return false };
        let passing = [
            &SqlState::T_R_SERIALIZATION_FAILURE,
            &SqlState::T_R_DEADLOCK_DETECTED,
            // Two made the same row at one time: whoever comes second then finds it.
            &SqlState::UNIQUE_VIOLATION,
            &SqlState::EXCLUSION_VIOLATION,
            // A track or a space was removed a moment ago.
            &SqlState::FOREIGN_KEY_VIOLATION,
            &SqlState::ADMIN_SHUTDOWN,
            &SqlState::CRASH_SHUTDOWN,
        ];
        error.is_closed() || error.code().is_some_and(|state| passing.contains(&state))
    }
}

/// Whether the server was not reached at all, or was lost.
fn is_of_network(error: &tokio_postgres::Error) -> bool {
    error.source().is_some_and(|cause| cause.is::<std::io::Error>())
}

fn overloaded(state: &SqlState) -> bool {
    [
        &SqlState::T_R_SERIALIZATION_FAILURE,
        &SqlState::T_R_DEADLOCK_DETECTED,
        &SqlState::LOCK_NOT_AVAILABLE,
        // Our own statement timeout.
        &SqlState::QUERY_CANCELED,
        &SqlState::TOO_MANY_CONNECTIONS,
        &SqlState::OUT_OF_MEMORY,
        &SqlState::CONFIGURATION_LIMIT_EXCEEDED,
    ]
    .contains(&state)
}

/// What can be done about it.
fn advice(state: &SqlState) -> Option<&'static str> {
    let known = [
        (&SqlState::DISK_FULL, "free some space on the server"),
        (&SqlState::READ_ONLY_SQL_TRANSACTION, "it is a standby or set read-only: name the primary"),
        (&SqlState::INVALID_PASSWORD, "check user and password"),
        (&SqlState::INVALID_AUTHORIZATION_SPECIFICATION, "check user and password, and the server's pg_hba.conf"),
        (&SqlState::INVALID_CATALOG_NAME, "create the database first, as in: createdb soniquebay"),
        (&SqlState::INSUFFICIENT_PRIVILEGE, "the user needs the right to create and write tables in this database"),
        (&SqlState::UNDEFINED_TABLE, "its tables were removed while it was in use: start again"),
    ];
    known.iter().find(|(known, _)| *known == state).map(|(_, advice)| *advice)
}

/// An error with what caused it, on one line. None of them bears the password.
fn causes(error: &dyn Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        let text = deeper.to_string();
        if !told.contains(&text) {
            told = format!("{told}: {text}");
        }
        cause = deeper.source();
    }
    told.replace('\n', " ")
}
