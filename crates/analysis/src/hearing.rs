//! One thread a file, with a nice level of its own: decoding never holds up async threads, nor anything else on the machine.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use soniquebay_domain::MakeError;
use tokio::sync::oneshot;

/// How gently files are heard.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Files heard side by side, each on one core.
    pub cores: usize,
    /// How far behind others these threads stand, 0 to 19, as `nice` counts.
    pub nice: u8,
    /// How long one file may take.
    pub time_limit: Duration,
}

impl Default for Pace {
    /// Half the cores, ten steps behind others; twenty minutes a file, in which a machine that hears thirty times as fast as
    /// music plays hears ten hours.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { cores: (cores / 2).max(1), nice: 10, time_limit: Duration::from_secs(1200) }
    }
}

/// Set when nobody waits for the answer any more.
struct Abandoned(Arc<AtomicBool>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Does `work` on a thread of its own, `nice` steps behind others. The work is asked to stop when the caller leaves.
///
/// # Errors
/// Where no thread can be started, or the work panics.
pub(crate) async fn on_own_thread<T: Send + 'static>(
    nice: u8,
    work: impl FnOnce(&(dyn Fn() -> bool + Sync)) -> T + Send + 'static,
) -> Result<T, MakeError> {
    let stop = Arc::new(AtomicBool::new(false));
    let (abandoned, stopped) = (Abandoned(Arc::clone(&stop)), stop);
    let (answer, heard) = oneshot::channel();
    let run = move || {
        step_back(nice);
        let done = catch_unwind(AssertUnwindSafe(|| work(&|| stopped.load(Ordering::Relaxed))));
        // A caller that left does not want to know.
        let _ = answer.send(done);
    };
    std::thread::Builder::new()
        .name("analysis".into())
        .spawn(run)
        .map_err(|error| MakeError::Failed(format!("no thread could be started: {error}")))?;
    let done = heard.await;
    drop(abandoned);
    match done {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(_)) | Err(_) => {
            Err(MakeError::Refused("the analysis of this file stopped with a fault of its own".into()))
        }
    }
}

/// On Linux a thread has a nice level of its own, and "this process" means the thread that asks.
#[cfg(target_os = "linux")]
fn step_back(nice: u8) {
    if let Err(error) = rustix::process::setpriority_process(None, i32::from(nice)) {
        tracing::debug!(%error, "the analysis runs at the usual priority");
    }
}

/// Elsewhere a nice level is the whole process', which must answer meanwhile.
#[cfg(not(target_os = "linux"))]
fn step_back(_nice: u8) {}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use soniquebay_domain::MakeError;

    use super::on_own_thread;

    #[tokio::test]
    async fn a_fault_is_that_files_end_and_nobody_elses() {
        let broken: Result<(), MakeError> = on_own_thread(0, |_| panic!("a bug in a decoder")).await;
        assert!(matches!(broken, Err(MakeError::Refused(_))));
        assert_eq!(on_own_thread(19, |_| 7).await, Ok(7));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn only_the_thread_that_hears_steps_back() {
        let nice = || rustix::process::getpriority_process(None).unwrap();
        let before = nice();
        let heard = on_own_thread(13, move |_| nice()).await.unwrap();
        assert_eq!((heard, nice()), (13.max(before), before));
    }

    #[tokio::test]
    async fn who_leaves_stops_the_work() {
        let ended = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ended);
        let work = on_own_thread(0, move |stop| {
            while !stop() {
                std::thread::sleep(Duration::from_millis(1));
            }
            told.store(true, Ordering::Relaxed);
        });
        assert!(tokio::time::timeout(Duration::from_millis(20), work).await.is_err());
        while !ended.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
