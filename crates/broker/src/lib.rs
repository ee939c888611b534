//! What runs between processes: events, and jobs as Celery messages on Redis, in both directions.

pub mod bus;
pub mod celery;
mod clock;
mod standing;

pub use clock::RedisClock;
pub use standing::RedisStanding;
