//! What is still to be done, what was given up, and whose files are there.

use std::collections::HashMap;

use serde_json::Value;
use soniquebay_domain::{JobCounts, JobState, JobSummary, Space};
use soniquebay_http::BaseUrl;

use super::finding::{Finding, Question};
use super::services::{BOUNDS, client};
use super::{PATIENCE, bounded};
use crate::cli::Cli;
use crate::library::Library;
use crate::vectorize;
use crate::work::Work;

/// Files that are looked for.
const SAMPLE: usize = 200;

/// Findings, and how things stand in a sentence.
pub(super) async fn look(cli: &Cli, has_library: bool) -> (Vec<Finding>, String) {
    let mut summary = "how far things are is not known".to_owned();
    let is_elsewhere = cli.services.library().is_some() || cli.services.recommender().is_some();
    let findings = bounded("jobs", "look at the database and the queue first", async {
        let (found, told) = if is_elsewhere && !cli.services.shares_database() {
            of_services(cli).await
        } else if has_library {
            of_library(cli).await
        } else {
            (
                Vec::new(),
                "there is no library that could be asked: `soniquebay scan DIR` or `import FILE` makes one".to_owned(),
            )
        };
        summary = told;
        found
    })
    .await;
    (findings, summary)
}

async fn of_library(cli: &Cli) -> (Vec<Finding>, String) {
    let library = match Library::open(cli).await {
        Ok(library) => library,
        Err(error) => {
            let finding = Finding::fail("library", format!("{error:#}"), "see what is said of the database");
            return (vec![finding.answering(&[Question::NothingIsVectorized])], "it cannot be opened".into());
        }
    };
    let mut findings = Vec::new();
    let standing = async {
        let tracks = library.store.counts().await?.tracks;
        let ready = vectorize::ready(&library).await?;
        let counts = library.work.queue.job_counts().await?;
        let waiting = library.work.queue.jobs(None, None, 100).await?;
        let discarded = library.work.queue.jobs(Some(JobState::Discarded), None, 100).await?;
        anyhow::Ok((tracks, ready, counts, waiting, discarded))
    };
    let (tracks, ready, counts, waiting, discarded) = match standing.await {
        Ok(standing) => standing,
        Err(error) => {
            let finding = Finding::fail("jobs", format!("{error:#}"), "see what is said of the database and of Redis");
            return (vec![finding.answering(&[Question::NothingIsVectorized])], "jobs cannot be counted".into());
        }
    };
    let summary = coverage(tracks, ready, library.preferred(), &counts);
    findings.push(Finding::ok("vectors", summary.clone()));
    findings.extend(of_jobs(&counts, &waiting, &discarded));
    if library.work.celery.is_none() && !cli.services.shares_database() {
        findings.extend(who_works(&library, &counts));
    }
    findings.extend(music(&library, tracks).await);
    (findings, summary)
}

fn coverage(tracks: u64, ready: u64, space: &Space, counts: &JobCounts) -> String {
    let left = counts.available + counts.scheduled + counts.running;
    match tracks {
        0 => "there are no tracks: `soniquebay scan DIR` or `import FILE` reads some".to_owned(),
        _ => format!("{ready} of {tracks} tracks have their vector in {space}; {left} jobs are to be done"),
    }
}

/// What was given up, and what waits to be tried again.
fn of_jobs(counts: &JobCounts, waiting: &[JobSummary], discarded: &[JobSummary]) -> Vec<Finding> {
    use Question::{CalculationFails, NothingIsVectorized};
    let mut findings = Vec::new();
    findings.push(match counts.discarded {
        0 => Finding::ok("given up", "no job was"),
        many => Finding::warn(
            "given up",
            format!("{many} jobs, mostly: {}", commonest(discarded)),
            "soniquebay jobs list --state discarded; then soniquebay jobs retry --all",
        )
        .answering(&[CalculationFails, NothingIsVectorized]),
    });
    let setbacks: Vec<JobSummary> =
        waiting.iter().filter(|job| job.state == JobState::Available && job.reason.is_some()).cloned().collect();
    if !setbacks.is_empty() {
        let found = format!("{} jobs and more are tried again later, mostly: {}", setbacks.len(), commonest(&setbacks));
        let fix = "mend that; they go on by themselves";
        findings.push(Finding::warn("tried again", found, fix).answering(&[CalculationFails, NothingIsVectorized]));
    }
    findings
}

