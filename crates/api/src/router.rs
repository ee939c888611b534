use std::sync::Arc;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request};
use axum::{Extension, Router, middleware};
use tower::ServiceBuilder;
use tower::util::{MapRequestLayer, option_layer};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;

use crate::access;
use crate::error::{ApiError, Code};
use crate::extract::BODY_BYTES;
use crate::layers;
use crate::routes::events::Places;
use crate::{Operations, Services, conditional, openapi, routes, unread};

/// The library's API: tracks, jobs, events, health.
pub fn library_router(services: Services) -> Router {
    assemble(routes::tracks::library(), services)
}

/// The recommender's API: vectors, similar tracks, search, jobs, events, health.
pub fn recommender_router(services: Services) -> Router {
    assemble(recommender(), services)
}

/// Both, for one process that serves everything.
pub fn combined_router(services: Services) -> Router {
    assemble(routes::tracks::library().merge(recommender()), services)
}

fn recommender() -> OpenApiRouter<Services> {
    routes::tracks::recommender()
        .merge(routes::vectors::routes())
        .merge(routes::similar::routes())
        .merge(routes::search::routes())
}

/// A role that keeps neither tracks nor vectors: jobs, events, health.
pub fn admin_router(operations: Operations) -> Router {
    finish(routes::metrics::of_work().with_state(operations.clone()), operations)
}

fn assemble(part: OpenApiRouter<Services>, services: Services) -> Router {
    let operations = services.operations.clone();
    let own = part.merge(routes::spaces::routes()).merge(routes::stats::routes()).merge(routes::metrics::routes());
    finish(own.with_state(services), operations)
}

/// What every role answers.
fn service() -> OpenApiRouter<Operations> {
    routes::jobs::routes().merge(routes::events::routes()).merge(routes::health::routes())
}

fn finish(own: OpenApiRouter, operations: Operations) -> Router {
    let base = OpenApiRouter::with_openapi(openapi::base(operations.version));
    let access = Arc::clone(&operations.access);
    let (router, mut description) = base.merge(own).merge(service().with_state(operations)).split_for_parts();
    openapi::complete(&mut description, access.base_path());
    let docs = openapi::routes(&description).unwrap_or_else(|error| {
        tracing::error!(%error, "The API cannot be described");
        Router::new()
    });

    let inner = router
        .merge(docs)
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(Extension(Places::default()))
        .layer(middleware::from_fn(conditional::spare_what_is_known))
        .layer(middleware::from_fn(layers::limit_time))
        .layer(middleware::from_fn_with_state(Arc::clone(&access), access::guard))
        // Around it, as a browser asks what it may do without showing a key.
        .layer(option_layer(access.cors()))
        .layer(CatchPanicLayer::custom(layers::answer_panic))
        .layer(middleware::from_fn(layers::harden))
        .layer(middleware::from_fn(unread::say_that_it_closes))
        .layer(middleware::from_fn(layers::observe));
    // Around the router, as a layer within it would come after the route is chosen.
    let trimmed = ServiceBuilder::new()
        .layer(middleware::from_fn_with_state(access, layers::below_base_path))
        .layer(MapRequestLayer::new(|request: Request<Body>| layers::without_trailing_slash(request)))
        .service(inner);
    Router::new().fallback_service(trimmed)
}

async fn not_found(request: Request) -> ApiError {
    ApiError::nothing_at(request.uri().path())
}

async fn method_not_allowed(request: Request) -> ApiError {
    let path: String = request.uri().path().chars().take(200).collect();
    ApiError::new(Code::MethodNotAllowed, format!("{} is not for {path}.", request.method()))
}
