//! From an event to a job, from a job to a stored vector: listen, claim, execute, settle; and the reconciler, which finds what no
//! event told.

mod execute;
mod listener;
mod progress;
mod reconcile;
mod retry;
mod wanted;
mod words;
mod worker;

pub use listener::Listener;
pub use reconcile::{Differed, ListReconciler, reconcile_until};
pub use wanted::WantedSpaces;
pub use words::FromFields;
pub use worker::{Parts, Worker, WorkerLimits};
