//! Which route takes which scope: the one table.

use axum::http::Method;
use soniquebay_domain::Scope;

/// What tells nothing of the library: whether the process does well, and what can be asked.
const OPEN: [&str; 6] = ["/healthz", "/readyz", "/openapi.json", "/docs", "/docs/", "/docs/{*rest}"];

/// Questions that are too long for an address.
const ASKED_BY_POST: [&str; 2] = ["/api/similar", "/api/track-vectors/search"];

/// What meddles with the work itself.
const ADMIN: [(Method, &str); 6] = [
    (Method::POST, "/api/analysis/pause"),
    (Method::POST, "/api/analysis/resume"),
    (Method::DELETE, "/api/spaces"),
    (Method::POST, "/api/jobs/retry"),
    (Method::POST, "/api/jobs/{id}/retry"),
    (Method::POST, "/api/jobs/{id}/cancel"),
];

/// What a request takes, by the route that it goes to, if any; `None` where nothing is asked for. A route that nobody thought
/// of here takes `read` to ask and `write` for anything else.
pub(crate) fn required(method: &Method, route: Option<&str>) -> Option<Scope> {
    let Some(route) = route else { return Some(Scope::Read) };
    if OPEN.contains(&route) {
        return None;
    }
    if ADMIN.iter().any(|(admin, path)| admin == method && *path == route) {
        return Some(Scope::Admin);
    }
    match matches!(*method, Method::GET | Method::HEAD) || ASKED_BY_POST.contains(&route) {
        true => Some(Scope::Read),
        false => Some(Scope::Write),
    }
}
