//! Which Redis, which queue, and how much is kept.

use std::time::Duration;

use redis::{ConnectionInfo, IntoConnectionInfo};
use soniquebay_domain::Space;

/// Name of the queue of files to be heard.
const ANALYSIS: &str = "analysis";

/// How jobs travel as Celery messages.
#[derive(Clone, Debug)]
pub struct CeleryConfig {
    pub(super) broker: ConnectionInfo,
    /// Where results go, if not to the broker itself.
    pub(super) results: Option<ConnectionInfo>,
    /// The space of messages that name none, as those of a Python producer.
    pub default_space: Space,
    /// Name of the queue: `vectorization`, or `analysis` for files to be heard.
    pub queue: String,
    /// What `celery inspect` calls this process: `soniquebay-<pid>@<host>`. No two may have the same name.
    pub node: String,
    /// kombu's `global_keyprefix`, as in `broker_transport_options`.
    pub key_prefix: String,
    /// The same of `result_backend_transport_options`.
    pub result_prefix: String,
    /// Tries of a job before it is given up.
    pub attempts: u32,
    /// How long results are kept: 24 h, as Celery's own.
    pub result_expiry: Duration,
    /// How long a message that waits keeps another for the same track from being queued.
    pub dedup: Duration,
    /// Dead letters that are kept; the oldest go first.
    pub dead_letters: usize,
    /// Jobs that the worker does at once, as `celery inspect stats` tells it.
    pub concurrency: usize,
}

/// Why settings name no queue.
#[derive(Debug, thiserror::Error)]
pub enum CeleryConfigError {
    /// Another broker or backend than Redis.
    #[error("{setting}: {scheme}:// is not supported, Redis alone is: write redis://host:6379/0")]
    NotRedis {
        /// Which setting.
        setting: &'static str,
        /// What it begins with.
        scheme: String,
    },
    /// No address.
    #[error("{setting}: no address of a Redis server, such as redis://host:6379/0: {source}")]
    Address {
        /// Which setting.
        setting: &'static str,
        /// What is wrong with it.
        source: redis::RedisError,
    },
}

impl CeleryConfig {
    /// The settings that CELERY_BROKER_URL and CELERY_RESULT_BACKEND name. Without the latter, results go to the broker.
    ///
    /// # Errors
    /// Where either is not the address of a Redis server.
    pub fn new(broker: &str, results: Option<&str>, default_space: Space) -> Result<Self, CeleryConfigError> {
        let broker = address("CELERY_BROKER_URL", broker)?;
        let results = results.map(|url| address("CELERY_RESULT_BACKEND", url)).transpose()?;
        let is_elsewhere = |other: &ConnectionInfo| {
            other.addr() != broker.addr() || other.redis_settings().db() != broker.redis_settings().db()
        };
        Ok(Self {
            results: results.filter(is_elsewhere),
            broker,
            default_space,
            queue: "vectorization".into(),
            node: format!("soniquebay-{}@{}", std::process::id(), host()),
            key_prefix: String::new(),
            result_prefix: String::new(),
            attempts: 8,
            result_expiry: Duration::from_secs(24 * 3600),
            dedup: Duration::from_secs(60),
            dead_letters: 10_000,
            concurrency: 2,
        })
    }
}

impl CeleryConfig {
    /// The same for files to be heard into this space: a queue of their own, which no Python worker listens to.
    #[must_use]
    pub fn of_analysis(&self, sound: Space) -> Self {
        Self { queue: ANALYSIS.into(), default_space: sound, ..self.clone() }
    }
}

fn address(setting: &'static str, url: &str) -> Result<ConnectionInfo, CeleryConfigError> {
    let scheme = url.split("://").next().filter(|scheme| scheme.len() < url.len()).unwrap_or_default();
    // Celery's own way to name a backend without a server: "rpc", "cache+memcached://…".
    if !matches!(scheme, "redis" | "rediss") {
        let scheme = if scheme.is_empty() { "an address without redis" } else { scheme };
        return Err(CeleryConfigError::NotRedis { setting, scheme: scheme.chars().take(40).collect() });
    }
    url.into_connection_info().map_err(|source| CeleryConfigError::Address { setting, source })
}

fn host() -> String {
    let named = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = named.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "localhost".into() } else { name.into() }
}

#[cfg(test)]
mod tests {
    use soniquebay_domain::Space;

    use super::CeleryConfig;

    fn read(broker: &str, results: Option<&str>) -> Result<CeleryConfig, String> {
        CeleryConfig::new(broker, results, Space::parse("m/4").unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn only_redis_is_taken_and_secrets_are_kept() {
        for url in ["amqp://user:secret@host//", "rpc://", "sentinel://secret@a", "host:6379", "", "redis+socket:///x"]
        {
            let error = read(url, None).unwrap_err();
            assert!(error.contains("CELERY_BROKER_URL") && error.contains("redis://host:6379/0"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
        let error = read("redis://host", Some("db+postgresql://user:secret@host/db")).unwrap_err();
        assert!(error.contains("CELERY_RESULT_BACKEND: db+postgresql://") && !error.contains("secret"), "{error}");
        assert!(read("redis://:secret@host:6379/nine", None).is_err_and(|error| !error.contains("secret")));
        assert!(read("rediss://:secret@host:6380/1?ssl_cert_reqs=required", None).is_ok());
    }

    #[test]
    fn results_lie_beside_the_messages_or_elsewhere() {
        assert!(read("redis://host/1", None).unwrap().results.is_none());
        assert!(read("redis://host/1", Some("redis://host:6379/1")).unwrap().results.is_none());
        assert!(read("redis://host/1", Some("redis://host:6379/2")).unwrap().results.is_some());
    }
}
