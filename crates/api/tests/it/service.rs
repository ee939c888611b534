use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use soniquebay_api::{library_router, recommender_router};
use soniquebay_domain::{Event, Progress};
use tower::ServiceExt;

use crate::app::App;

#[tokio::test]
async fn health_says_how_the_service_does() {
    let app = App::new().await;
    assert_eq!(app.get("/healthz/").await.json(), json!({"status": "ok"}));
    let ready = app.get("/readyz").await;
    assert_eq!((ready.status, &ready.json()["status"]), (StatusCode::OK, &json!("ok")), "{ready:?}");
    for part in ["database", "model", "index"] {
        assert_eq!(ready.json()["checks"][part]["status"], "ok");
    }
}

#[tokio::test]
async fn every_answer_is_hardened_and_named() {
    let app = App::new().await;
    for path in ["/healthz", "/nothing", "/api/tracks/0"] {
        let answer = app.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(answer.header("content-security-policy").contains("default-src 'none'"));
        assert!(!answer.header("x-request-id").is_empty());
    }
    let with_id = |id: &str| Request::get("/healthz").header("x-request-id", id).body(Body::empty()).unwrap();
    assert_eq!(app.send(with_id("abc-123")).await.header("x-request-id"), "abc-123");
    assert_ne!(app.send(with_id("a b\"c")).await.header("x-request-id"), "a b\"c");
}

#[tokio::test]
async fn numbers_are_told_to_people_and_to_prometheus() {
    let app = App::new().await;
    app.add(json!({"title": "A", "artist": "X"}), [1.0, 0.0, 0.0]).await;
    app.post("/api/tracks", &json!({"title": "B", "artist": "x"})).await;
    let stats = app.get("/api/stats").await.json();
    assert_eq!((&stats["tracks"], &stats["artists"]), (&json!(2), &json!(1)));
    assert_eq!((&stats["vectors"][0]["ready"], &stats["version"]), (&json!(1), &json!("0.0.0-test")));
    let jobs = |available: u64| json!({"available": available, "scheduled": 0, "running": 0, "discarded": 0});
    let counted = ["jobs", "embedding_jobs", "analysis_jobs"].map(|name| stats[name].clone());
    assert_eq!(counted, [jobs(2), jobs(2), jobs(0)]);
    let metrics = app.get("/metrics").await;
    assert!(metrics.header("content-type").starts_with("text/plain"));
    for line in [
        "soniquebay_tracks 2",
        "soniquebay_vectors{space=\"compass/3/1\",state=\"ready\"} 1",
        "soniquebay_vectors{space=\"compass/3/1\",state=\"missing\"} 1",
        "soniquebay_jobs{kind=\"embed_track\",state=\"available\"} 2",
        "soniquebay_jobs{kind=\"embed_track\",state=\"discarded\"} 0",
        "counted_elsewhere 1",
    ] {
        assert!(metrics.text().lines().any(|found| found == line), "{line}:\n{}", metrics.text());
    }
    let waiting = metrics.text();
    let waiting =
        waiting.lines().find_map(|line| line.strip_prefix("soniquebay_jobs_waiting_seconds{kind=\"embed_track\"} "));
    assert!((0.0..60.0).contains(&waiting.unwrap().parse::<f64>().unwrap()));
}

#[tokio::test]
async fn jobs_are_listed_and_retried() {
    let app = App::new().await;
    for title in ["A", "B", "C"] {
        app.post("/api/tracks", &json!({"title": title})).await;
    }
    let page = app.get("/api/jobs?state=available&limit=2").await.json();
    assert_eq!((page["items"].as_array().unwrap().len(), &page["counts"]["available"]), (2, &json!(3)), "{page}");
    let rest = app.get(&format!("/api/jobs?after={}", page["next"].as_str().unwrap())).await.json();
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next"]), (1, &Value::Null));
    let job = app.get(&format!("/api/jobs/{}", page["items"][0]["id"].as_str().unwrap())).await.json();
    assert_eq!(
        (&job["kind"], &job["state"], &job["space"]),
        (&json!("embed_track"), &json!("available"), &json!("compass/3/1"))
    );
    assert_eq!(app.post("/api/jobs/retry", &json!({})).await.json(), json!({"retried": 0}));
    let one = app.post(&format!("/api/jobs/{}/retry", job["id"].as_str().unwrap()), &json!({})).await;
    assert_eq!(one.json(), json!({"retried": 0}), "it was not given up");
    let cancelled = app.post(&format!("/api/jobs/{}/cancel", job["id"].as_str().unwrap()), &json!({})).await.json();
    assert_eq!((&cancelled["state"], &cancelled["reason"]), (&json!("discarded"), &json!("cancelled")));
    assert_eq!(app.post("/api/jobs/retry", &json!({})).await.json(), json!({"retried": 1}));
    app.post("/api/jobs/77/cancel", &json!({})).await.problem(404, "not_found");
}

#[tokio::test]
async fn events_begin_with_how_things_stand() {
    let app = App::new().await;
    app.add(json!({"title": "A"}), [1.0, 0.0, 0.0]).await;
    app.post("/api/tracks", &json!({"title": "B"})).await;
    let request = Request::get("/api/events").body(Body::empty()).unwrap();
    let response = app.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body();
    let mut next = async || -> Value {
        let frame = tokio::time::timeout(Duration::from_secs(5), body.frame()).await.unwrap().unwrap().unwrap();
        let text = String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap();
        serde_json::from_str(text.trim().strip_prefix("data:").unwrap()).unwrap()
    };
    let first = next().await;
    assert_eq!((&first["type"], &first["current"], &first["total"]), (&json!("progress"), &json!(1), &json!(2)));
    assert_eq!(first["percent"], 50.0);
    let told = Progress { step: "scan".into(), done: 30, total: 40, per_second: 5.0 };
    app.services.operations.bus.publish(vec![Event::Progress(told.clone())]).await.unwrap();
    let event = next().await;
    assert_eq!(
        (&event["task_id"], &event["step"], &event["seconds_left"]),
        (&json!("scan"), &json!("scan"), &json!(2.0))
    );

    for _ in 0..40 {
        app.services.operations.bus.publish(vec![Event::Progress(told.clone())]).await.unwrap();
    }
    assert_eq!(next().await["step"], "vectorization", "a reader that lagged hears how things stand");
    assert_eq!(next().await["step"], "scan");
}

#[tokio::test]
async fn each_role_answers_its_part() {
    let library = App::new().await.behind(library_router);
    assert_eq!(library.get("/api/tracks/").await.status, StatusCode::OK);
    library.get("/api/track-vectors").await.problem(404, "not_found");
    let recommender = App::new().await.behind(recommender_router);
    assert_eq!(recommender.get("/api/track-vectors").await.status, StatusCode::OK);
    recommender.get("/api/tracks").await.problem(404, "not_found");
    for role in [&library, &recommender] {
        for path in ["/healthz", "/readyz", "/metrics", "/openapi.json", "/api/jobs", "/api/stats", "/api/spaces"] {
            assert_eq!(role.get(path).await.status, StatusCode::OK, "{path}");
        }
    }
}

#[tokio::test]
async fn a_panic_ends_one_request_and_tells_nothing() {
    let app = App::new().await;
    let problem = app.get("/api/search?q=panic").await.problem(500, "internal");
    assert!(!problem.to_string().contains("bug"), "{problem}");
    assert_eq!(app.get("/healthz").await.status, StatusCode::OK);
}
