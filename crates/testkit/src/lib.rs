//! What tests of several crates need: audio files, made on the spot.

pub mod audio;
