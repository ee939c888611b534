//! Hears tracks' files: finds them on this machine or at the library, waits for its time, and does it on threads of its own,
//! behind everything else that the machine does.

mod file;
mod gate;
mod hearing;
mod maker;
mod translate;

pub use file::Files;
pub use gate::{Gate, Hours, HoursError};
pub use hearing::Pace;
pub use maker::SoundMaker;

use soniquebay_domain::{Space, SpaceError};

/// The space that vectors of sound lie in.
///
/// # Errors
/// Where the analysis' revision names no space.
pub fn sound_space() -> Result<Space, SpaceError> {
    Space::sound(soniquebay_audio::SOUND_DIMS, soniquebay_audio::REVISION)
}
