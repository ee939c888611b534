//! Being alone with a database, its size, and room that is given back.

use std::time::Duration;

use soniquebay_domain::{Progress, StoreError};
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use super::connection::{NAME, Server, first, read, rows};
use super::error::SqlError;
use super::{PostgresStore, hnsw, restore, spaces};
use crate::transfer::half_moved;

/// Held by whoever needs the database for itself; whoever connects looks whether it is held.
const ALONE_LOCK: i64 = 0x5362_6179_0005;

/// How long connections of a process that has just ended may still be listed.
const LINGER: Duration = Duration::from_secs(2);

/// An HNSW index with more dead entries than this share of all is built anew.
const DEAD_SHARE: f64 = 0.1;

/// Tables in the order in which they are vacuumed.
const TABLES: [&str; 6] = ["tracks", "track_vectors", "vector_changes", "jobs", "spaces", "embedding_cache"];

/// Nobody else uses the database, as far as the server knows, until this is dropped: whoever comes is refused.
pub struct Alone {
    _client: Client,
    driver: JoinHandle<()>,
}

impl Drop for Alone {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Refuses half a library.
pub(super) async fn refuse_half(server: &Server) -> Result<(), StoreError> {
    match read!(server, |client| restore::unfinished(client))? {
        Some(source) => Err(unusable(server, &half_moved(&source))),
        None => Ok(()),
    }
}

/// Refuses a library that somebody needs for itself.
pub(super) async fn refuse_while_kept(server: &Server) -> Result<(), StoreError> {
    let free = read!(server, |client| async {
        // Taken and given back at once: it only tells whether somebody holds it.
        let sql = "SELECT pg_try_advisory_xact_lock_shared($1)";
        Ok(first(client, sql, &[&ALONE_LOCK]).await?.map(|row| row.try_get(0)).transpose()?.unwrap_or(true))
    })?;
    match free {
        true => Ok(()),
        false => Err(unusable(server, "`soniquebay db` works on the whole of it: try again when that is done")),
    }
}

fn unusable(server: &Server, reason: &str) -> StoreError {
    StoreError::Unavailable(format!("PostgreSQL at {}: {reason}", server.address()))
}

impl PostgresStore {
    /// Keeps others out, who must all have left: `Err` with what the server knows of whoever has not.
    ///
    /// # Errors
    /// Where the database is in use, or the server does not answer.
    pub async fn alone(&self) -> Result<Alone, StoreError> {
        let server = &self.server;
        let (client, connection) = server.alone().await?;
        let driver = tokio::spawn(async move {
            let _ = connection.await;
        });
        let alone = Alone { _client: client, driver };
        let client = &alone._client;
        let told = |error| server.told(error);
        let (began, mut held) = (tokio::time::Instant::now(), false);
        loop {
            if !held {
                let row = client.query_one("SELECT pg_try_advisory_lock($1)", &[&ALONE_LOCK]).await.map_err(told)?;
                held = row.try_get(0).map_err(told)?;
            }
            let sql = "SELECT count(*), coalesce(string_agg(DISTINCT coalesce(host(client_addr), 'this machine'), ', '), '') \
                 FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1";
            let others = client.query_one(sql, &[&NAME]).await.map_err(told)?;
            let (count, places): (i64, String) = (others.try_get(0).map_err(told)?, others.try_get(1).map_err(told)?);
            match (held, count) {
                (true, 0) => return Ok(alone),
                _ if began.elapsed() < LINGER => tokio::time::sleep(Duration::from_millis(100)).await,
                (false, _) => return Err(unusable(server, "another `soniquebay db` works on it")),
                (true, _) => {
                    let reason = format!("SoniqueBay runs on it, from {places} ({count} connections): stop that first");
                    return Err(unusable(server, &reason));
                }
            }
        }
    }

    pub(super) async fn bytes(&self) -> Result<u64, StoreError> {
        let names: Vec<String> = TABLES.iter().map(ToString::to_string).collect();
        read!(self.server, |client| async {
            let sql = "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class \
                 WHERE relname = ANY($1) AND relnamespace = current_schema()::regnamespace";
            let bytes: i64 = first(client, sql, &[&names]).await?.map(|row| row.try_get(0)).transpose()?.unwrap_or(0);
            Ok(bytes.unsigned_abs())
        })
    }

    /// Removes what is dead, gathers what the planner goes by, and builds anew what is broken or much of which is dead. Others
    /// may go on reading and writing.
    pub(super) async fn free_room(&self, told: &(dyn Fn(Progress) + Sync)) -> Result<(), StoreError> {
        let worn = read!(self.server, |client| worn(client))?;
        let total = (worn.len() + TABLES.len()) as u64;
        let tell = |step: &'static str, done: usize| {
            told(Progress { step: step.into(), done: done as u64, total, per_second: 0.0 });
        };
        read!(self.server, |client| async {
            for (done, index) in worn.iter().enumerate() {
                tell("indexes", done);
                client.batch_execute(&format!("REINDEX INDEX CONCURRENTLY {index}")).await?;
            }
            for (done, table) in TABLES.iter().enumerate() {
                tell("tables", worn.len() + done);
                client.batch_execute(&format!("VACUUM (ANALYZE) {table}")).await?;
            }
            Ok(())
        })
    }
}

/// HNSW indexes that are broken, and all of them where many vectors were replaced: entries of dead rows make searches slow.
async fn worn(client: &impl deadpool_postgres::GenericClient) -> Result<Vec<String>, SqlError> {
    let sql = "SELECT coalesce((SELECT n_dead_tup::float8 / greatest(n_live_tup + n_dead_tup, 1) FROM pg_stat_user_tables \
         WHERE relid = to_regclass('track_vectors')), 0)";
    let dead: f64 = first(client, sql, &[]).await?.map(|row| row.try_get(0)).transpose()?.unwrap_or(0.0);
    let names: Vec<String> = spaces::numbers(client).await?.into_iter().map(hnsw::name).collect();
    let sql = "SELECT relname::text FROM pg_class JOIN pg_index ON indexrelid = oid WHERE relname = ANY($1) \
         AND relnamespace = current_schema()::regnamespace AND ($2 OR NOT indisvalid)";
    rows(client, sql, &[&names, &(dead > DEAD_SHARE)]).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}
