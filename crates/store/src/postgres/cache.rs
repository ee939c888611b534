use async_trait::async_trait;
use futures_util::future::try_join_all;
use soniquebay_domain::{EmbeddingCache, StoreError, TextKey};

use super::PostgresStore;
use super::connection::{execute, read, rows, transaction};
use super::error::SqlError;
use crate::numbers;

/// Embeddings of texts in the library's database, the newest so many.
pub struct PostgresCache {
    store: PostgresStore,
    most: i64,
}

impl PostgresCache {
    pub(super) fn new(store: PostgresStore, most: usize) -> Self {
        Self { store, most: i64::try_from(most).unwrap_or(i64::MAX) }
    }
}

#[async_trait]
impl EmbeddingCache for PostgresCache {
    async fn get(&self, keys: Vec<TextKey>) -> Result<Vec<Option<Vec<f32>>>, StoreError> {
        let asked: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
        read!(self.store.server, |client| async {
            let sql = "SELECT vector FROM unnest($1::bytea[]) WITH ORDINALITY AS asked (key, place) \
                     LEFT JOIN embedding_cache USING (key) ORDER BY place";
            let found = rows(client, sql, &[&asked]).await?;
            let read = |row: &tokio_postgres::Row| {
                let blob: Option<Vec<u8>> = row.try_get(0)?;
                Ok(blob.and_then(|blob| numbers::read(&blob)))
            };
            found.iter().map(read).collect()
        })
    }

    async fn put(&self, entries: Vec<(TextKey, Vec<f32>)>) -> Result<(), StoreError> {
        let mut entries: Vec<(TextKey, Vec<u8>)> =
            entries.into_iter().map(|(key, vector)| (key, numbers::write(&vector))).collect();
        // One order for all: two that remember the same texts do not wait for each other in a circle.
        entries.sort_unstable_by_key(|(key, _)| *key);
        let entries = &entries;
        transaction!(self.store.server, |tx| async {
            // A key that is there takes no number: numbers have few gaps, as only the lowest are ever removed.
            let sql = "INSERT INTO embedding_cache (key, vector) SELECT $1, $2 \
                     WHERE NOT EXISTS (SELECT 1 FROM embedding_cache WHERE key = $1) ON CONFLICT DO NOTHING";
            let statement = tx.prepare_cached(sql).await?;
            // Sent one behind the other, answered together.
            try_join_all(entries.iter().map(|(key, vector)| {
                let statement = &statement;
                async move { tx.execute(statement, &[&&key[..], vector]).await }
            }))
            .await?;
            let sql = "DELETE FROM embedding_cache WHERE number <= (SELECT max(number) FROM embedding_cache) - $1";
            execute(tx, sql, &[&self.most]).await.map(drop)
        })
    }
}
