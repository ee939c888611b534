//! `/api/track-vectors`.

mod batch;
mod delete;
mod get;
mod list;
mod put;
mod search;
mod write;

use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use soniquebay_domain::Space;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Services;

const SPACE_HEADER: HeaderName = HeaderName::from_static("x-soniquebay-space");

pub(crate) fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new()
        .routes(routes!(list::list_vectors, put::put_vector))
        .routes(routes!(batch::put_vectors))
        .routes(routes!(search::search_vectors))
        .routes(routes!(get::get_vector, delete::delete_vector))
}

/// Says which space a bare array is about.
fn with_space(mut response: Response, space: &Space) -> Response {
    if let Ok(value) = HeaderValue::from_str(&space.to_string()) {
        response.headers_mut().insert(SPACE_HEADER, value);
    }
    response
}
