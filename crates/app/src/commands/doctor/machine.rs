//! How busy this machine is.

use super::finding::{Finding, Question};
use crate::config::Settings;

/// Processes that wait for each core: with more, everything takes twice as long.
const BUSY: f64 = 2.0;

pub(super) fn look(settings: &Settings) -> Finding {
    let profile = settings.profile.name();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: f64 = load.split_whitespace().next().and_then(|load| load.parse().ok()).unwrap_or_default();
    let found = format!("profile {profile} ({}), load {load:.1}", settings.machine);
    match load > BUSY * settings.machine.cores as f64 {
        false => Finding::ok("machine", found),
        true => Finding::warn(
            "machine",
            found,
            "see what keeps it busy: top; or let batches follow: WORKER_CONCURRENCY=1..2",
        )
        .answering(&[Question::ItIsSlow]),
    }
}
