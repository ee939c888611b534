//! How parts tell each other what happened: within a process, and over Redis between processes.

mod heard;
mod in_process;
mod publishing;
mod redis;

pub use heard::PublishingAnalyses;
pub use in_process::LocalBus;
pub use publishing::PublishingCatalog;
pub(crate) use redis::TRACKS;
pub use redis::{RedisBus, RedisUrlError};

/// Events that a slow subscriber may lag behind: those of a large import, at a kilobyte or two each.
const BACKLOG: usize = 16_384;
