//! `soniquebay jobs`.

use clap::Subcommand;
use soniquebay_domain::{JobId, JobKind, JobState};

#[derive(Debug, Subcommand)]
pub(crate) enum JobsCommand {
    /// List jobs: those that wait, run or were given up. Jobs that are done are not kept.
    List {
        /// Only jobs of this state: available, running or discarded.
        #[arg(long, value_name = "STATE", value_parser = job_state)]
        state: Option<JobState>,

        /// Only jobs behind this one.
        #[arg(long, value_name = "ID", value_parser = job_id)]
        after: Option<JobId>,

        /// How many.
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,

        /// Write the list as JSON on standard output.
        #[arg(long)]
        json: bool,
    },
    /// Show one job.
    Show {
        /// Its id.
        #[arg(value_parser = job_id)]
        id: JobId,

        /// Write it as JSON on standard output.
        #[arg(long)]
        json: bool,
    },
    /// Try a job again that was given up, or all of them.
    Retry {
        /// Its id.
        #[arg(required_unless_present_any = ["all", "kind"], value_parser = job_id)]
        id: Option<JobId>,

        /// All jobs of this kind that were given up: embed_track, embed_if_needed or analyze_track.
        #[arg(long, value_name = "KIND", conflicts_with_all = ["id", "all"], value_parser = job_kind)]
        kind: Option<JobKind>,

        /// All jobs that were given up.
        #[arg(long, conflicts_with = "id")]
        all: bool,
    },
    /// Give a job up for good: only a change of its track, or a retry, brings it back.
    Cancel {
        /// Its id.
        #[arg(value_parser = job_id)]
        id: JobId,
    },
    /// Count jobs by state.
    Stats {
        /// Write the counts as JSON on standard output.
        #[arg(long)]
        json: bool,
    },
}

fn job_id(text: &str) -> Result<JobId, String> {
    if text.is_empty() { Err("a job's id, as `list` shows it".to_owned()) } else { Ok(JobId::new(text)) }
}

fn job_kind(name: &str) -> Result<JobKind, String> {
    JobKind::parse(name).ok_or_else(|| "one of embed_track, embed_if_needed, analyze_track".to_owned())
}

fn job_state(name: &str) -> Result<JobState, String> {
    JobState::parse(name).ok_or_else(|| "one of available, running, discarded".to_owned())
}
