use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use soniquebay_domain::{JobQueue, Progress};

/// Listeners hear no more often than this.
const INTERVAL: Duration = Duration::from_millis(250);

/// Where more than so many jobs are left, the queue is not counted more often than listeners hear: counting takes as long as
/// there are jobs, and that so many are done within an interval, by however many workers, is not to be expected.
const MANY: u64 = 2_000;

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
    /// When it was counted last.
    left: u64,
}

impl Meter {
    pub(crate) fn new(is_analysis: bool) -> Self {
        Self { is_analysis, burst: Mutex::new(None) }
    }

    /// Counts `done` more jobs, and tells how far the burst is, where it is time to.
    pub(crate) async fn count(&self, done: usize, queue: &dyn JobQueue) -> Option<Progress> {
        self.count_beside(done, self.left(queue)).await
    }

    async fn left(&self, queue: &dyn JobQueue) -> Option<u64> {
        let counts = queue.counts_by_work().await.ok()?;
        Some(if self.is_analysis { counts.analysis } else { counts.embedding }.under_way())
    }

    /// The same, where `left` counts those that are left.
    async fn count_beside(&self, done: usize, left: impl Future<Output = Option<u64>>) -> Option<Progress> {
        {
            let mut burst = self.burst.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let burst = burst.get_or_insert(Burst { began: now, told: now, done: 0, left: 0 });
            burst.done += done as u64;
            if burst.left > MANY && burst.told.elapsed() < INTERVAL {
                return None;
            }
        }
        let left = left.await?;
        let mut slot = self.burst.lock().unwrap_or_else(PoisonError::into_inner);
        let burst = slot.as_mut()?;
        burst.left = left;
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Instant;

    use super::{INTERVAL, MANY, Meter};

    #[tokio::test]
    async fn a_long_queue_is_not_counted_job_by_job() {
        let (meter, counted) = (Meter::new(false), Cell::new(0));
        let left = async |left: u64| {
            counted.set(counted.get() + 1);
            Some(left)
        };
        let began = Instant::now();
        for _ in 0..1000 {
            assert!(meter.count_beside(1, left(MANY + 1)).await.is_none() || began.elapsed() >= INTERVAL);
        }
        let intervals = began.elapsed().as_millis() / INTERVAL.as_millis();
        assert!((1..=1 + intervals).contains(&counted.get()), "{} times", counted.get());
        tokio::time::sleep(INTERVAL).await;
        let told = meter.count_beside(1, left(1)).await.unwrap();
        assert_eq!((told.done, told.total), (1001, 1002));
        // Near the end each job is looked at, so that the end is told.
        let before = counted.get();
        meter.count_beside(1, left(1)).await;
        let end = meter.count_beside(1, left(0)).await.unwrap();
        assert_eq!((end.done, end.total, counted.get()), (1003, 1003, before + 2));
    }
}
