//! `soniquebay jobs`: what is still to be done, and what was given up.

use soniquebay_domain::{Discarded, JobId, JobSummary};
use soniquebay_wire::{JobCountsView, JobView};

use crate::cli::{Cli, JobsCommand};
use crate::exit::End;
use crate::library::Library;
use crate::output;

pub(crate) async fn run(cli: &Cli, command: &JobsCommand) -> anyhow::Result<()> {
    let library = Library::open(cli).await?;
    let store = &library.work.queue;
    match command {
        JobsCommand::List { state, after, limit, json } => {
            let jobs = store.jobs(*state, after.clone(), usize::from(*limit)).await?;
            if *json {
                return output::json(&jobs.into_iter().map(JobView::from).collect::<Vec<_>>());
            }
            list(&library, &jobs).await
        }
        JobsCommand::Show { id, json } => {
            let job = store.job(id).await?.ok_or_else(|| no_job(id))?;
            if *json { output::json(&JobView::from(job)) } else { list(&library, &[job]).await }
        }
        JobsCommand::Retry { id, kind, .. } => {
            let which = match (id, kind) {
                (Some(id), _) => Discarded::One(id.clone()),
                (None, Some(kind)) => Discarded::Kind(*kind),
                (None, None) => Discarded::All,
            };
            let retried = store.retry(which).await?;
            match id {
                Some(id) if retried == 0 => match store.job(id).await? {
                    None => Err(no_job(id).into()),
                    Some(job) => output::line(&format!("job {id} is {} and was not given up", job.state.name())),
                },
                _ => output::line(&format!("{retried} jobs will be tried again")),
            }
        }
        JobsCommand::Cancel { id } => match store.cancel(id).await? {
            true => output::line(&format!("job {id} is given up")),
            false if store.job(id).await?.is_none() => Err(no_job(id).into()),
            false => output::line(&format!("job {id} was given up before")),
        },
        JobsCommand::Stats { json } => {
            let counts = store.job_counts().await?;
            if *json {
                return output::json(&JobCountsView::from(counts));
            }
            let counts = [
                ("available", counts.available),
                ("scheduled", counts.scheduled),
                ("running", counts.running),
                ("discarded", counts.discarded),
            ];
            let row = |(state, count): (&str, u64)| vec![state.to_owned(), count.to_string()];
            output::table(&["state", "jobs"], &[1], counts.map(row))
        }
    }
}

fn no_job(id: &JobId) -> End {
    End::NotFound(format!("there is no job {id}; jobs that are done are not kept"))
}

/// Jobs with the names of their tracks, which tell a person more than numbers.
async fn list(library: &Library, jobs: &[JobSummary]) -> anyhow::Result<()> {
    let mut ids: Vec<_> = jobs.iter().map(|summary| summary.job.track_id).collect();
    ids.sort_unstable();
    ids.dedup();
    let tracks = library.store.tracks(ids).await?;
    let name = |summary: &JobSummary| {
        let track = tracks.iter().find(|track| track.id == summary.job.track_id);
        track.map_or_else(|| format!("track {}", summary.job.track_id), |track| track.name())
    };
    let row = |summary: &JobSummary| {
        let attempts = format!("{}/{}", summary.job.attempts.made, summary.job.attempts.allowed);
        let reason = summary.reason.clone().unwrap_or_default();
        vec![summary.job.id.to_string(), summary.state.name().to_owned(), name(summary), attempts, reason]
    };
    output::table(&["job", "state", "track", "tries", "reason"], &[0], jobs.iter().map(row))
}
