//! How long to wait before asking again, and when to stop asking.

use std::time::Duration;

use tokio::time::Instant;

use super::config::Patience;

/// The waits of one request that keeps failing: full jitter, as clients that failed together must not return together.
#[derive(Debug)]
pub(crate) struct Backoff<'a> {
    patience: &'a Patience,
    tries: u32,
    started: Instant,
}

impl<'a> Backoff<'a> {
    pub(crate) fn new(patience: &'a Patience) -> Self {
        Self { patience, tries: 0, started: Instant::now() }
    }

    /// Starts anew: something went well.
    pub(crate) fn reset(&mut self) {
        (self.tries, self.started) = (0, Instant::now());
    }

    /// How long to wait after a failure; `None` where tries or time are spent. `asked` is what the server asked for.
    pub(crate) fn next(&mut self, asked: Option<Duration>) -> Option<Duration> {
        self.tries += 1;
        if self.tries >= self.patience.tries {
            return None;
        }
        let most = self.patience.first_delay.saturating_mul(1 << (self.tries - 1).min(16));
        let delay = most.min(self.patience.longest_delay).mul_f64(fastrand::f64()).max(asked.unwrap_or_default());
        (self.started.elapsed() + delay < self.patience.retry_budget).then_some(delay)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Backoff, Patience};

    #[tokio::test(start_paused = true)]
    async fn waits_grow_are_spread_and_end() {
        let patience = Patience::default();
        let mut longest = [Duration::ZERO; 4];
        let mut firsts = Vec::new();
        for _ in 0..1000 {
            let mut backoff = Backoff::new(&patience);
            for (n, longest) in longest.iter_mut().enumerate() {
                let delay = backoff.next(None).unwrap();
                assert!(delay <= patience.first_delay * (1 << n));
                *longest = delay.max(*longest);
                firsts.extend((n == 0).then_some(delay));
            }
            assert_eq!(backoff.next(None), None, "five tries have four waits");
        }
        assert!(longest.is_sorted(), "{longest:?}");
        let half = patience.first_delay / 2;
        let early = firsts.iter().filter(|delay| **delay < half).count();
        assert!((300..700).contains(&early), "{early} of 1,000 waits are in the lower half: no full jitter");
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_server_asks_for_is_kept_within_the_budget() {
        let patience = Patience::default();
        let asked = Duration::from_secs(20);
        assert!(Backoff::new(&patience).next(Some(asked)).unwrap() >= asked);
        assert_eq!(Backoff::new(&patience).next(Some(Duration::from_secs(1 << 40))), None);
        let mut backoff = Backoff::new(&patience);
        tokio::time::advance(patience.retry_budget).await;
        assert_eq!(backoff.next(None), None);
        backoff.reset();
        assert!(backoff.next(None).is_some());
    }
}
