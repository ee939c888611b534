//! Whether and how gently tracks' files are heard.

use std::time::Duration;

use clap::{Args, ValueEnum};
use soniquebay_analysis::{Hours, Pace};

/// Whether and how gently tracks' files are heard.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Sound")]
pub(crate) struct AnalysisArgs {
    /// Hear tracks' files: measure tempo, key, loudness and the like, and make vectors of how they sound.
    #[arg(long, global = true, value_name = "on|off", env = "ANALYSIS", hide_env_values = true, default_value = "on")]
    analysis: OnOff,

    /// Files heard side by side, each on one core; 0 on a worker leaves them to others. [default: half the cores]
    #[arg(long, global = true, value_name = "N", env = "ANALYSIS_CORES", hide_env_values = true,
        value_parser = clap::value_parser!(u16).range(0..=64))]
    analysis_cores: Option<u16>,

    /// How far behind everything else they are heard, as `nice` counts (on Linux).
    #[arg(long, global = true, value_name = "0..19", env = "ANALYSIS_NICE", hide_env_values = true, default_value_t = 10,
        value_parser = clap::value_parser!(u8).range(0..=19))]
    analysis_nice: u8,

    /// The hours of the day at which files are heard, by local time, such as 22-7. [default: all]
    #[arg(long, global = true, value_name = "FROM-TO", env = "ANALYSIS_HOURS", hide_env_values = true)]
    analysis_hours: Option<Hours>,

    /// How long one file may take.
    #[arg(long, global = true, value_name = "SECONDS", env = "ANALYSIS_TIME_LIMIT", hide_env_values = true,
        default_value_t = 1200, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    analysis_time_limit: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OnOff {
    On,
    Off,
}

impl AnalysisArgs {
    /// Whether files are to be heard at all.
    pub(crate) fn is_on(&self) -> bool {
        self.analysis == OnOff::On
    }

    /// At which pace; `None` where not by this process.
    pub(crate) fn pace(&self) -> Option<Pace> {
        let usual = Pace::default();
        let cores = self.analysis_cores.map_or(usual.cores, usize::from);
        let time_limit = Duration::from_secs(self.analysis_time_limit);
        (self.is_on() && cores > 0).then_some(Pace { cores, nice: self.analysis_nice, time_limit })
    }

    /// At which hours of the day.
    pub(crate) fn hours(&self) -> Option<Hours> {
        self.analysis_hours
    }
}
