//! Whatever is sent, the answer is a problem and the next request is served.

use std::convert::Infallible;

use axum::body::Body;
use axum::http::Method;
use serde_json::json;

use crate::app::App;

const WITH_BODY: [(Method, &str); 9] = [
    (Method::POST, "/api/tracks"),
    (Method::POST, "/api/tracks/batch"),
    (Method::PUT, "/api/tracks/1"),
    (Method::PATCH, "/api/tracks/1"),
    (Method::PUT, "/api/tracks/1/features"),
    (Method::POST, "/api/track-vectors"),
    (Method::POST, "/api/track-vectors/batch"),
    (Method::POST, "/api/track-vectors/search"),
    (Method::POST, "/api/similar"),
];

#[tokio::test]
async fn bodies_that_are_no_json() {
    let app = App::new().await;
    let deep = "[".repeat(100_000);
    let bodies: [&[u8]; 7] = [b"", b"{", b"not json", b"{\"title\": NaN}", b"[1,]", b"\xff\xfe", deep.as_bytes()];
    for (method, path) in WITH_BODY {
        for body in bodies {
            let answer = app.send_text(method.clone(), path, "application/json", body.to_vec()).await;
            answer.problem(400, "invalid_json");
        }
    }
    let nan = br#"{"track_id": 1, "embedding": [NaN, 1]}"#.to_vec();
    app.send_text(Method::POST, "/api/track-vectors", "application/json", nan).await.problem(400, "invalid_json");
    // JSON by its grammar, but no number that a vector could hold.
    let endless = br#"{"track_id": 1, "embedding": [1e999, 1]}"#.to_vec();
    app.send_text(Method::POST, "/api/track-vectors", "application/json", endless).await.problem(422, "invalid_vector");
}

#[tokio::test]
async fn values_without_their_names_are_no_object() {
    let app = App::new().await;
    for (path, body, code) in [
        ("/api/track-vectors", json!([10, [0.5, 0.2], null, null, null]), "invalid_vector"),
        ("/api/track-vectors/search", json!([null, 1, 2, null, null, null, null, null]), "invalid_vector"),
        ("/api/similar", json!([[{"track_id": 1}], null, 1, null, null, null, null, null]), "invalid_filter"),
    ] {
        let problem = app.post(path, &body).await.problem(422, code);
        assert_eq!(problem["detail"], "The body must be an object, {…}, and is other JSON.", "{path}");
    }
    let one = app.post("/api/tracks/batch", &json!({"title": "A"})).await.problem(422, "invalid_track");
    assert_eq!(one["detail"], "The body must be an array, […], and is other JSON.");
}

#[tokio::test]
async fn what_is_wrong_inside_a_body_is_told_by_field_and_in_plain_words() {
    let app = App::new().await;
    let seeds = json!([{"track_id": 1}]);
    for (path, body, code, field, reason) in [
        (
            "/api/similar",
            json!({"seeds": [[1, null]]}),
            "invalid_filter",
            "seeds[0]",
            "an array where an object belongs",
        ),
        (
            "/api/similar",
            json!({"seeds": [{"track_id": "one"}]}),
            "invalid_filter",
            "seeds[0].track_id",
            "string \"one\" where a whole number belongs",
        ),
        ("/api/similar", json!({"limit": 3}), "invalid_filter", "seeds", "is missing"),
        (
            "/api/similar",
            json!({"seeds": seeds, "filters": [["rock"]]}),
            "invalid_filter",
            "filters",
            "an array where an object belongs",
        ),
        (
            "/api/track-vectors/search",
            json!({"query_track_id": 1, "filters": {"year_range": [1990, 1999]}}),
            "invalid_filter",
            "year_range",
            "an array where an object belongs",
        ),
        (
            "/api/track-vectors/search",
            json!({"query_track_id": 1, "filters": {"year_range": {"min": "1990"}}}),
            "invalid_filter",
            "year_range.min",
            "string \"1990\" where a number belongs",
        ),
        (
            "/api/track-vectors",
            json!({"track_id": 1, "embedding": [0.5, "much"]}),
            "invalid_vector",
            "embedding[1]",
            "string \"much\" where a number belongs",
        ),
    ] {
        let problem = app.post(path, &body).await.problem(422, code);
        assert_eq!(problem["errors"], json!([{"field": field, "reason": reason}]), "{path} {body}");
        assert_eq!(problem["detail"], format!("{field}: {reason}"));
    }
    let long = app.post("/api/similar", &json!({"seeds": "x".repeat(1_000_000)})).await.problem(422, "invalid_filter");
    assert!(long.to_string().len() < 1000, "what was sent is not sent back");
}

