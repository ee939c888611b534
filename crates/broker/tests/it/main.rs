//! Jobs as Celery messages, on a real Redis and with real Celery.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

mod arrivals;
mod interop;
mod interop_tools;
mod outages;
mod queue;
mod rig;
mod two;
mod watched;
mod work;
