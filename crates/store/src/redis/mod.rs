//! What several machines share through Redis.

mod cache;

pub use cache::{RedisCache, RedisUrlError};
