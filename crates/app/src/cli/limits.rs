//! How much a worker does at once.

use std::time::Duration;

use clap::Args;
use soniquebay_pipeline::WorkerLimits;

/// Memory below which one batch at a time is enough, in bytes.
const LITTLE_MEMORY: u64 = 1 << 30;

/// How much a worker does at once.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Work")]
pub(crate) struct LimitArgs {
    /// Batches in work side by side. [default: 2, or 1 where there is one core, or less than a gigabyte of memory]
    #[arg(long, value_name = "N", env = "WORKER_CONCURRENCY", hide_env_values = true, value_parser = clap::value_parser!(u16).range(1..=64))]
    concurrency: Option<u16>,

    /// Jobs claimed together.
    #[arg(long, value_name = "N", default_value_t = 64, env = "WORKER_BATCH", hide_env_values = true, value_parser = clap::value_parser!(u16).range(1..=1000))]
    batch: u16,

    /// How long a claim holds without a word from its worker: after so long, jobs of one that died are done by another.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, env = "WORKER_LEASE", hide_env_values = true, value_parser = clap::value_parser!(u64).range(1..=3600))]
    lease: u64,

    /// How long a batch may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, env = "WORKER_TIME_LIMIT", hide_env_values = true, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    time_limit: u64,
}

impl LimitArgs {
    pub(crate) fn worker_limits(&self) -> WorkerLimits {
        WorkerLimits {
            concurrency: self.concurrency.map_or_else(fitting, usize::from),
            batch: usize::from(self.batch),
            lease: Duration::from_secs(self.lease),
            time_limit: Duration::from_secs(self.time_limit),
        }
    }
}

/// What fits this machine: while one batch is stored, another is embedded, but never more than cores or memory allow.
fn fitting() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let is_small = memory().is_some_and(|bytes| bytes < LITTLE_MEMORY);
    if cores < 2 || is_small { 1 } else { 2 }
}

/// What this process may use: the machine's memory, or the container's.
fn memory() -> Option<u64> {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
        Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
    });
    // "max" where there is no limit.
    let container = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    [machine, container].into_iter().flatten().min()
}
