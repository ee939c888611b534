//! The whole system: the real binary, real files, the real model, over HTTP and the command line.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

mod access;
mod bad_input;
mod bulk;
mod cli;
mod configuration;
mod containers;
mod contract;
mod db;
mod demo_catalogue;
mod doctor;
mod embedding;
mod faults;
mod hearing;
mod kill;
mod metrics;
mod model;
mod music_folder;
mod program;
mod raspberry_pi;
mod schemathesis;
mod services;
mod typed_search;
