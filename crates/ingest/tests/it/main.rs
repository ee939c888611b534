//! Scans and imports over real files, into a catalogue in memory.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its setting up fails")]

mod catalog;
mod formats;
mod fuzz;
mod import;
mod scan;
