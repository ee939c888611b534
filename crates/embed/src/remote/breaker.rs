//! When a server fails again and again, it is left alone for a while.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// So many failures in a row open it.
const IN_A_ROW: u32 = 5;

/// Or more than half of so many latest requests.
const WINDOW: u32 = 20;

/// What the breaker lets through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BreakerState {
    /// Everything.
    #[default]
    Closed,
    /// Nothing: the server rests.
    Open,
    /// One look at whether the server works again.
    HalfOpen,
}

/// A circuit breaker for one model on one server.
///
/// Half open needs no rule of its own: opening takes the readiness away, and only one preparation runs at a time (see
/// `client`), so that whatever comes first when the rest is over is the one probe.
#[derive(Debug)]
pub(crate) struct Breaker {
    first_rest: Duration,
    longest_rest: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    in_a_row: u32,
    /// The latest requests, the newest in the lowest bit: 1 is a failure.
    latest: u32,
    seen: u32,
    open: Option<Open>,
    opened: u64,
}

#[derive(Debug)]
struct Open {
    until: Instant,
    rest: Duration,
    reason: String,
}

impl Breaker {
    pub(crate) fn new(first_rest: Duration, longest_rest: Duration) -> Self {
        Self { first_rest, longest_rest, state: Mutex::default() }
    }

    /// Why nothing may be asked now, where that is so.
    pub(crate) fn resting(&self, now: Instant) -> Option<String> {
        let state = self.lock();
        let open = state.open.as_ref()?;
        let left = open.until.checked_duration_since(now).filter(|left| !left.is_zero())?;
        Some(format!("{}; it is asked again in {:.0} s", open.reason, left.as_secs_f64().ceil()))
    }

    /// A request went well.
    pub(crate) fn succeeded(&self) {
        let mut state = self.lock();
        state.count(false);
        state.in_a_row = 0;
        state.open = None;
    }

    /// A request failed in a way that may pass; whether that opened the breaker.
    pub(crate) fn failed(&self, now: Instant, reason: &str) -> bool {
        let mut state = self.lock();
        state.count(true);
        state.in_a_row += 1;
        let half = state.seen >= WINDOW && state.latest.count_ones() * 2 > WINDOW;
        let open = state.open.is_some() || state.in_a_row >= IN_A_ROW || half;
        open && self.rest(&mut state, now, reason)
    }

    /// Asking again at once is of no use: opens now; whether it was not open already.
    pub(crate) fn open(&self, now: Instant, reason: &str) -> bool {
        self.rest(&mut self.lock(), now, reason)
    }

    pub(crate) fn state(&self, now: Instant) -> BreakerState {
        match &self.lock().open {
            None => BreakerState::Closed,
            Some(open) if open.until > now => BreakerState::Open,
            Some(_) => BreakerState::HalfOpen,
        }
    }

    /// How often it opened.
    pub(crate) fn opened(&self) -> u64 {
        self.lock().opened
    }

    fn rest(&self, state: &mut State, now: Instant, reason: &str) -> bool {
        let rest = match &state.open {
            None => self.first_rest,
            // Requests that were under way when it opened say nothing new.
            Some(open) if open.until > now => return false,
            Some(open) => open.rest.saturating_mul(2).min(self.longest_rest),
        };
        (state.latest, state.seen) = (0, 0);
        state.opened += 1;
        state.open = Some(Open { until: now + rest, rest, reason: reason.to_owned() });
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn count(&mut self, failure: bool) {
        self.latest = (self.latest << 1 | u32::from(failure)) & ((1 << WINDOW) - 1);
        self.seen = (self.seen + 1).min(WINDOW);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Breaker, BreakerState};

    fn breaker() -> Breaker {
        Breaker::new(Duration::from_secs(5), Duration::from_secs(60))
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_rests_grow() {
        let (breaker, mut now) = (breaker(), Instant::now());
        for _ in 0..4 {
            assert!(!breaker.failed(now, "gone"));
        }
        breaker.succeeded();
        for _ in 0..4 {
            assert!(!breaker.failed(now, "gone"), "a success starts the count anew");
        }
        assert!(breaker.failed(now, "gone"));
        assert!(breaker.resting(now).unwrap().contains("gone; it is asked again in 5 s"));
        for rest in [5, 10, 20, 40, 60, 60] {
            now += Duration::from_millis(rest * 1000 - 1);
            assert_eq!(breaker.state(now), BreakerState::Open, "rest of {rest} s");
            assert!(!breaker.failed(now, "one that was under way"));
            now += Duration::from_millis(1);
            assert_eq!((breaker.state(now), breaker.resting(now)), (BreakerState::HalfOpen, None));
            assert!(breaker.failed(now, "gone"));
        }
        breaker.succeeded();
        assert_eq!(breaker.state(now), BreakerState::Closed);
        assert!(breaker.open(now, "no such model"));
        assert!(breaker.resting(now).unwrap().contains("5 s"), "the first rest is short again");
        assert_eq!(breaker.opened(), 8);
    }

    #[test]
    fn more_than_half_of_twenty_open_it() {
        let (breaker, now) = (breaker(), Instant::now());
        for n in 0..20 {
            // Three failures, two successes: never five in a row.
            match n % 5 {
                0..3 => assert!(!breaker.failed(now, "shaky"), "twenty are needed"),
                _ => breaker.succeeded(),
            }
        }
        assert!(breaker.failed(now, "shaky"));
    }
}