#[tokio::test]
async fn bodies_of_another_shape() {
    let app = App::new().await;
    for (method, path) in WITH_BODY {
        for body in [json!(7), json!("x"), json!(null), json!(true)] {
            let answer = app.send_json(method.clone(), path, &body).await;
            assert_eq!(answer.status, 422, "{method} {path} {body}: {answer:?}");
            assert_eq!(answer.header("content-type"), "application/problem+json");
        }
    }
    let refused = app.post("/api/tracks", &json!({"title": ""})).await;
    assert_eq!((refused.status.as_u16(), refused.header("connection")), (422, ""), "read to the end: it stays open");
    let several = json!({"title": 5, "bpm": "fast", "year": -4000000});
    let problem = app.post("/api/tracks", &several).await.problem(422, "invalid_track");
    assert!(problem["errors"].as_array().unwrap().len() >= 2, "{problem}");
    app.post("/api/tracks", &json!({"artist": "no title"})).await.problem(422, "invalid_track");
}

#[tokio::test]
async fn bodies_that_are_too_large_or_of_another_type() {
    let app = App::new().await;
    for (method, path) in WITH_BODY {
        // In pieces, as they come from a network.
        let large = futures_util::stream::iter(vec![Ok::<_, Infallible>(vec![b' '; 1 << 20]); 10]);
        let answer = app.send_text(method.clone(), path, "application/json", Body::from_stream(large)).await;
        answer.problem(413, "too_large");
        // What was not read closes the connection; a client must not send its next request into it.
        assert_eq!(answer.header("connection"), "close", "{method} {path}");
        app.send_text(method, path, "text/csv", "a,b").await.problem(415, "unsupported_media_type");
    }
}

#[tokio::test]
async fn ids_that_are_none() {
    let app = App::new().await;
    for id in ["0", "-1", "abc", "1.5", "99999999999999999999", "%00", "1%2F2", "%F0%9F%8E%B5"] {
        app.get(&format!("/api/tracks/{id}")).await.problem(422, "invalid_track");
        app.get(&format!("/api/tracks/{id}/similar")).await.problem(422, "invalid_track");
        app.get(&format!("/api/track-vectors/{id}")).await.problem(422, "invalid_track");
        app.delete(&format!("/api/track-vectors/{id}")).await.problem(422, "invalid_track");
    }
    for id in ["%00", "1%2F2", "%F0%9F%8E%B5", &"7".repeat(201)] {
        app.get(&format!("/api/jobs/{id}")).await.problem(422, "invalid_filter");
    }
    app.get("/api/tracks/%FF").await.problem(404, "not_found");
    app.get("/api/tracks/9223372036854775807").await.problem(404, "no_track");
    app.get("/api/jobs/77").await.problem(404, "not_found");
    app.post("/api/jobs/77/retry", &json!({})).await.problem(404, "not_found");
    let other = app.send_json(Method::PUT, "/api/tracks/1", &json!({"id": 2, "title": "x"})).await;
    other.problem(422, "invalid_track");
}

#[tokio::test]
async fn query_strings_that_are_wrong() {
    let app = App::new().await;
    for path in [
        "/api/tracks?limit=0",
        "/api/tracks?limit=1001",
        "/api/tracks?skip=-1",
        "/api/tracks?after=x",
        "/api/tracks?limit=1&limit=2",
        "/api/tracks?sort=title",
        "/api/tracks/1/similar?year_min=NaN",
        "/api/tracks/1/similar?year_min=2020&year_max=2000",
        "/api/tracks/1/similar?key=lydian",
        "/api/tracks/1/similar?max_per_artist=0",
        "/api/tracks/1/similar?exclude_same_artist=perhaps",
        "/api/tracks/1/similar?exclude_track_ids=1,x",
        "/api/tracks/1/similar?gener=rock",
        "/api/track-vectors/1?space=x",
        "/api/track-vectors?space=a/9999",
        "/api/track-vectors?limit=201",
        "/api/track-vectors?fields=numbers",
        "/api/tracks?fields=id,titel",
        "/api/tracks?fields=id,",
        "/api/jobs?state=done",
    ] {
        let problem = app.get(path).await.problem(422, "invalid_filter");
        assert!(!problem["errors"].as_array().unwrap().is_empty(), "{path}");
    }
    assert_eq!(app.get("/api/tracks?limit=&_=123").await.status, 200);
}

#[tokio::test]
async fn routes_and_methods_that_are_not_there() {
    let app = App::new().await;
    for path in [
        "/",
        "/nothing",
        "/api",
        "/api/tracks/1/2/3",
        "//",
        "/api/../etc/passwd",
        "/docs/nothing.js",
        "/docs/../../etc/passwd",
        "/docs/%2e%2e/%2e%2e/etc/passwd",
    ] {
        app.get(path).await.problem(404, "not_found");
    }
    let problem = app.get("/api/tracks?fields=titel").await.problem(422, "invalid_filter");
    assert!(problem["detail"].as_str().unwrap().contains("content_hash"), "names what there is: {problem}");
    app.get("/api/unknown/").await.problem(404, "not_found");
    app.delete("/api/tracks").await.problem(405, "method_not_allowed");
    app.get("/api/similar").await.problem(405, "method_not_allowed");
    app.send_json(Method::PATCH, "/healthz", &json!({})).await.problem(405, "method_not_allowed");
}
