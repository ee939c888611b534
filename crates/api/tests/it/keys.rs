//! Who is let in, with which key, from where, and how often.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderValue, Method, Request, StatusCode};
use soniquebay_api::Rate;
use soniquebay_domain::{KeyHash, Scope};

use crate::app::{Answer, App};

/// What each operation takes; nothing where no key is needed.
const SCOPES: [(&str, &str); 36] = [
    ("get_audio", "read"),
    ("find_audio", "read"),
    ("set_analysis", "write"),
    ("get_analysis", "read"),
    ("pause_analysis", "admin"),
    ("resume_analysis", "admin"),
    ("list_tracks", "read"),
    ("create_track", "write"),
    ("write_tracks", "write"),
    ("find_tracks", "read"),
    ("get_track", "read"),
    ("replace_track", "write"),
    ("update_track", "write"),
    ("delete_track", "write"),
    ("set_features", "write"),
    ("similar_tracks", "read"),
    ("list_vectors", "read"),
    ("put_vector", "write"),
    ("put_vectors", "write"),
    ("search_vectors", "read"),
    ("get_vector", "read"),
    ("delete_vector", "write"),
    ("similar_to_seeds", "read"),
    ("search_tracks", "read"),
    ("list_spaces", "read"),
    ("drop_space", "admin"),
    ("get_stats", "read"),
    ("get_metrics", "read"),
    ("list_jobs", "read"),
    ("retry_jobs", "admin"),
    ("get_job", "read"),
    ("retry_job", "admin"),
    ("cancel_job", "admin"),
    ("watch_events", "read"),
    ("get_health", ""),
    ("get_readiness", ""),
];

const KEYS: [(&str, Scope); 3] = [("reader", Scope::Read), ("writer", Scope::Write), ("boss", Scope::Admin)];

/// With a key of each scope, whose text is its name.
async fn with_keys() -> App {
    let app = App::new().await;
    for (name, scope) in KEYS {
        assert!(app.keys.add_key(name, KeyHash::of(name), scope).await.unwrap());
    }
    app.reached(|_| ())
}

/// Only how it begins: events never end.
async fn status(app: &App, method: &Method, path: &str, key: Option<&str>) -> StatusCode {
    use tower::ServiceExt;
    app.router.clone().oneshot(request(method, path, key)).await.unwrap().status()
}

async fn ask(app: &App, method: &Method, path: &str, key: Option<&str>) -> Answer {
    app.send(request(method, path, key)).await
}

fn request(method: &Method, path: &str, key: Option<&str>) -> Request<Body> {
    let request = Request::builder().method(method).uri(path).header("host", "music.example");
    let request =
        key.into_iter().fold(request, |request, key| request.header("authorization", format!("Bearer {key}")));
    request.body(Body::empty()).unwrap()
}

