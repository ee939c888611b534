//! How far a long run is, in a server's log: who starts one with another model wants to know when it will be done.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use soniquebay_domain::Progress;

use crate::host;
use crate::library::Library;

/// Between two lines.
const EVERY: Duration = Duration::from_secs(10);

/// Between two words to watchers.
const TELL_EVERY: Duration = Duration::from_millis(250);

/// Runs of fewer tracks are over before anybody looks.
const WORTH_A_LINE: u64 = 200;

/// Writes a line now and then.
pub(crate) struct ProgressLog {
    told: Mutex<Instant>,
}

impl ProgressLog {
    pub(crate) fn new() -> Self {
        Self { told: Mutex::new(Instant::now()) }
    }

    pub(crate) fn hear(&self, progress: &Progress) {
        let Progress { done, total, per_second, .. } = *progress;
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if total < WORTH_A_LINE || (done < total && told.elapsed() < EVERY) {
            return;
        }
        *told = Instant::now();
        let what = if progress.step == "analysis" { "files heard" } else { "vectors" };
        match total - done {
            0 => tracing::info!("{what}: all {total}, {per_second:.1} a second"),
            left => {
                let left = Duration::from_secs_f64((left as f64 / per_second.max(1e-3)).min(1e7));
                tracing::info!("{what}: {done} of {total}, {per_second:.1} a second, {} left", spoken(left));
            }
        }
    }
}

/// "40 s", "12 min", "3 h 5 min".
fn spoken(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60) {
        (0, 0) => format!("{seconds} s"),
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

/// Tells whoever watches the library's other processes how far a command is.
pub(crate) struct Told {
    step: &'static str,
    began: Instant,
    last: Option<Instant>,
    tell: Box<dyn Fn(Progress) + Send + Sync>,
}

impl Told {
    pub(crate) fn new(library: &Library, step: &'static str) -> Self {
        let tell = Box::new(host::tell(Arc::clone(&library.work.bus)));
        Self { step, began: Instant::now(), last: None, tell }
    }

    /// So many of so many are done.
    pub(crate) fn hear(&mut self, done: u64, total: u64) {
        if self.last.is_some_and(|last| last.elapsed() < TELL_EVERY) {
            return;
        }
        self.last = Some(Instant::now());
        let per_second = done as f64 / self.began.elapsed().as_secs_f64().max(1e-3);
        (self.tell)(Progress { step: self.step.into(), done, total, per_second });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::spoken;

    #[test]
    fn times_are_told_as_people_tell_them() {
        let told = [4, 59, 60, 3599, 3600, 11_100].map(|seconds| spoken(Duration::from_secs(seconds)));
        assert_eq!(told, ["4 s", "59 s", "1 min", "59 min", "1 h 0 min", "3 h 5 min"]);
    }
}
