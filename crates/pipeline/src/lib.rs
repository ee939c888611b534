//! From a job to a stored vector: claim, execute, settle; and the reconciler, which finds what no event told.

mod execute;
mod progress;
mod reconcile;
mod retry;
mod worker;

pub use reconcile::reconcile_until;
pub use worker::{Parts, Worker, WorkerLimits};