/// A request from this address, passed on for `forwarded`.
fn from(peer: &str, forwarded: Option<&str>) -> Request<Body> {
    let request = Request::get("/api/tracks").header("host", "library_service:8001");
    let request = forwarded.into_iter().fold(request, |request, hops| request.header("x-forwarded-for", hops));
    let peer: SocketAddr = format!("{peer}:1234").parse().unwrap();
    request.extension(ConnectInfo(peer)).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn every_operation_takes_its_scope() {
    let app = with_keys().await;
    let description = app.get("/openapi.json").await.json();
    let schemes = &description["components"]["securitySchemes"];
    assert_eq!((&schemes["bearer"]["scheme"], &schemes["header"]["name"]), (&"bearer".into(), &"X-API-Key".into()));
    let mut seen = 0;
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            let known = SCOPES.into_iter().find(|(known, _)| *known == id);
            let (_, scope) = known.unwrap_or_else(|| panic!("{id}: say in SCOPES what it takes"));
            seen += 1;
            let method: Method = method.to_ascii_uppercase().parse().unwrap();
            let path = path.replace("{id}", "1").replace("{track_id}", "1").replace("{hash}", "00");
            let ways = operation["security"].as_array().unwrap();
            if scope.is_empty() {
                assert!(ways.is_empty(), "{id}");
                for key in [None, Some("stranger")] {
                    assert_eq!(status(&app, &method, &path, key).await, StatusCode::OK, "{id}");
                }
                continue;
            }
            assert_eq!(ways.len(), 2, "{id}: either header will do");
            assert!(ways.iter().all(|way| way.as_object().unwrap().values().all(|scopes| scopes[0] == scope)), "{id}");
            let refusals = ["401", "403", "429"];
            assert!(refusals.iter().all(|status| operation["responses"][status].is_object()), "{id}");
            for key in [None, Some("stranger"), Some("")] {
                let refused = ask(&app, &method, &path, key).await;
                assert_eq!(refused.header("www-authenticate"), "Bearer realm=\"soniquebay\"", "{id}");
                refused.problem(401, "unauthorized");
            }
            let needed = Scope::parse(scope).unwrap();
            for (key, allowed) in KEYS {
                if allowed < needed {
                    let problem = ask(&app, &method, &path, Some(key)).await.problem(403, "forbidden_scope");
                    assert!(problem["detail"].as_str().unwrap().contains(&format!("--scope {scope}")), "{problem}");
                } else {
                    let status = status(&app, &method, &path, Some(key)).await;
                    assert!(![StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&status), "{id} {key}");
                }
            }
        }
    }
    assert_eq!(seen, SCOPES.len());
    for path in ["/docs/", "/openapi.json"] {
        assert_eq!(status(&app, &Method::GET, path, None).await, StatusCode::OK, "{path} tells nothing of the library");
    }
    ask(&app, &Method::GET, "/nothing", None).await.problem(401, "unauthorized");
    ask(&app, &Method::GET, "/nothing", Some("reader")).await.problem(404, "not_found");
    let by_header = Request::get("/api/tracks").header("x-api-key", "reader").body(Body::empty()).unwrap();
    assert_eq!(app.send(by_header).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_key_counts_from_when_it_is_made_to_when_it_is_revoked() {
    let app = App::new().await.reached(|_| ());
    let home = async |key: Option<&str>| {
        let request = Request::get("/api/tracks").header("host", "localhost");
        let request = key.into_iter().fold(request, |request, key| request.header("x-api-key", key));
        app.send(request.body(Body::empty()).unwrap()).await
    };
    assert_eq!(home(None).await.status, StatusCode::OK, "nobody asks for keys");
    assert_eq!(home(Some("one")).await.status, StatusCode::OK, "whoever shows one all the same is no worse off");
    let second = || tokio::time::sleep(Duration::from_secs(1));
    app.keys.add_key("one", KeyHash::of("one"), Scope::Read).await.unwrap();
    second().await;
    home(None).await.problem(401, "unauthorized");
    assert_eq!(home(Some("one")).await.status, StatusCode::OK);
    assert!(app.keys.revoke_key("one").await.unwrap());
    second().await;
    home(Some("one")).await.problem(401, "unauthorized");
    home(None).await.problem(401, "unauthorized");
}

#[tokio::test]
async fn what_our_roles_send_each_other_allows_everything() {
    let app = App::new().await.reached(|settings| {
        settings.keys = None;
        settings.own_key = Some(KeyHash::of("between us"));
    });
    ask(&app, &Method::GET, "/api/tracks", None).await.problem(401, "unauthorized");
    assert_eq!(ask(&app, &Method::GET, "/api/tracks", Some("between us")).await.status, StatusCode::OK);
    assert_eq!(ask(&app, &Method::POST, "/api/jobs/retry", Some("between us")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn trusted_networks_need_no_key_and_cannot_be_feigned() {
    let app = App::new().await.reached(|settings| {
        settings.reachable = true;
        settings.trusted_networks = vec!["172.16.0.0/12".parse().unwrap()];
        settings.trusted_proxies = vec!["10.0.0.1/32".parse().unwrap()];
    });
    for request in [from("172.18.0.5", None), from("10.0.0.1", Some("6.6.6.6, 172.18.0.5"))] {
        assert_eq!(app.send(request).await.status, StatusCode::OK);
    }
    for request in [
        from("192.168.1.7", None),
        from("127.0.0.1", None),
        from("192.168.1.7", Some("172.18.0.5")),
        // A proxy in the network itself, that asks for somebody else.
        from("172.18.0.5", Some("172.18.0.6")),
        from("10.0.0.1", Some("172.18.0.5, 6.6.6.6")),
        from("10.0.0.1", None),
    ] {
        app.send(request).await.problem(401, "unauthorized");
    }
    let mut foreign = from("172.18.0.5", None);
    foreign.headers_mut().insert("host", HeaderValue::from_static("evil.example"));
    app.send(foreign).await.problem(403, "forbidden_host");
    let mut unknown = from("172.18.0.5", None);
    unknown.headers_mut().insert("x-api-key", HeaderValue::from_static("revoked"));
    app.send(unknown).await.problem(401, "unauthorized");
}

#[tokio::test]
async fn one_caller_may_ask_so_much_and_others_go_on() {
    let rate = Rate { per_second: 1, burst: 5 };
    let app = with_keys().await.reached(|settings| settings.rate = Some(rate));
    let by_key = async |key: &str| ask(&app, &Method::GET, "/api/tracks", Some(key)).await;
    for _ in 0..5 {
        assert_eq!(by_key("reader").await.status, StatusCode::OK);
    }
    let refused = by_key("reader").await;
    assert!((1..=2).contains(&refused.header("retry-after").parse::<u64>().unwrap()));
    refused.problem(429, "rate_limited");
    assert_eq!(by_key("writer").await.status, StatusCode::OK);
    for _ in 0..5 {
        app.send(from("6.6.6.6", None)).await.problem(401, "unauthorized");
    }
    app.send(from("6.6.6.6", None)).await.problem(429, "rate_limited");
    app.send(from("6.6.6.7", None)).await.problem(401, "unauthorized");
    for _ in 0..20 {
        app.send(from("127.0.0.1", None)).await.problem(401, "unauthorized");
    }
}

#[tokio::test]
async fn pages_of_other_sites_are_let_in_where_they_are_named() {
    let page = "https://music.example";
    let preflight = |origin: &'static str| {
        let request = Request::builder().method(Method::OPTIONS).uri("/api/tracks/1").header("origin", origin);
        let request = request.header("access-control-request-method", "PUT").header("host", "localhost");
        request.header("access-control-request-headers", "authorization").body(Body::empty()).unwrap()
    };
    let closed = with_keys().await;
    assert_eq!(closed.send(preflight(page)).await.header("access-control-allow-origin"), "", "off unless asked for");
    let app = with_keys().await.reached(|settings| settings.cors_origins = vec![HeaderValue::from_static(page)]);
    let allowed = app.send(preflight(page)).await;
    assert_eq!((allowed.status, allowed.header("access-control-allow-origin")), (StatusCode::OK, page));
    assert!(allowed.header("access-control-allow-methods").contains("PUT"));
    assert!(allowed.header("access-control-allow-headers").contains("authorization"));
    assert_eq!(app.send(preflight("https://evil.example")).await.header("access-control-allow-origin"), "");
    let write = |key: &'static str| {
        let request = Request::post("/api/tracks").header("origin", page).header("x-api-key", key);
        request.body(Body::from(r#"{"title": "x"}"#)).unwrap()
    };
    let written = app.send(write("writer")).await;
    assert_eq!((written.status, written.header("access-control-allow-origin")), (StatusCode::CREATED, page));
    app.send(write("stranger")).await.problem(401, "unauthorized");
    let open = App::new().await.reached(|settings| settings.cors_origins = vec![HeaderValue::from_static(page)]);
    assert_eq!(open.send(write("")).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn it_can_be_shown_below_a_path() {
    let app = App::new().await.reached(|settings| settings.base_path = "/music/bay".to_owned());
    let created = app.post("/music/bay/api/tracks/", &serde_json::json!({"title": "A"})).await;
    assert_eq!(created.header("location"), "/music/bay/api/tracks/1");
    for path in ["/music/bay/api/tracks/1", "/api/tracks/1", "/music/bay/docs/", "/music/bay/healthz", "/healthz"] {
        assert_eq!(app.get(path).await.status, StatusCode::OK, "{path}");
    }
    assert_eq!(app.get("/music/bay/docs").await.header("location"), "/music/bay/docs/");
    assert_eq!(app.get("/music/bay/api/tracks?limit=1&skip=0").await.json()[0]["title"], "A");
    app.get("/music/bayou/api/tracks/1").await.problem(404, "not_found");
    let description = app.get("/music/bay/openapi.json").await.json();
    assert_eq!(description["servers"][0]["url"], "/music/bay");
    let initializer = app.get("/music/bay/docs/swagger-initializer.js").await.text();
    assert!(initializer.contains("\"../openapi.json\""), "{initializer}");
}
