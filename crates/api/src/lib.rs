//! The HTTP APIs: library, recommender, jobs, events, health, and their description.
//!
//! Speaks to the ports of `domain` and to `search`; names no database, broker or model.

mod access;
mod conditional;
mod connections;
mod error;
mod extract;
mod layers;
mod one_thread;
mod openapi;
mod params;
mod patience;
mod router;
mod routes;
mod server;
mod services;
mod span;
mod unread;

pub use access::{Access, AccessSettings, Rate};
pub use router::{admin_router, combined_router, library_router, recommender_router};
pub use routes::events::{backlog, coverage};
pub use routes::health::{catalog_check, index_check, model_check, queue_check};
pub use server::{Limits, serve};
pub use services::{Check, Operations, Services, Standing, Unwell};
