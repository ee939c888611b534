//! How a Redis server is set up, and who listens there: for whoever looks for a fault.

use std::collections::HashMap;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo, RedisError};
use soniquebay_domain::{Clock, SystemClock};

use crate::bus::TRACKS;

/// What a Redis server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisStanding {
    /// Its version, as it writes it.
    pub version: String,
    /// What it does when its memory is full: `noeviction` keeps everything.
    pub eviction: String,
    /// Bytes in use.
    pub used: u64,
    /// Bytes that it may use; 0 for any number.
    pub most: u64,
    /// Whether what is written survives its end: by a log, or by snapshots that succeed.
    pub persists: bool,
    /// How far its clock is ahead of ours, in milliseconds.
    pub ahead: i64,
    /// Listeners to events of tracks, ours and others.
    pub listeners: u64,
    /// Workers of ours that hear remote control.
    pub workers: u64,
    /// Whether others subscribed to patterns, as Celery's own workers do.
    pub has_others: bool,
}

impl RedisStanding {
    /// Asks the server, within this time.
    ///
    /// # Errors
    /// Where this is no address of a Redis server, or it does not answer. The text tells no password.
    pub async fn look(url: &str, within: Duration) -> Result<Self, String> {
        let info = url.into_connection_info().map_err(|error| error.to_string())?;
        let control = format!("/{}.celery.pidbox", info.redis_settings().db());
        let look = async {
            let config =
                AsyncConnectionConfig::new().set_connection_timeout(Some(within)).set_response_timeout(Some(within));
            let mut connection = Client::open(info)?.get_multiplexed_async_connection_with_config(&config).await?;
            read(&mut connection, &control).await
        };
        match tokio::time::timeout(within, look).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {within:.0?}")),
        }
    }
}

async fn read(connection: &mut MultiplexedConnection, control: &str) -> Result<RedisStanding, RedisError> {
    let info: String = redis::cmd("INFO").query_async(connection).await?;
    let (seconds, micros): (i64, i64) = redis::cmd("TIME").query_async(connection).await?;
    let now = SystemClock.now().0;
    let heard: (String, u64, String, u64) =
        redis::cmd("PUBSUB").arg("NUMSUB").arg(TRACKS).arg(control).query_async(connection).await?;
    let patterns: u64 = redis::cmd("PUBSUB").arg("NUMPAT").query_async(connection).await?;
    // Servers that others run often keep this from their guests.
    let save: Option<HashMap<String, String>> =
        redis::cmd("CONFIG").arg("GET").arg("save").query_async(connection).await.ok();
    let facts: HashMap<&str, &str> = info.lines().filter_map(|line| line.trim().split_once(':')).collect();
    let text = |name: &str| facts.get(name).copied().unwrap_or_default();
    let number = |name: &str| text(name).parse().unwrap_or_default();
    let has_snapshots = save.is_none_or(|save| save.values().any(|points| !points.is_empty()));
    Ok(RedisStanding {
        version: text("redis_version").to_owned(),
        eviction: text("maxmemory_policy").to_owned(),
        used: number("used_memory"),
        most: number("maxmemory"),
        persists: text("aof_enabled") == "1" || (has_snapshots && text("rdb_last_bgsave_status") == "ok"),
        ahead: seconds.saturating_mul(1000).saturating_add(micros / 1000).saturating_sub(now),
        listeners: heard.1,
        workers: heard.3,
        has_others: patterns > 0,
    })
}
