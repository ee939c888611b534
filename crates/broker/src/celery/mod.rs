//! Jobs as Celery messages on Redis: what a Python producer or worker of Celery 5 sends and reads, and safer.
//!
//! [`CeleryQueue`] queues and claims, [`TwoQueues`] keeps files to be heard on a queue of their own, [`CelerySettlement`] ends jobs together with their vectors, [`CeleryNode`] is what
//! `celery inspect`, `celery events` and Flower see.

mod config;
mod envelope;
mod failure;
mod follow;
#[cfg(test)]
mod fuzz;
mod keys;
mod message;
mod moves;
mod node;
mod python;
mod queue;
mod redis;
mod settlement;
mod task;
mod two;

pub use config::{CeleryConfig, CeleryConfigError};
pub use node::CeleryNode;
pub use queue::CeleryQueue;
pub use settlement::CelerySettlement;
pub use two::TwoQueues;
