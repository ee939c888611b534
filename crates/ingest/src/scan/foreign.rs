//! Audio files whose tags nobody here can read: they are tracks all the same, by their names.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// First bytes, and where they stand, of what the reader of tags does not know.
const SIGNATURES: [(usize, &[u8], &str); 9] = [
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media"),
    (0, b"caff", "CAF"),
    (0, b"TTA1", "True Audio"),
    (0, b"TTA2", "True Audio"),
    (0, b"DSD ", "DSD"),
    (0, b"FRM8", "DSD"),
    (0, b"\x0b\x77", "AC-3"),
    (0, b"\x1a\x45\xdf\xa3", "Matroska"),
    (28, b"\x7fFLAC", "FLAC in Ogg"),
];

/// What the file is, where its first bytes say that it is audio of such a kind.
pub(super) fn kind_of(path: &Path) -> Option<&'static str> {
    let mut start = Vec::new();
    File::open(path).ok()?.take(64).read_to_end(&mut start).ok()?;
    let is = |(at, bytes, _): &&(usize, &[u8], &str)| start.get(*at..).is_some_and(|rest| rest.starts_with(bytes));
    SIGNATURES.iter().find(is).map(|(.., kind)| *kind)
}
