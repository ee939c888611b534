//! How much one caller may ask.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Callers that are told apart at one time; those beyond it share what one may ask.
const CALLERS: usize = 10_000;

/// How much one caller may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests a second, on and on.
    pub per_second: u32,
    /// Requests at once, after a while without any.
    pub burst: u32,
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} requests a second, or {} at once", self.per_second, self.burst)
    }
}

/// What is counted apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Counted {
    Key(Arc<str>),
    Address(IpAddr),
    /// All for whom there is no place.
    Others,
}

/// The generic cell rate algorithm (ITU-T I.371): of each caller one moment is kept, up to which it has used what it may.
pub(super) struct RateLimiter {
    rate: Rate,
    used_until: Mutex<HashMap<Counted, Instant>>,
}

impl RateLimiter {
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, used_until: Mutex::default() }
    }

    pub(super) fn rate(&self) -> Rate {
        self.rate
    }

    /// Counts a request of now, or says how long to wait.
    pub(super) fn count(&self, counted: Counted) -> Result<(), Duration> {
        self.count_at(counted, Instant::now())
    }

    fn count_at(&self, counted: Counted, now: Instant) -> Result<(), Duration> {
        let one = Duration::from_secs(1) / self.rate.per_second.max(1);
        let allowed = one * self.rate.burst.max(1);
        let mut used_until = self.used_until.lock().unwrap_or_else(PoisonError::into_inner);
        if used_until.len() >= CALLERS && !used_until.contains_key(&counted) {
            used_until.retain(|_, until| *until > now);
        }
        let is_full = used_until.len() >= CALLERS && !used_until.contains_key(&counted);
        let until = used_until.entry(if is_full { Counted::Others } else { counted }).or_insert(now);
        let used = (*until).max(now) + one;
        match used.saturating_duration_since(now).checked_sub(allowed) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                *until = used;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::{Duration, Instant};

    use super::{CALLERS, Counted, Rate, RateLimiter};

    fn address(number: u32) -> Counted {
        Counted::Address(IpAddr::V4(Ipv4Addr::from(number)))
    }

    #[test]
    fn a_burst_passes_and_then_so_many_a_second() {
        let limiter = RateLimiter::new(Rate { per_second: 10, burst: 20 });
        let start = Instant::now();
        let passed = |from: u64, to: u64, who: u32| {
            (from..to).filter(|ms| limiter.count_at(address(who), start + Duration::from_millis(*ms)).is_ok()).count()
        };
        assert_eq!(passed(0, 1, 1) + (0..99).map(|_| passed(0, 1, 1)).sum::<usize>(), 20);
        assert_eq!(passed(1, 2001, 1), 20, "ten a second");
        assert_eq!(passed(2000, 2001, 2), 1, "another caller is another matter");
        let wait = (0..50).find_map(|_| limiter.count_at(address(3), start).err()).unwrap();
        assert_eq!(wait, Duration::from_millis(100));
        assert!(limiter.count_at(address(3), start + wait).is_ok());
    }

    #[test]
    fn any_number_of_callers_takes_bounded_memory() {
        let limiter = RateLimiter::new(Rate { per_second: 1, burst: 2 });
        let now = Instant::now();
        let told = (0..2 * CALLERS as u32).filter(|n| limiter.count_at(address(*n), now).is_ok()).count();
        assert_eq!(told, CALLERS + 2, "those without a place share one");
        assert!(limiter.used_until.lock().unwrap().len() <= CALLERS + 1);
        assert!(limiter.count_at(address(u32::MAX), now + Duration::from_secs(10)).is_ok());
        assert!(limiter.used_until.lock().unwrap().len() <= 2, "who asked long ago is forgotten");
    }
}
