//! How much of the machine others leave: batches side by side follow it, where that is asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How often is looked. Music that starts to play has its core back after so long, and the batch that is under way.
const LOOK: Duration = Duration::from_secs(2);

/// A number that follows the cores that are free for us, from `least` to `most`, for as long as somebody holds it.
pub(crate) fn follow_load(least: usize, most: usize) -> Arc<AtomicUsize> {
    let pace = Arc::new(AtomicUsize::new(least));
    let told = Arc::downgrade(&pace);
    tokio::spawn(async move {
        let share = std::thread::available_parallelism().map_or(1, usize::from);
        let mut before = Clock::read();
        loop {
            tokio::time::sleep(LOOK).await;
            let Some(pace) = told.upgrade() else { return };
            let now = Clock::read();
            // Where the system does not tell, the least is right.
            let free = before.zip(now).map_or(0.0, |(before, now)| now.free_since(&before));
            let lanes = lanes(free, share, least, most);
            if pace.swap(lanes, Ordering::Relaxed) != lanes {
                tracing::debug!(lanes, free_cores = free, "Batches side by side follow the load");
            }
            before = now;
        }
    });
    pace
}

/// As many batches as there are whole cores for them.
fn lanes(free: f64, share: usize, least: usize, most: usize) -> usize {
    // A little less than a core is one: nothing is ever quite idle.
    (((free + 0.25).floor() as usize).min(share)).clamp(least, most)
}

/// Time that passed, in ticks of all cores together.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Clock {
    cores: u64,
    all: u64,
    idle: u64,
    ours: u64,
}

impl Clock {
    fn read() -> Option<Self> {
        let (system, process) =
            (std::fs::read_to_string("/proc/stat").ok()?, std::fs::read_to_string("/proc/self/stat").ok()?);
        Self::parse(&system, &process)
    }

    /// What `/proc/stat` and `/proc/self/stat` say.
    fn parse(system: &str, process: &str) -> Option<Self> {
        let total = system.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let ticks: Vec<u64> = total.split_whitespace().map_while(|number| number.parse().ok()).collect();
        // The time of guests, which come after, is in that of users already.
        let all = ticks.iter().take(8).sum();
        let idle = ticks.get(3)? + ticks.get(4)?;
        let cores = system.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu ")).count() as u64;
        // Behind the name, which may hold anything, even brackets.
        let mut fields = process.rsplit_once(')')?.1.split_whitespace().skip(11);
        let ours = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
        Some(Self { cores, all, idle, ours })
    }

    /// Cores that nobody else used since then.
    fn free_since(&self, before: &Self) -> f64 {
        let passed = self.all.saturating_sub(before.all);
        if passed == 0 {
            return 0.0;
        }
        let free = self.idle.saturating_sub(before.idle) + self.ours.saturating_sub(before.ours);
        (free as f64 / passed as f64).min(1.0) * self.cores as f64
    }
}

#[cfg(test)]
mod tests {
    use super::{Clock, lanes};

    const SYSTEM: &str = "cpu  100 0 100 700 100 0 0 0 50 0\ncpu0 50 0 50 350 50 0 0 0 25 0\ncpu1 0\nintr 5\n";
    const PROCESS: &str = "17 (a (strange) name) S 1 17 17 0 -1 4194560 10 0 0 0 30 12 0 0 20 0 9 0 5 6 7";

    #[test]
    fn what_others_leave_is_idle_time_and_our_own() {
        let before = Clock::parse(SYSTEM, PROCESS).unwrap();
        assert_eq!(before, Clock { cores: 2, all: 1000, idle: 800, ours: 42 });
        let free = |idle, ours| {
            Clock { cores: 4, all: before.all + 800, idle: before.idle + idle, ours: before.ours + ours }
                .free_since(&before)
        };
        assert_eq!([free(800, 0), free(200, 200), free(0, 0), free(800, 800)], [4.0, 2.0, 0.0, 4.0]);
        assert_eq!(before.free_since(&before), 0.0);
        assert!(Clock::parse("", PROCESS).is_none() && Clock::parse(SYSTEM, "17 (x").is_none());
    }

    #[test]
    fn batches_follow_whole_cores_within_their_bounds() {
        assert_eq!([0.0, 0.9, 1.9, 2.5, 9.0].map(|free| lanes(free, 4, 1, 4)), [1, 1, 2, 2, 4]);
        assert_eq!(lanes(16.0, 2, 1, 4), 2, "no more than our share");
        assert_eq!(lanes(0.0, 4, 2, 4), 2);
    }
}
