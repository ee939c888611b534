use rusqlite::{Connection, TransactionBehavior};
use soniquebay_domain::StoreError;

use super::error::SqlError;

/// Each step brings the file from its index to the next format. Steps are never changed once released.
pub(super) const STEPS: &[&str] = &[
    include_str!("../../migrations/sqlite/0001_library.sql"),
    include_str!("../../migrations/sqlite/0002_embedding_cache.sql"),
    include_str!("../../migrations/sqlite/0003_lost_claims.sql"),
    include_str!("../../migrations/sqlite/0004_keys.sql"),
    include_str!("../../migrations/sqlite/0005_analysis.sql"),
    include_str!("../../migrations/sqlite/0006_folded_words.sql"),
    include_str!("../../migrations/sqlite/0007_job_counts.sql"),
];

/// "Sbay", in the place where SQLite files say whose they are.
pub(super) const APPLICATION_ID: i64 = 0x5362_6179;

/// Brings the file to the newest format, and says from which to which. Several processes may try at once: the write lock
/// lets one through.
pub(super) fn migrate(connection: &mut Connection) -> Result<(i64, i64), StoreError> {
    steps(connection).map_err(StoreError::from)
}

/// The format of a file of ours, 0 of one that is empty; an error for any other and for a newer one's.
pub(super) fn format(connection: &Connection) -> Result<i64, SqlError> {
    let supported = STEPS.len() as i64;
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let owner: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables > 0 && owner != APPLICATION_ID {
        let reason = "the file is another program's database: choose another data folder";
        return Err(StoreError::Unavailable(reason.into()).into());
    }
    if found > supported {
        return Err(StoreError::Newer { found, supported }.into());
    }
    Ok(found)
}

fn steps(connection: &mut Connection) -> Result<(i64, i64), SqlError> {
    let supported = STEPS.len() as i64;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = format(&transaction)?;
    for step in STEPS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.execute_batch(step)?;
    }
    if found < supported {
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", supported)?;
    }
    transaction.commit()?;
    Ok((found, supported))
}
