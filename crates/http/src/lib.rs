//! Asking other services over HTTP. Each request is bounded in time and each answer in size, connections are kept, and what
//! goes wrong is told with the address.

mod address;
mod client;
mod error;
mod key;

pub use address::{BaseUrl, BaseUrlError};
pub use client::{Answer, Bounds, Http, Part, Settings};
pub use error::{HttpError, HttpErrorKind};
pub use hyper::body::Bytes;
pub use hyper::{Method, StatusCode};
pub use key::{ApiKey, ApiKeyError};
