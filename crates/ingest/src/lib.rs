//! Where tracks come from: folders of audio files, JSONL and CSV.
//!
//! A scan makes the catalogue say what the folders hold, and touches nothing that is so already. An import adds what a
//! file says. Both read on blocking threads, write in batches, and account for everything they could not use.

mod import;
mod scan;
mod stop;

pub use import::{Format, ImportError, ImportOptions, ImportProgress, ImportReport, LineFailure, LineNote, import};
pub use scan::{Failure, ScanError, ScanOptions, ScanProgress, ScanReport, ScanStep, is_audio_file, scan};
pub use stop::StopFlag;
