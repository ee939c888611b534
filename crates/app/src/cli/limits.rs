//! How much is done at once.

use std::time::Duration;

use clap::Args;
use soniquebay_ingest::ScanOptions;
use soniquebay_pipeline::WorkerLimits;

/// How much is done at once. What fits a kind of machine is said by its profile.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Work")]
pub(crate) struct LimitArgs {
    /// Batches in work side by side: a number, or FROM..TO to have as many as the machine has cores to spare.
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        value_name = "N|FROM..TO",
        default_value = "2",
        env = "WORKER_CONCURRENCY",
        hide_env_values = true
    )]
    concurrency: Lanes,

    /// Jobs claimed together.
    #[arg(long, global = true, hide_short_help = true, value_name = "N", default_value_t = 64, env = "WORKER_BATCH", hide_env_values = true,
        value_parser = clap::value_parser!(u16).range(1..=1000))]
    batch: u16,

    /// How long a claim holds without a word from its worker: after so long, jobs of one that died are done by another.
    #[arg(long, global = true, hide_short_help = true, value_name = "SECONDS", default_value_t = 60, env = "WORKER_LEASE", hide_env_values = true,
        value_parser = clap::value_parser!(u64).range(1..=3600))]
    lease: u64,

    /// How long a batch may take.
    #[arg(long, global = true, hide_short_help = true, value_name = "SECONDS", default_value_t = 3600, env = "WORKER_TIME_LIMIT", hide_env_values = true,
        value_parser = clap::value_parser!(u64).range(1..=86_400))]
    time_limit: u64,

    /// Files that a scan writes together.
    #[arg(long, global = true, hide_short_help = true, value_name = "N", default_value_t = 200, env = "SCAN_BATCH", hide_env_values = true,
        value_parser = clap::value_parser!(u16).range(1..=1000))]
    scan_batch: u16,

    /// Files that a scan reads side by side.
    #[arg(long, global = true, hide_short_help = true, value_name = "N", default_value_t = 3, env = "SCAN_READERS", hide_env_values = true,
        value_parser = clap::value_parser!(u16).range(1..=16))]
    scan_readers: u16,
}

impl LimitArgs {
    pub(crate) fn of_worker(&self) -> WorkerLimits {
        WorkerLimits {
            concurrency: self.concurrency.most,
            batch: usize::from(self.batch),
            lease: Duration::from_secs(self.lease),
        }
    }

    /// How long a batch may take.
    pub(crate) fn time_limit(&self) -> Duration {
        Duration::from_secs(self.time_limit)
    }

    /// Fewest and most batches side by side, where that follows the load.
    pub(crate) fn by_load(&self) -> Option<(usize, usize)> {
        let Lanes { least, most } = self.concurrency;
        (least < most).then_some((least, most))
    }

    pub(crate) fn of_scan(&self) -> ScanOptions {
        ScanOptions {
            batch: usize::from(self.scan_batch),
            readers: usize::from(self.scan_readers),
            ..ScanOptions::default()
        }
    }
}

/// How many batches are in work side by side.
#[derive(Clone, Copy, Debug)]
struct Lanes {
    least: usize,
    most: usize,
}

impl std::str::FromStr for Lanes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |text: &str| text.trim().parse().ok().filter(|number| (1..=64).contains(number));
        let (least, most) = text.split_once("..").unwrap_or((text, text));
        match (number(least), number(most.trim_start_matches('='))) {
            (Some(least), Some(most)) if least <= most => Ok(Self { least, most }),
            _ => Err("write a number from 1 to 64, or two of them as in 1..4".to_owned()),
        }
    }
}
