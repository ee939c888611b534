//! From a track to its vector: describe it in words, measure it in twelve numbers, embed the words, combine.

mod cache;
mod describe;
mod installed;
pub mod local;
mod measure;
pub mod model_files;
pub mod remote;
mod vectorizer;

pub use cache::{CachingEmbedder, MemoryCache};
pub use describe::{Part, Template};
pub use installed::InstalledModel;
pub use measure::{NAMES, NUMBERS, measure};
pub use vectorizer::{SpaceSettings, TextAndNumbers};
