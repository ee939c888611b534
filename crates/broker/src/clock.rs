//! One time for all processes that share a Redis server.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, IntoConnectionInfo, RedisError};
use soniquebay_domain::{Clock, SystemClock, Timestamp};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::bus::RedisUrlError;

/// Between two looks. Between them the machine's monotonic clock goes on, which nobody sets.
const EVERY: Duration = Duration::from_secs(5);

/// Wait after a look that failed.
const AGAIN: Duration = Duration::from_millis(200);

/// How long the server may take to say what time it is: longer, and the answer is too old.
const PATIENCE: Duration = Duration::from_millis(500);

/// The time of a Redis server. Leases are compared across machines, and some machines' clocks are wrong by hours: a worker
/// that is ahead would hold the jobs it died with for as long.
pub struct RedisClock {
    /// The server's time at a moment of ours; nothing before the first look.
    known: Arc<Mutex<Option<(Instant, Timestamp)>>>,
    looked: watch::Receiver<bool>,
    _looking: AbortOnDropHandle<()>,
}

impl RedisClock {
    /// The time of this server; the machine's own until it has answered once.
    ///
    /// # Errors
    /// Where this is no address of a Redis server.
    pub fn new(url: &str) -> Result<Self, RedisUrlError> {
        let client = Client::open(url.into_connection_info()?)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_number_of_retries(0);
        let connection = ConnectionManager::new_lazy_with_config(client, config)?;
        let (known, (tell, looked)) = (Arc::default(), watch::channel(false));
        let looking = tokio::spawn(look(connection, Arc::clone(&known), tell));
        Ok(Self { known, looked, _looking: AbortOnDropHandle::new(looking) })
    }

    /// Waits for the server's first answer, but not for long: it may be away.
    pub async fn first_look(&self) {
        let mut looked = self.looked.clone();
        let _ = tokio::time::timeout(2 * PATIENCE, looked.wait_for(|looked| *looked)).await;
    }
}

impl Clock for RedisClock {
    fn now(&self) -> Timestamp {
        match *self.known.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((when, time)) => time.after(when.elapsed()),
            None => SystemClock.now(),
        }
    }
}

async fn look(
    mut connection: ConnectionManager,
    known: Arc<Mutex<Option<(Instant, Timestamp)>>>,
    tell: watch::Sender<bool>,
) {
    loop {
        let asked = Instant::now();
        let said: Result<(i64, i64), RedisError> = redis::cmd("TIME").query_async(&mut connection).await;
        let wait = match said {
            Ok((seconds, micros)) => {
                let half_way = asked + asked.elapsed() / 2;
                let time = Timestamp(seconds.saturating_mul(1000).saturating_add(micros / 1000));
                *known.lock().unwrap_or_else(PoisonError::into_inner) = Some((half_way, time));
                tell.send_replace(true);
                EVERY
            }
            Err(_) => AGAIN,
        };
        tokio::time::sleep(wait).await;
    }
}
