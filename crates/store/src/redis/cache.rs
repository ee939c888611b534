use std::time::Duration;

use async_trait::async_trait;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, IntoConnectionInfo, RedisError, pipe};
use soniquebay_domain::{EmbeddingCache, StoreError, TextKey};

use crate::numbers;

/// How long Redis may take to answer: longer, and embedding anew costs less than waiting.
const PATIENCE: Duration = Duration::from_millis(500);

/// Entries that nobody asks for are forgotten after 30 days, whatever Redis' own limit does.
const LIFETIME_SECONDS: u64 = 30 * 24 * 3600;

/// Embeddings of texts in Redis, shared by every worker. Bounded by their lifetime, and by Redis' own `maxmemory`.
pub struct RedisCache {
    connection: ConnectionManager,
}

/// Why a text is no address of a Redis server.
#[derive(Debug, thiserror::Error)]
#[error("no address of a Redis server, such as redis://host:6379/0: {0}")]
pub struct RedisUrlError(#[from] RedisError);

impl RedisCache {
    /// Connects when it is first asked, and again whenever the connection was lost.
    ///
    /// # Errors
    /// Where this is no address of a Redis server.
    pub fn new(url: &str) -> Result<Self, RedisUrlError> {
        let client = Client::open(url.into_connection_info()?)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_number_of_retries(1);
        Ok(Self { connection: ConnectionManager::new_lazy_with_config(client, config)? })
    }
}

fn name(key: &TextKey) -> Vec<u8> {
    [b"soniquebay:embedding:".as_slice(), key].concat()
}

fn away(error: &RedisError) -> StoreError {
    StoreError::Unavailable(format!("Redis: {error}"))
}

#[async_trait]
impl EmbeddingCache for RedisCache {
    async fn get(&self, keys: Vec<TextKey>) -> Result<Vec<Option<Vec<f32>>>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut connection = self.connection.clone();
        let names: Vec<Vec<u8>> = keys.iter().map(name).collect();
        let found: Vec<Option<Vec<u8>>> =
            redis::cmd("MGET").arg(names).query_async(&mut connection).await.map_err(|error| away(&error))?;
        Ok(found.into_iter().map(|bytes| bytes.as_deref().and_then(numbers::read)).collect())
    }

    async fn put(&self, entries: Vec<(TextKey, Vec<f32>)>) -> Result<(), StoreError> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut connection = self.connection.clone();
        let mut commands = pipe();
        for (key, vector) in &entries {
            commands.set_ex(name(key), numbers::write(vector), LIFETIME_SECONDS).ignore();
        }
        commands.query_async::<()>(&mut connection).await.map_err(|error| away(&error))
    }
}
