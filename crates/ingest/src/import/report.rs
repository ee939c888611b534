use serde::Serialize;

/// Failures that are listed one by one; the rest are only counted.
const LISTED: usize = 1_000;

/// What an import came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// Records looked at, blank lines and the header aside.
    pub lines: u64,
    /// Tracks created.
    pub created: u64,
    /// Tracks changed.
    pub updated: u64,
    /// Records that said nothing new.
    pub unchanged: u64,
    /// Records that could not be used, the first 1,000.
    pub failed: Vec<LineFailure>,
    /// All records that could not be used.
    pub failed_total: u64,
    /// Numbers that were a little out of range and are kept at its end, the first 1,000.
    pub clamped: Vec<LineNote>,
    /// All such numbers.
    pub clamped_total: u64,
    /// Whether the import was stopped before its end.
    pub stopped: bool,
}

/// A record that could not be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LineFailure {
    /// The line it begins on, counted from 1.
    pub line: u64,
    /// Why.
    pub reason: String,
}

/// Something about a record that was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LineNote {
    /// The line it begins on, counted from 1.
    pub line: u64,
    /// What was made of it.
    pub note: String,
}

impl ImportReport {
    pub(super) fn note(&mut self, line: u64, note: String) {
        self.clamped_total += 1;
        if self.clamped.len() < LISTED {
            self.clamped.push(LineNote { line, note });
        }
    }

    pub(super) fn fail(&mut self, failure: LineFailure) {
        self.failed_total += 1;
        if self.failed.len() < LISTED {
            self.failed.push(failure);
        }
    }
}
