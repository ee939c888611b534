use std::path::PathBuf;

use soniquebay_ingest::{ScanOptions, ScanReport, ScanStep, StopFlag};
use tokio_util::sync::CancellationToken;

use crate::cli::{Cli, ScanArgs};
use crate::exit::End;
use crate::library::Library;
use crate::output;
use crate::progress_log::Told;
use crate::vectorize::{bar, bring_up_to_date, other_space, ready};

/// Failures that a person is shown; `--json` has all.
const SHOWN: usize = 20;

pub(crate) async fn run(cli: &Cli, args: &ScanArgs, stop: &CancellationToken) -> anyhow::Result<()> {
    let library = Library::open(cli).await?;
    let options = ScanOptions { allow_empty: args.allow_empty, ..cli.limits.of_scan() };
    let report = scan(&library, &args.folders, options, stop).await?;
    if args.json {
        output::json(&report)?;
    } else {
        say(&report);
    }
    finish(&library, !args.no_wait, args.wait_for_sound, stop).await?;
    match report.failed_total {
        0 => Ok(()),
        failed => Err(End::Partly(format!("{failed} files or folders could not be read")).into()),
    }
}

/// Reads the folders into the catalogue, with a progress bar.
pub(crate) async fn scan(
    library: &Library,
    folders: &[PathBuf],
    options: ScanOptions,
    stop: &CancellationToken,
) -> anyhow::Result<ScanReport> {
    let options = ScanOptions { stop: flag(stop), ..options };
    let shown = bar(0, "files");
    let mut told = Told::new(library, "scan");
    let report = soniquebay_ingest::scan(library.catalog(), folders, options, |step| {
        told.hear(step.done, step.total.unwrap_or(step.done));
        shown.set_message(match step.step {
            ScanStep::Walk => "looking for files",
            ScanStep::Read => "reading tags",
            ScanStep::Remove => "removing tracks whose files are gone",
        });
        shown.set_length(step.total.unwrap_or(step.done));
        shown.set_position(step.done);
    })
    .await;
    shown.finish_and_clear();
    Ok(report?)
}

/// A flag for `ingest`, raised with the token.
pub(crate) fn flag(stop: &CancellationToken) -> StopFlag {
    let (flag, stop) = (StopFlag::default(), stop.clone());
    let raised = flag.clone();
    tokio::spawn(async move {
        stop.cancelled().await;
        raised.stop();
    });
    flag
}

/// Vectors for what was read, unless told not to wait; those of how it sounds only where told to wait for them.
pub(crate) async fn finish(
    library: &Library,
    wait: bool,
    wait_for_sound: bool,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    if stop.is_cancelled() {
        return Err(End::Interrupted.into());
    }
    if library.work.celery.is_some() {
        output::note("the listener was told; workers make the vectors");
        return Ok(());
    }
    if wait {
        bring_up_to_date(library, wait_for_sound, stop).await?;
        match other_space(library).await? {
            Some(space) => output::note(&format!(
                "the server that runs makes vectors of {space}; to fill {}, give it these settings and start it again",
                library.preferred()
            )),
            None => output::note(&format!("{} tracks have their vectors", ready(library).await?)),
        }
        let unheard = library.store.counts_by_work().await?.analysis;
        if unheard.under_way() + unheard.scheduled > 0 {
            output::note(&format!(
                "{} files are still to be heard: `soniquebay serve` does it, at its leisure",
                unheard.under_way() + unheard.scheduled
            ));
        }
        if unheard.discarded > 0 {
            output::note(&format!(
                "{} files cannot be heard: `soniquebay jobs list --state discarded` says why",
                unheard.discarded
            ));
        }
    }
    Ok(())
}

/// The report, for a person.
pub(crate) fn say(report: &ScanReport) {
    output::note(&format!(
        "{} files: {} created, {} updated, {} moved, {} removed, {} unchanged",
        report.files, report.created, report.updated, report.moved, report.removed, report.unchanged
    ));
    for warning in report.warnings.iter().take(SHOWN) {
        output::note(&format!("warning: {warning}"));
    }
    list(report.failed.iter().map(|failure| format!("{}: {}", failure.path, failure.reason)), report.failed_total);
}

/// The first failures, and how many more there are.
pub(crate) fn list(failures: impl Iterator<Item = String>, total: u64) {
    // A name with a line break must not look like a line of ours.
    failures.take(SHOWN).for_each(|failure| output::note(&format!("  {}", failure.replace('\n', "\\n"))));
    if total > SHOWN as u64 {
        output::note(&format!("  … and {} more (--json lists them)", total - SHOWN as u64));
    }
}
