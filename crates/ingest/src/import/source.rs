use std::io;

use serde_json::{Map, Value};
use soniquebay_wire::{TrackRecord, parse_track};

/// One record, or why it is none.
pub(super) struct Entry {
    /// The line it begins on, counted from 1.
    pub(super) line: u64,
    pub(super) record: Result<TrackRecord, String>,
}

/// Records one after the other.
pub(super) trait Source {
    fn next(&mut self) -> io::Result<Option<Entry>>;
}

/// All that is wrong with a record in one line.
pub(super) fn record(fields: Map<String, Value>) -> Result<TrackRecord, String> {
    parse_track(fields).map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}
