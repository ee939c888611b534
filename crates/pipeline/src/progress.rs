use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use soniquebay_domain::{JobQueue, Progress};

/// Listeners hear no more often than this.
const INTERVAL: Duration = Duration::from_millis(250);

/// Counts a burst of work, from the first job until none is left.
pub(crate) struct Meter {
    /// Whether files are heard, rather than tracks embedded.
    is_analysis: bool,
    burst: Mutex<Option<Burst>>,
}

struct Burst {
    began: Instant,
    told: Instant,
    done: u64,
}

impl Meter {
    pub(crate) fn new(is_analysis: bool) -> Self {
        Self { is_analysis, burst: Mutex::new(None) }
    }

    /// Counts `done` more jobs, and tells how far the burst is, where it is time to.
    pub(crate) async fn count(&self, done: usize, queue: &dyn JobQueue) -> Option<Progress> {
        {
            let mut burst = self.burst.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let burst = burst.get_or_insert(Burst { began: now, told: now, done: 0 });
            burst.done += done as u64;
        }
        let counts = queue.counts_by_work().await.ok()?;
        let left = if self.is_analysis { counts.analysis } else { counts.embedding }.under_way();
        let mut slot = self.burst.lock().unwrap_or_else(PoisonError::into_inner);
        let burst = slot.as_mut()?;
        if left > 0 && burst.told.elapsed() < INTERVAL {
            return None;
        }
        burst.told = Instant::now();
        let progress = Progress {
            step: if self.is_analysis { "analysis" } else { "vectorization" }.into(),
            done: burst.done,
            total: burst.done + left,
            per_second: burst.done as f64 / burst.began.elapsed().as_secs_f64().max(1e-3),
        };
        if left == 0 {
            *slot = None;
        }
        Some(progress)
    }
}
