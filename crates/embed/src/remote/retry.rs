//! How long to wait before asking again, and when to stop asking.

use std::time::{Duration, Instant};

use super::config::Patience;

/// The waits of one request that keeps failing: full jitter, as clients that failed together must not return together.
#[derive(Debug)]
pub(crate) struct Backoff<'a> {
    patience: &'a Patience,
    tries: u32,
    started: Instant,
}

impl<'a> Backoff<'a> {
    pub(crate) fn new(patience: &'a Patience, now: Instant) -> Self {
        Self { patience, tries: 0, started: now }
    }

    /// Starts anew: something went well.
    pub(crate) fn reset(&mut self, now: Instant) {
        (self.tries, self.started) = (0, now);
    }

    /// Whether it was tried again, as often as may be.
    pub(crate) fn is_spent(&self) -> bool {
        self.tries >= self.patience.tries.max(2)
    }

    /// How long to wait after a failure; `None` where tries or time are spent. `asked` is what the server asked for.
    pub(crate) fn next(&mut self, now: Instant, asked: Option<Duration>) -> Option<Duration> {
        self.tries += 1;
        if self.tries >= self.patience.tries {
            return None;
        }
        let most = self.patience.first_delay.saturating_mul(1 << (self.tries - 1).min(16));
        let delay = most.min(self.patience.longest_delay).mul_f64(fastrand::f64()).max(asked.unwrap_or_default());
        (now.duration_since(self.started).saturating_add(delay) < self.patience.retry_budget).then_some(delay)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Backoff, Patience};

    #[test]
    fn waits_grow_are_spread_and_end() {
        let (patience, now) = (Patience::default(), Instant::now());
        let mut longest = [Duration::ZERO; 4];
        let mut early = 0;
        for _ in 0..1000 {
            let mut backoff = Backoff::new(&patience, now);
            for (n, longest) in longest.iter_mut().enumerate() {
                let delay = backoff.next(now, None).unwrap();
                assert!(delay <= patience.first_delay * (1 << n));
                *longest = delay.max(*longest);
                early += u32::from(n == 0 && delay < patience.first_delay / 2);
            }
            assert!(!backoff.is_spent());
            assert_eq!(backoff.next(now, None), None, "five tries have four waits");
            assert!(backoff.is_spent());
        }
        assert!(longest.is_sorted(), "{longest:?}");
        assert!((300..700).contains(&early), "{early} of 1,000 waits are in the lower half: no full jitter");
    }

    #[test]
    fn what_the_server_asks_for_is_kept_within_the_budget() {
        let (patience, now) = (Patience::default(), Instant::now());
        let asked = Duration::from_secs(20);
        assert!(Backoff::new(&patience, now).next(now, Some(asked)).unwrap() >= asked);
        assert_eq!(Backoff::new(&patience, now).next(now, Some(Duration::from_secs(1 << 40))), None);
        assert_eq!(Backoff::new(&patience, now).next(now, Some(Duration::MAX)), None);
        let late = now + patience.retry_budget;
        let mut backoff = Backoff::new(&patience, now);
        assert_eq!(backoff.next(late, None), None);
        backoff.reset(late);
        assert!(backoff.next(late, None).is_some());
    }
}
