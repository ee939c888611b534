//! The change log, read in an order in which nothing is missed.
//!
//! Numbers are given when a row is written and rows are seen when their transaction ends, in another order: a reader that has
//! seen number 9 cannot know whether 8 is still to come. So a number begins with its transaction's id, and the server tells
//! below which id all transactions have ended (the snapshot's xmin). Changes below it are answered under their numbers. Those
//! above it are answered too, as a vector that was stored is to be found at once, but all under the last number below:
//! whoever asks again after it is told of them again, and of what was missing, until the older transactions have ended.
//! Ours end soon, as their statements and their pauses have time limits; while a transaction of another program on the same
//! server stays open that has written, what came after its beginning is read anew at each question, and no more.

use deadpool_postgres::GenericClient;
use soniquebay_domain::{Space, VectorChange};
use tokio_postgres::Row;

use super::connection::rows;
use super::error::SqlError;
use super::row::{self, TRACK_COLUMNS, get};

/// Up to `limit` changes after `sequence`, oldest first; a few more where the last ones bear one number.
pub(super) async fn after(
    client: &impl GenericClient,
    space: &Space,
    sequence: i64,
    limit: usize,
) -> Result<Vec<VectorChange>, SqlError> {
    let sql = format!(
        "WITH horizon AS (SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint << 20 AS number), \
         changed AS (SELECT track_id, space, number FROM vector_changes WHERE space = $1 AND number > $2 \
                     ORDER BY number FETCH FIRST $3 ROWS WITH TIES) \
         SELECT least(changed.number, horizon.number - 1) AS sequence, changed.number >= horizon.number AS unsettled, \
                changed.track_id AS track_id, vector, {TRACK_COLUMNS} \
         FROM changed CROSS JOIN horizon \
         LEFT JOIN track_vectors ON track_vectors.track_id = changed.track_id AND track_vectors.space = changed.space \
         LEFT JOIN tracks ON tracks.id = track_vectors.track_id ORDER BY changed.number"
    );
    let mut found = rows(client, &sql, &[&space.to_string(), &sequence, &(limit as i64)]).await?;
    // A full answer asks for another question, which would be answered the same as long as the last number stays.
    if found.len() >= limit && found.last().map(|row| get(row, "unsettled")).transpose()?.unwrap_or(false) {
        found.truncate(limit.saturating_sub(1).max(1));
    }
    found.iter().map(change).collect()
}

fn change(row: &Row) -> Result<VectorChange, SqlError> {
    let is_there: Option<i64> = get(row, "id")?;
    let now = is_there.map(|_| Ok::<_, SqlError>((row::vector(row)?, row::facts(row)?))).transpose()?;
    Ok(VectorChange { sequence: get(row, "sequence")?, track_id: row::track_id(get(row, "track_id")?)?, now })
}
