//! Room that deleted rows left, given back.

use soniquebay_domain::{Progress, StoreError};

use super::{SqliteStore, spaces, vec0};

/// Builds the sqlite-vec tables anew, whose chunks are never freed, merges the full text, and rewrites the file. Needs as much
/// room beside the file as it has, and nobody else can write meanwhile.
pub(super) async fn vacuum(store: &SqliteStore, told: &(dyn Fn(Progress) + Sync)) -> Result<(), StoreError> {
    let tables = store.readers.read(spaces::vec0_tables).await?;
    let total = tables.len() as u64 + 2;
    let tell = |step: &'static str, done: u64| told(Progress { step: step.into(), done, total, per_second: 0.0 });
    for (done, table) in (0..).zip(tables) {
        tell("sqlite-vec", done);
        store.writer.transaction(move |tx| vec0::rebuild(tx, &table)).await?;
    }
    tell("full text", total - 2);
    store
        .writer
        .transaction(|tx| {
            Ok(tx.execute_batch(
                "INSERT INTO track_words (track_words) VALUES ('optimize');
                 INSERT INTO track_trigrams (track_trigrams) VALUES ('optimize');
                 ANALYZE;",
            )?)
        })
        .await?;
    tell("file", total - 1);
    store
        .writer
        .outside_transaction(|connection| {
            connection.execute_batch("VACUUM")?;
            Ok(connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
        })
        .await
}
