//! The endpoints: one file each, or one for a small group.

pub(crate) mod analysis;
pub(crate) mod events;
pub(crate) mod health;
pub(crate) mod jobs;
pub(crate) mod metrics;
pub(crate) mod search;
pub(crate) mod similar;
pub(crate) mod spaces;
pub(crate) mod stats;
pub(crate) mod tracks;
pub(crate) mod vectors;
