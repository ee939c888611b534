use serde::Serialize;

/// Failures that are listed one by one; the rest are only counted.
const LISTED: usize = 10_000;

/// What a scan came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ScanReport {
    /// Audio files found.
    pub files: u64,
    /// Files that were as the catalogue knows them: neither read nor written.
    pub unchanged: u64,
    /// Files whose tags were read.
    pub tags_read: u64,
    /// Tracks created.
    pub created: u64,
    /// Tracks changed, those included that were known without a file and found theirs.
    pub updated: u64,
    /// Tracks whose file has another path now.
    pub moved: u64,
    /// Tracks removed, because their file is gone.
    pub removed: u64,
    /// Files and folders that could not be used, the first 10,000.
    pub failed: Vec<Failure>,
    /// All files and folders that could not be used.
    pub failed_total: u64,
    /// What the owner should know, in whole sentences.
    pub warnings: Vec<String>,
    /// Whether the scan was stopped before its end; then nothing more was removed.
    pub stopped: bool,
}

/// A file or folder that could not be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Which one; where its name is no UTF-8, as near as can be shown.
    pub path: String,
    /// Why.
    pub reason: String,
}

impl ScanReport {
    pub(super) fn fail(&mut self, failure: Failure) {
        self.failed_total += 1;
        if self.failed.len() < LISTED {
            self.failed.push(failure);
        }
    }

    /// Warnings of single files are as bounded as failures are.
    pub(super) fn warn(&mut self, warning: String) {
        if self.warnings.len() < LISTED {
            self.warnings.push(warning);
        }
    }
}
