//! The change log, read in an order in which nothing is missed.
//!
//! Transactions end in another order than they begin: were changes numbered as they are written, a reader that has seen number
//! 9 could not know whether 8 is still to come. So they are numbered when they are read. Whoever reads numbers what it sees
//! and nobody has numbered, one reader at a time: what is committed later is numbered later. A vector is seen as soon as its
//! transaction has ended, whatever others are still open on the server.

use deadpool_postgres::{GenericClient, Transaction};
use soniquebay_domain::{Space, StoreError, VectorChanges};

use super::connection::{execute, first, rows};
use super::error::SqlError;
use super::row::{self, Numbers, TRACK_COLUMNS, get};

/// Held by whoever numbers, until its numbers can be seen.
const NUMBERING_LOCK: i64 = 0x5362_6179_0004;

/// What there is to read.
pub(super) struct News {
    /// Changes that nobody has numbered.
    pub(super) unnumbered: bool,
    /// Numbers above the one asked for.
    pub(super) numbered: bool,
}

/// Usually nothing: found out without a transaction.
pub(super) async fn news(client: &impl GenericClient, space: &Space, sequence: i64) -> Result<News, SqlError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM vector_changes WHERE space = $1 AND number IS NULL), \
                      EXISTS (SELECT 1 FROM vector_changes WHERE space = $1 AND number > $2)";
    match first(client, sql, &[&space.to_string(), &sequence]).await? {
        Some(row) => Ok(News { unnumbered: row.try_get(0)?, numbered: row.try_get(1)? }),
        None => Ok(News { unnumbered: false, numbered: false }),
    }
}

/// Numbers up to `limit` changes. Those that a writer is changing again at this moment are left to when it is done.
pub(super) async fn number(tx: &Transaction<'_>, space: &Space, limit: usize) -> Result<(), SqlError> {
    execute(tx, "SELECT pg_advisory_xact_lock($1)", &[&NUMBERING_LOCK]).await?;
    let sql = "WITH unnumbered AS MATERIALIZED (SELECT track_id FROM vector_changes WHERE space = $1 AND number IS NULL \
                    LIMIT $2 FOR UPDATE SKIP LOCKED) \
         UPDATE vector_changes SET number = nextval('vector_change_number') FROM unnumbered \
         WHERE space = $1 AND vector_changes.track_id = unnumbered.track_id";
    execute(tx, sql, &[&space.to_string(), &(limit as i64)]).await.map(drop)
}

/// Up to `limit` changes after `sequence`, oldest first, of those that are numbered.
pub(super) async fn after(
    client: &impl GenericClient,
    space: &Space,
    sequence: i64,
    limit: usize,
) -> Result<VectorChanges, SqlError> {
    let sql = format!(
        "WITH changed AS MATERIALIZED (SELECT track_id, space, number FROM vector_changes \
              WHERE space = $1 AND number > $2 ORDER BY number LIMIT $3) \
         SELECT number, changed.track_id AS track_id, vector, {TRACK_COLUMNS} FROM changed \
         LEFT JOIN track_vectors ON track_vectors.track_id = changed.track_id AND track_vectors.space = changed.space \
         LEFT JOIN tracks ON tracks.id = track_vectors.track_id ORDER BY number"
    );
    let mut changes = VectorChanges::default();
    for row in rows(client, &sql, &[&space.to_string(), &sequence, &(limit as i64)]).await? {
        let (sequence, track_id) = (get(&row, "number")?, row::track_id(get(&row, "track_id")?)?);
        if get::<Option<i64>>(&row, "id")?.is_none() {
            changes.removed(sequence, track_id);
            continue;
        }
        let Numbers(numbers) = get(&row, "vector")?;
        let corrupt = |_| StoreError::Corrupt { table: "track_vectors", row: track_id.to_string(), column: "vector" };
        changes.stored(sequence, track_id, numbers, row::facts(&row)?).map_err(corrupt)?;
    }
    Ok(changes)
}
