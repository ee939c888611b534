//! From folders to the catalogue: walk, compare, read tags, write, remove.

mod compare;
mod foreign;
mod moves;
mod read;
mod report;
mod roots;
mod tags;
mod walk;
mod write;

use std::path::PathBuf;
use std::sync::Arc;

use soniquebay_domain::{Catalog, FileState, Priority, StoreError};

use crate::StopFlag;
use compare::{Comparison, compare};
use moves::Vanished;
use walk::Walk;
use write::Writer;

pub use report::{Failure, ScanReport};
pub use walk::is_audio_file;

/// Files handed to the removal at once.
const REMOVE_BATCH: usize = 500;

/// How to scan.
#[derive(Clone, Debug)]
pub struct ScanOptions {
    /// How soon the vectors are wanted.
    pub priority: Priority,
    /// Files whose tags are read at the same time.
    pub readers: usize,
    /// Files written in one transaction.
    pub batch: usize,
    /// Believe a folder that holds no audio file at all: without this, its tracks stay, for the drive may be unmounted.
    pub allow_empty: bool,
    /// Ends the scan early.
    pub stop: StopFlag,
}

impl Default for ScanOptions {
    fn default() -> Self {
        Self { priority: Priority::Bulk, readers: 3, batch: 200, allow_empty: false, stop: StopFlag::default() }
    }
}

/// Which part of a scan is at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanStep {
    /// Looking for files; how many there are is not known yet.
    Walk,
    /// Reading tags of new and changed files.
    Read,
    /// Removing tracks whose files are gone.
    Remove,
}

/// How far a scan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanProgress {
    /// Which part is at work.
    pub step: ScanStep,
    /// Files done in this part.
    pub done: u64,
    /// Files in this part, where known.
    pub total: Option<u64>,
}

/// Why a scan did not come to its end. What was written until then stays.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// No folder was named.
    #[error("no folder to scan was named")]
    NoRoot,
    /// A folder to scan is not there or is none.
    #[error("{path} cannot be scanned: {reason}")]
    Root {
        /// Which one.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The catalogue does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A thread ended without an answer.
    #[error("the scan broke off: {0}")]
    Thread(String),
}

/// Makes `catalog` say what the folders `roots` hold, with everything below them.
///
/// A file whose size and time are as they were is neither read nor written. A file that moved keeps its track. A track
/// whose file is gone is removed, unless something below its folder could not be read, the whole folder looks
/// unmounted, or the scan was stopped. Needs a tokio runtime; reading happens on its blocking threads.
///
/// # Errors
/// Where a root is no folder, or the catalogue does not answer.
pub async fn scan(
    catalog: Arc<dyn Catalog>,
    roots: &[PathBuf],
    options: ScanOptions,
    mut progress: impl FnMut(ScanProgress),
) -> Result<ScanReport, ScanError> {
    let given = roots.to_vec();
    let roots = blocking(move || roots::resolve(&given)).await??;
    let mut report = ScanReport::default();
    let mut plan = Plan::default();
    for root in roots {
        let known = catalog.files_below(root.clone()).await?;
        let walk = walk_root(&root, &options.stop, &mut |done| {
            let done = report.files + done;
            progress(ScanProgress { step: ScanStep::Walk, done, total: None });
        })
        .await?;
        plan.add(&root, walk, known, &options, &mut report);
        if options.stop.is_stopped() {
            break;
        }
    }
    report.stopped = options.stop.is_stopped();
    let vanished = if plan.comparison.to_read.iter().any(|file| file.known.is_none()) {
        Vanished::load(catalog.as_ref(), &plan.comparison.vanished).await?
    } else {
        Vanished::default()
    };
    // Where every track has a file below these folders, there is nothing that a new file could adopt.
    let may_adopt = catalog.counts().await?.tracks > plan.known;
    let Comparison { to_read, vanished: gone, .. } = plan.comparison;
    let total = to_read.len() as u64;
    let mut reads = read::spawn(to_read, options.readers, &options.stop);
    let mut writer = Writer::new(catalog.as_ref(), &options, vanished, may_adopt);
    let mut done = 0;
    while let Some(read) = reads.recv().await {
        writer.add(read, &mut report).await?;
        done += 1;
        progress(ScanProgress { step: ScanStep::Read, done, total: Some(total) });
    }
    let moved = writer.finish(&mut report).await?;
    report.stopped |= options.stop.is_stopped();
    if !report.stopped {
        let gone = gone.into_iter().filter(|file| !moved.contains(&file.id)).collect();
        remove(catalog.as_ref(), gone, &options.stop, &mut report, &mut progress).await?;
    }
    Ok(report)
}

/// What the walks found, over all roots: a file may move from one to another.
#[derive(Default)]
struct Plan {
    comparison: Comparison,
    /// Files below the roots that the catalogue knows.
    known: u64,
}

impl Plan {
    fn add(&mut self, root: &str, walk: Walk, known: Vec<FileState>, options: &ScanOptions, report: &mut ScanReport) {
        self.known += known.len() as u64;
        report.files += walk.files.len() as u64;
        report.warnings.extend(walk.warnings);
        let is_empty = walk.files.is_empty();
        let has_failed = !walk.failed.is_empty();
        walk.failed.into_iter().for_each(|failure| report.fail(failure));
        let known_files = known.len();
        let mut found = compare(walk.files, known, &walk.unreadable);
        report.unchanged += found.unchanged;
        if is_empty && known_files > 0 && !options.allow_empty && !options.stop.is_stopped() {
            let why = if has_failed { "no readable audio file" } else { "no audio file" };
            report.warnings.push(format!(
                "{root} holds {why} while the catalogue knows {known_files} there: is the drive mounted? \
                 Nothing was removed; scan with --allow-empty if the folder was really emptied."
            ));
            found.vanished.clear();
        }
        self.comparison.join(found);
    }
}

async fn walk_root(root: &str, stop: &StopFlag, progress: &mut impl FnMut(u64)) -> Result<Walk, ScanError> {
    let mut chunks = walk::spawn(root, stop);
    let mut walk = Walk::default();
    while let Some(chunk) = chunks.recv().await {
        walk.join(chunk);
        progress(walk.files.len() as u64);
    }
    if !walk.is_complete && !stop.is_stopped() {
        return Err(ScanError::Thread(format!("{root} was not read to its end")));
    }
    Ok(walk)
}

async fn remove(
    catalog: &dyn Catalog,
    gone: Vec<FileState>,
    stop: &StopFlag,
    report: &mut ScanReport,
    progress: &mut impl FnMut(ScanProgress),
) -> Result<(), ScanError> {
    let total = gone.len() as u64;
    let mut done = 0;
    let mut rest = gone.into_iter();
    loop {
        let batch: Vec<FileState> = rest.by_ref().take(REMOVE_BATCH).collect();
        if batch.is_empty() {
            return Ok(());
        }
        if stop.is_stopped() {
            report.stopped = true;
            return Ok(());
        }
        done += batch.len() as u64;
        // Asked once more, now: the walk may be minutes old, and a client may have named a file that no walk looks at.
        let gone = blocking(move || batch.into_iter().filter(is_gone).map(|file| file.id).collect::<Vec<_>>()).await?;
        report.removed += catalog.remove(gone, None).await? as u64;
        progress(ScanProgress { step: ScanStep::Remove, done, total: Some(total) });
    }
}

fn is_gone(file: &FileState) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    std::fs::symlink_metadata(&file.path).is_err_and(|error| matches!(error.kind(), NotFound | NotADirectory))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ScanError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| ScanError::Thread(error.to_string()))
}
