//! The routers over a real SQLite store, with a vectorizer that needs no model.
#![allow(clippy::unwrap_used, clippy::panic, reason = "what a test did not expect fails it")]

mod access;
mod app;
mod audio;
mod bad_input;
mod description;
mod fuzz;
mod keys;
mod library;
mod mirror;
mod readiness;
mod recommender;
mod service;
mod streams;
