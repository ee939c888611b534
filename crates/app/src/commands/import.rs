use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::Context;
use soniquebay_ingest::{Format, ImportOptions, ImportReport};
use tokio_util::sync::CancellationToken;

use crate::cli::{Cli, ImportArgs};
use crate::exit::End;
use crate::library::Library;
use crate::output;
use crate::progress_log::Told;
use crate::vectorize::bar;

use super::or_stop;
use super::scan::{finish, flag, list};

pub(crate) async fn run(cli: &Cli, args: &ImportArgs, stop: &CancellationToken) -> anyhow::Result<()> {
    let reader = open(&args.file)?;
    let library = Library::open(cli).await?;
    let report = import(&library, reader, Format::from_path(&args.file), stop).await?;
    if args.json {
        output::json(&report)?;
    } else {
        say(&report);
    }
    finish(&library, !args.no_wait, false, stop).await?;
    match report.failed_total {
        0 => Ok(()),
        failed => Err(End::Partly(format!("{failed} lines could not be used")).into()),
    }
}

/// The file, or standard input for `-`.
pub(crate) fn open(path: &Path) -> anyhow::Result<Box<dyn BufRead + Send>> {
    if path == Path::new("-") {
        return Ok(Box::new(BufReader::new(std::io::stdin())));
    }
    anyhow::ensure!(!path.is_dir(), "{} is a folder: read it with `soniquebay scan`", path.display());
    let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(Box::new(BufReader::new(file)))
}

/// Reads tracks into the catalogue, with a progress bar.
pub(crate) async fn import(
    library: &Library,
    reader: Box<dyn BufRead + Send>,
    format: Option<Format>,
    stop: &CancellationToken,
) -> anyhow::Result<ImportReport> {
    let options = ImportOptions { stop: flag(stop), ..ImportOptions::default() };
    let shown = bar(0, "tracks");
    let mut told = Told::new(library, "import");
    let work = soniquebay_ingest::import(reader, format, library.catalog(), options, |step| {
        told.hear(step.lines, step.lines);
        shown.set_length(step.lines);
        shown.set_position(step.lines);
    });
    // A terminal or a pipe may never send the next line: the reading is left behind. A batch that is being written is
    // written to its end, on its own thread.
    let report = or_stop(async { Ok(work.await?) }, stop).await;
    shown.finish_and_clear();
    report
}

/// The report, for a person.
pub(crate) fn say(report: &ImportReport) {
    output::note(&format!(
        "{} tracks: {} created, {} updated, {} unchanged, {} refused",
        report.lines, report.created, report.updated, report.unchanged, report.failed_total
    ));
    list(report.clamped.iter().map(|moved| format!("line {}: {}", moved.line, moved.note)), report.clamped_total);
    list(report.failed.iter().map(|failure| format!("line {}: {}", failure.line, failure.reason)), report.failed_total);
}
