//! From an audio file to what can be heard in it: tempo, key, loudness and the like, and a vector of how it sounds.
//!
//! Synchronous and pure: a source of bytes goes in, numbers come out. Memory does not grow with the length of a file, and
//! whatever is in it, the answer is an [`Analysis`] or an [`AudioError`].

mod analysis;
mod decode;
mod error;
mod hash;
mod limits;

pub use analysis::{Analysis, KeyMeasure, Measure};
pub use error::AudioError;
pub use hash::{AudioHash, audio_hash};
pub use limits::{Limits, Source};

use decode::Decoder;
use limits::Watch;

/// Names all that decides what the numbers mean. It changes when the same file would get other ones, and is part of the
/// sound space's revision.
pub const REVISION: &str = "sound-1";

/// Length of [`Analysis::sound`].
pub const SOUND_DIMS: usize = 64;

/// Listens to a file. `hint` is its extension, without the dot; `stop` is asked often, and ends the work where it says so.
///
/// # Errors
/// [`AudioError`] says what was wrong with the file; [`AudioError::is_permanent`] whether another try can help.
pub fn analyze(
    source: Box<dyn Source + '_>,
    hint: Option<&str>,
    limits: &Limits,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Analysis, AudioError> {
    let watch = Watch::new(limits, stop);
    let mut decoder = Decoder::open(source, hint, &watch)?;
    let mut duration = 0.0;
    let mut layout = None;
    while let Some(block) = decoder.next()? {
        let frames = block.channels.first().map_or(0, Vec::len);
        layout.get_or_insert((block.rate, block.channels.len()));
        duration += frames as f64 / f64::from(block.rate);
    }
    let (sample_rate, channels) = layout.ok_or(AudioError::Empty)?;
    Ok(Analysis {
        duration,
        sample_rate,
        channels: channels as u32,
        codec: decoder.codec(),
        damaged_packets: decoder.damaged(),
        tempo: None,
        beat_strength: None,
        danceability: None,
        key: None,
        loudness: None,
        loudness_range: None,
        energy: None,
        brightness: None,
        percussive: None,
        onset_rate: None,
        silence_start: 0.0,
        silence_end: 0.0,
        sound: None,
    })
}
