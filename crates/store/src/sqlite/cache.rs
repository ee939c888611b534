use async_trait::async_trait;
use rusqlite::{OptionalExtension, params};
use soniquebay_domain::{EmbeddingCache, StoreError, TextKey};

use super::SqliteStore;
use crate::numbers;

/// Embeddings of texts in the library's file, the newest so many.
pub struct SqliteCache {
    store: SqliteStore,
    most: usize,
}

impl SqliteCache {
    /// The cache in this file, of at most so many texts.
    pub(super) fn new(store: SqliteStore, most: usize) -> Self {
        Self { store, most }
    }
}

#[async_trait]
impl EmbeddingCache for SqliteCache {
    async fn get(&self, keys: Vec<TextKey>) -> Result<Vec<Option<Vec<f32>>>, StoreError> {
        self.store
            .readers
            .read(move |conn| {
                let mut statement = conn.prepare_cached("SELECT vector FROM embedding_cache WHERE key = ?1")?;
                let mut find = |key: &TextKey| {
                    let blob: Option<Vec<u8>> = statement.query_row([&key[..]], |row| row.get(0)).optional()?;
                    Ok(blob.and_then(|blob| numbers::read(&blob)))
                };
                keys.iter().map(&mut find).collect()
            })
            .await
    }

    async fn put(&self, entries: Vec<(TextKey, Vec<f32>)>) -> Result<(), StoreError> {
        let most = self.most;
        self.store
            .writer
            .transaction(move |tx| {
                let mut statement =
                    tx.prepare_cached("INSERT OR IGNORE INTO embedding_cache (key, vector) VALUES (?1, ?2)")?;
                for (key, vector) in &entries {
                    statement.execute(params![&key[..], numbers::write(vector)])?;
                }
                // Numbers have no gaps, as only the lowest are ever removed.
                tx.prepare_cached(
                    "DELETE FROM embedding_cache WHERE number <= (SELECT max(number) FROM embedding_cache) - ?1",
                )?
                .execute([most])?;
                Ok(())
            })
            .await
    }
}
