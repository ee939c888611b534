//! What a browser may bring here, from which page.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};

use crate::app::App;

const EVIL: &str = "evil.example:8001";

fn request(method: Method, path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let request = Request::builder().method(method).uri(path);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(Body::from(r#"{"title": "x"}"#)).unwrap()
}

async fn any_host() -> App {
    App::new().await.reached(|settings| settings.insecure = true)
}

#[tokio::test]
async fn a_name_that_was_pointed_here_is_refused() {
    let app = App::new().await;
    for host in ["localhost:8001", "127.0.0.1:8001", "[::1]:8001", "sonique.localhost", "192.168.1.7"] {
        let answer = app.send(request(Method::GET, "/api/tracks", &[("host", host)])).await;
        assert_eq!(answer.status, StatusCode::OK, "{host}");
    }
    for path in ["/api/tracks", "/api/events", "/healthz", "/openapi.json", "/docs/", "/nothing"] {
        let problem = app.send(request(Method::GET, path, &[("host", EVIL)])).await.problem(403, "forbidden_host");
        assert!(problem["detail"].as_str().unwrap().contains("--allowed-hosts"), "{problem}");
    }
    let two = app.send(request(Method::GET, "/api/tracks", &[("host", "localhost"), ("host", EVIL)])).await;
    two.problem(403, "forbidden_host");
    let in_target =
        app.send(request(Method::DELETE, "http://evil.example/api/tracks/1", &[("host", "localhost")])).await;
    in_target.problem(403, "forbidden_host");
    let told = any_host().await.send(request(Method::GET, "/api/tracks", &[("host", EVIL)])).await;
    assert_eq!(told.status, StatusCode::OK, "--insecure");
}

#[tokio::test]
async fn a_foreign_page_cannot_write() {
    let writes = [
        (Method::POST, "/api/tracks"),
        (Method::POST, "/api/tracks/batch"),
        (Method::POST, "/api/track-vectors"),
        (Method::POST, "/api/jobs/retry"),
        (Method::POST, "/api/jobs/1/cancel"),
        (Method::DELETE, "/api/spaces?space=external/3"),
        (Method::PUT, "/api/tracks/1"),
        (Method::PATCH, "/api/tracks/1"),
        (Method::DELETE, "/api/tracks/1"),
    ];
    for app in [App::new().await, any_host().await] {
        for (method, path) in writes.clone() {
            for origin in
                ["http://evil.example", "null", "", "http://localhost:8002", "https://localhost", "localhost:8001"]
            {
                let headers = [("host", "localhost:8001"), ("origin", origin)];
                app.send(request(method.clone(), path, &headers)).await.problem(403, "forbidden_origin");
            }
        }
        let read =
            request(Method::GET, "/api/tracks", &[("host", "localhost:8001"), ("origin", "http://evil.example")]);
        let read = app.send(read).await;
        assert_eq!((read.status, read.header("access-control-allow-origin")), (StatusCode::OK, ""), "unreadable there");
        assert_eq!(read.json(), serde_json::json!([]), "nothing was written");
    }
}

#[tokio::test]
async fn a_page_of_ours_can_write() {
    let app = App::new().await;
    for headers in [
        vec![("host", "localhost:8001"), ("origin", "http://localhost:8001")],
        vec![("host", "[::1]:8001"), ("origin", "http://[::1]:8001")],
        vec![("host", "127.0.0.1"), ("origin", "https://music.example"), ("x-forwarded-host", "music.example")],
        vec![("host", "localhost:8001")],
    ] {
        let answer = app.send(request(Method::POST, "/api/tracks", &headers)).await;
        assert!(answer.status.is_success(), "{headers:?}: {answer:?}");
    }
    let ours = request(Method::POST, "/api/tracks", &[("host", "music.example"), ("origin", "https://music.example")]);
    assert!(any_host().await.send(ours).await.status.is_success());
}
