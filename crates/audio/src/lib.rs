//! From an audio file to what can be heard in it: tempo, key, loudness and the like, and a vector of how it sounds.
//!
//! Synchronous and pure: a source of bytes goes in, numbers come out. Memory does not grow with the length of a file, and
//! whatever is in it, the answer is an [`Analysis`] or an [`AudioError`].

mod analysis;
mod decode;
mod error;
mod hash;
mod limits;
mod listen;

#[cfg(feature = "training")]
pub use analysis::Raw;
pub use analysis::{Analysis, KeyMeasure, Measure};
pub use error::AudioError;
pub use hash::{AudioHash, audio_hash};
pub use limits::{Limits, Source};

use decode::Decoder;
use limits::Watch;
use listen::Listener;

/// Names all that decides what the numbers mean. It changes when the same file would get other ones, and is part of the
/// sound space's revision.
pub const REVISION: &str = "sound-1";

/// Length of [`Analysis::sound`].
pub const SOUND_DIMS: usize = 37;

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
    let mut heard: Option<(u32, usize, Listener)> = None;
    while let Some(block) = decoder.next()? {
        let frames = block.channels.first().map_or(0, Vec::len);
        duration += frames as f64 / f64::from(block.rate);
        let layout = (block.rate, block.channels.len());
        let (rate, channels, listener) = match &mut heard {
            Some(listening) => listening,
            none => none.insert((layout.0, layout.1, Listener::new(layout.0, layout.1))),
        };
        if layout != (*rate, *channels) {
            return Err(AudioError::Damaged {
                what: format!(
                    "after {duration:.1} s it changes from {channels} channels at {rate} Hz to {} at {}",
                    layout.1, layout.0
                ),
            });
        }
        listener.hear(&block);
    }
    let (sample_rate, channels, listener) = heard.ok_or(AudioError::Empty)?;
    let heard = listener.finish();
    Ok(Analysis {
        duration,
        sample_rate,
        channels: channels as u32,
        codec: decoder.codec(),
        damaged_packets: decoder.damaged(),
        tempo: heard.tempo,
        beat_strength: heard.beat_strength,
        danceability: heard.danceability,
        key: heard.key,
        loudness: heard.loudness,
        loudness_range: heard.loudness_range,
        energy: heard.energy,
        brightness: heard.brightness,
        percussive: heard.percussive,
        onset_rate: heard.onset_rate,
        silence_start: heard.silence_start,
        silence_end: heard.silence_end,
        sound: heard.sound,
        #[cfg(feature = "training")]
        raw: heard.raw,
    })
}
