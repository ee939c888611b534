//! One time for all processes that share a server.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use soniquebay_domain::{Clock, StoreError, SystemClock, Timestamp};
use tokio::task::JoinHandle;

use super::connection::{Server, first, read};
use super::error::SqlError;

/// Between two looks. Between them the machine's monotonic clock goes on, which nobody sets.
const EVERY: Duration = Duration::from_secs(10);

/// The server's time. Leases are compared across machines, and some machines' clocks are wrong by hours: a worker that is ahead
/// would hold the jobs it died with for as long.
pub(super) struct ServerClock {
    /// The server's time at a moment of ours.
    known: Arc<Mutex<(Instant, Timestamp)>>,
    looking: JoinHandle<()>,
}

impl ServerClock {
    /// Asks the server, and again every few seconds.
    pub(super) async fn start(server: Server) -> Result<Self, StoreError> {
        let known = Arc::new(Mutex::new(look(&server).await?));
        let kept = Arc::clone(&known);
        let looking = tokio::spawn(async move {
            loop {
                tokio::time::sleep(EVERY).await;
                // While it is away nobody claims jobs.
                if let Ok(seen) = look(&server).await {
                    *kept.lock().unwrap_or_else(PoisonError::into_inner) = seen;
                }
            }
        });
        Ok(Self { known, looking })
    }
}

impl Clock for ServerClock {
    fn now(&self) -> Timestamp {
        let (when, time) = *self.known.lock().unwrap_or_else(PoisonError::into_inner);
        time.after(when.elapsed())
    }
}

impl Drop for ServerClock {
    fn drop(&mut self) {
        self.looking.abort();
    }
}

async fn look(server: &Server) -> Result<(Instant, Timestamp), StoreError> {
    read!(server, |client| async {
        let asked = Instant::now();
        let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
        let said: Option<i64> = first(client, sql, &[]).await?.map(|row| row.try_get(0)).transpose()?;
        let half_way = asked + asked.elapsed() / 2;
        Ok::<_, SqlError>((half_way, said.map_or_else(|| SystemClock.now(), Timestamp)))
    })
}
