//! From JSONL and CSV to the catalogue: read, check, write in batches.

mod csv;
mod jsonl;
mod lines;
mod report;
mod source;

use std::io::{BufRead, Cursor, Read};
use std::path::Path;
use std::sync::Arc;

use soniquebay_domain::{Applied, Catalog, Outcome, Priority, StoreError, Target, TrackWrite, WriteMode};
use tokio::sync::mpsc;

use crate::StopFlag;
use source::{Entry, Source};

pub use report::{ImportReport, LineFailure, LineNote};

/// Bytes in a line, or in a CSV row.
const LINE_BYTES: usize = 64 * 1024;
/// Records in one transaction.
const BATCH: usize = 500;

/// How the records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Jsonl,
    /// A header row, then one track a row; ',', ';' or tabs between.
    Csv,
}

impl Format {
    /// What the file's extension says; `None` where it says nothing, then the content decides.
    pub fn from_path(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "jsonl" | "ndjson" | "json" => Some(Self::Jsonl),
            "csv" | "tsv" => Some(Self::Csv),
            _ => None,
        }
    }
}

/// How to import.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// How soon the vectors are wanted.
    pub priority: Priority,
    /// Ends the import early, between two batches.
    pub stop: StopFlag,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self { priority: Priority::Bulk, stop: StopFlag::default() }
    }
}

/// How far an import is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportProgress {
    /// Records looked at.
    pub lines: u64,
    /// Records that could not be used.
    pub failed: u64,
}

/// Why an import did not come to its end. What was written until then stays.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be read on.
    #[error("the import cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// A whole JSON array would have to be held in memory.
    #[error("this is one JSON array: write one object a line, for example with `jq -c '.[]' tracks.json`")]
    Array,
    /// The first row of a CSV names no field that a track could be known by.
    #[error("the first row must name the columns, one of them title, id, path, musicbrainz_id or isrc; it is: {0}")]
    Header(String),
    /// The catalogue does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The reading thread ended without an answer.
    #[error("the import broke off: {0}")]
    Thread(String),
}

/// Writes the records of `reader` into `catalog`, each into the track that it is recognised as, or a new one. Without
/// a `format` the first character decides. Reads as it writes, so memory does not grow with the file. Needs a tokio
/// runtime; reading happens on a blocking thread.
///
/// # Errors
/// Where nothing more can be read or written. A record that is wrong is no error but a line of the report.
pub async fn import(
    reader: impl BufRead + Send + 'static,
    format: Option<Format>,
    catalog: Arc<dyn Catalog>,
    options: ImportOptions,
    mut progress: impl FnMut(ImportProgress),
) -> Result<ImportReport, ImportError> {
    let (sender, mut batches) = mpsc::channel(1);
    let stop = options.stop.clone();
    let reading = tokio::task::spawn_blocking(move || read(reader, format, &stop, &sender));
    let mut report = ImportReport::default();
    while let Some(batch) = batches.recv().await {
        write(catalog.as_ref(), options.priority, batch, &mut report).await?;
        progress(ImportProgress { lines: report.lines, failed: report.failed_total });
    }
    report.stopped = reading.await.map_err(|error| ImportError::Thread(error.to_string()))??;
    Ok(report)
}

/// Sends the records in batches; whether it was stopped before the end.
fn read(
    mut reader: impl BufRead,
    format: Option<Format>,
    stop: &StopFlag,
    batches: &mpsc::Sender<Vec<Entry>>,
) -> Result<bool, ImportError> {
    // The first line decides on format and separator, and is then read again.
    let mut first = Vec::new();
    reader.by_ref().take(LINE_BYTES as u64).read_until(b'\n', &mut first)?;
    while first.trim_ascii().is_empty() && first.last() == Some(&b'\n') && first.len() < LINE_BYTES {
        // Nothing but empty lines ends here.
        if reader.by_ref().take(LINE_BYTES as u64).read_until(b'\n', &mut first)? == 0 {
            break;
        }
    }
    let content = first.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&first).trim_ascii_start();
    let format = format.unwrap_or(if content.starts_with(b"{") { Format::Jsonl } else { Format::Csv });
    if content.starts_with(b"[") {
        return Err(ImportError::Array);
    }
    let separator = csv::separator(content);
    let whole = Cursor::new(first).chain(reader);
    match format {
        Format::Jsonl => send(jsonl::Jsonl::new(whole), stop, batches),
        Format::Csv => send(csv::Csv::new(whole, separator)?, stop, batches),
    }
}

fn send(mut source: impl Source, stop: &StopFlag, batches: &mpsc::Sender<Vec<Entry>>) -> Result<bool, ImportError> {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let entry = source.next()?;
        let is_end = entry.is_none();
        batch.extend(entry);
        if batch.len() == BATCH || (is_end && !batch.is_empty()) {
            let full = std::mem::replace(&mut batch, Vec::with_capacity(BATCH));
            // The other side is gone where the catalogue failed: that error is the one to report.
            if batches.blocking_send(full).is_err() {
                return Ok(true);
            }
        }
        if is_end || stop.is_stopped() {
            return Ok(!is_end);
        }
    }
}

async fn write(
    catalog: &dyn Catalog,
    priority: Priority,
    batch: Vec<Entry>,
    report: &mut ImportReport,
) -> Result<(), ImportError> {
    report.lines += batch.len() as u64;
    let (mut writes, mut lines, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    for Entry { line, record } in batch {
        match record {
            Ok(record) => {
                record.clamped.iter().for_each(|moved| report.note(line, moved.to_string()));
                let target = Target::Recognised { id: record.id };
                writes.push(TrackWrite { target, mode: WriteMode::Merge, patch: record.patch, priority });
                lines.push(line);
            }
            Err(reason) => failures.push(LineFailure { line, reason }),
        }
    }
    if !writes.is_empty() {
        for (line, applied) in lines.into_iter().zip(catalog.apply(writes).await?) {
            let reason = match applied {
                Applied::Done { outcome, .. } => {
                    match outcome {
                        Outcome::Created => report.created += 1,
                        Outcome::Updated => report.updated += 1,
                        Outcome::Unchanged => report.unchanged += 1,
                    }
                    continue;
                }
                Applied::Refused(error) => error.to_string(),
                Applied::Missing(id) | Applied::Outdated { id, .. } => {
                    format!("track {id} was changed meanwhile: import again")
                }
            };
            failures.push(LineFailure { line, reason });
        }
    }
    failures.sort_by_key(|failure| failure.line);
    failures.into_iter().for_each(|failure| report.fail(failure));
    Ok(())
}