fn commonest(jobs: &[JobSummary]) -> String {
    let mut reasons: HashMap<&str, usize> = HashMap::new();
    for reason in jobs.iter().filter_map(|job| job.reason.as_deref()) {
        *reasons.entry(reason).or_default() += 1;
    }
    let most = reasons.into_iter().max_by_key(|(reason, count)| (*count, std::cmp::Reverse(*reason)));
    most.map_or("no reason is known", |(reason, _)| reason).chars().take(300).collect()
}

/// Jobs in a file are worked on by whoever holds its lock.
fn who_works(library: &Library, counts: &JobCounts) -> Option<Finding> {
    let waiting = counts.available + counts.running;
    match library.folder.try_lock("doctor").ok()? {
        Err(holder) => Some(Finding::ok("worker", format!("{} works on them", holder.0))),
        Ok(_free) if waiting == 0 => None,
        Ok(_free) => Some(
            Finding::fail("worker", format!("{waiting} jobs wait, and nobody works on them"), "soniquebay serve")
                .answering(&[Question::NothingIsVectorized]),
        ),
    }
}

/// Whether the files of some tracks are there and can be read.
async fn music(library: &Library, tracks: u64) -> Option<Finding> {
    let mut paths = Vec::new();
    for skip in [0, usize::try_from(tracks).ok()? / 2] {
        let page = library.store.page(0, skip, SAMPLE / 2).await.ok()?;
        paths.extend(page.into_iter().filter_map(|track| track.fields.identity.path));
    }
    let looked = tokio::task::spawn_blocking(move || {
        let missing = paths.iter().find(|path| std::fs::File::open(path).is_err());
        let why = missing.map(|path| (path.clone(), std::fs::File::open(path).err().map(|error| error.kind())));
        let readable = paths.iter().filter(|path| std::fs::File::open(path).is_ok()).count();
        (paths.len(), readable, why)
    });
    // A network drive that hangs holds a thread, and nothing else.
    let (all, readable, why) = tokio::time::timeout(PATIENCE / 2, looked).await.ok()?.ok()?;
    if all == 0 {
        return None;
    }
    let found = format!("{readable} of {all} files that were looked for can be read");
    Some(match why {
        None => Finding::ok("music", found),
        Some((path, kind)) => {
            let fix = match kind {
                Some(std::io::ErrorKind::PermissionDenied) => {
                    "let this user read it: chmod -R o+rX, or add it to the group"
                }
                _ if readable == 0 => "is the drive mounted? findmnt; else scan again, or remount it at the same path",
                _ => "soniquebay scan DIR brings the catalogue up to date",
            };
            Finding::warn("music", format!("{found}; not {path}"), fix)
        }
    })
}

/// Jobs that are messages, tracks and vectors that other processes keep.
async fn of_services(cli: &Cli) -> (Vec<Finding>, String) {
    let mut findings = Vec::new();
    let mut counts = JobCounts::default();
    if let Ok(space) = Space::parse("any/1")
        && let Ok(sound) = soniquebay_analysis::sound_space()
        && let Ok(Some(work)) = Work::by_messages(&cli.services, &space, &sound).await
        && let Ok(found) = work.queue.job_counts().await
    {
        let waiting = work.queue.jobs(None, None, 100).await.unwrap_or_default();
        let discarded = work.queue.jobs(Some(JobState::Discarded), None, 100).await.unwrap_or_default();
        findings.extend(of_jobs(&found, &waiting, &discarded));
        counts = found;
    }
    let ask = async |url: Option<&str>, port, path| -> Option<Value> {
        let http = client(BaseUrl::parse(url?, port).ok()?, cli.services.key());
        serde_json::from_slice(&http.get(path, BOUNDS).await.ok()?.body).ok()
    };
    let tracks = ask(cli.services.library(), 8001, "/api/stats").await.and_then(|stats| stats["tracks"].as_u64());
    let spaces = ask(cli.services.recommender(), 8002, "/api/spaces").await;
    let wanted = spaces.iter().flat_map(|spaces| spaces["spaces"].as_array()).flatten().find(|s| s["wanted"] == true);
    let left = counts.available + counts.scheduled + counts.running;
    let summary = match (tracks, wanted) {
        (Some(tracks), Some(space)) => format!(
            "{} of {tracks} tracks have their vector in {}; {left} jobs are to be done",
            space["ready"],
            space["space"].as_str().unwrap_or("the wanted space")
        ),
        _ => format!("{left} jobs are to be done; library or recommender do not say how far things are"),
    };
    findings.push(Finding::ok("vectors", summary.clone()));
    (findings, summary)
}
