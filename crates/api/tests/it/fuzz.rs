//! No request makes a handler panic: each is answered, and each refusal is a problem.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::json;
use soniquebay_testkit::mutate::{cases, inputs};

use crate::app::{Answer, App};

const VECTORS: [&str; 5] = [
    r#"{"track_id":1,"embedding":[0.1,-0.2,0.3],"space":"compass/3/1","metadata":{"title":"A","genre":"Rock","year":1999}}"#,
    r#"{"track_id":"2","embedding":[1,2,3,4,5]}"#,
    r#"{"track_id":3,"embedding":[0,0,0],"space":"external/3","version":7}"#,
    r#"[{"track_id":1,"embedding":[0.1,0.2,0.3]},{"track_id":2,"embedding":[1,0,0],"content_hash":"00"}]"#,
    r#"{"embedding":[1,0,0],"limit":5,"space":"compass/3/1","filters":{"genre":"rock","year_range":{"min":1990}}}"#,
];

const QUESTIONS: [&str; 3] = [
    r#"{"seeds":[{"track_id":1},{"track_id":2,"weight":-0.5}],"filters":{"genre":["rock"],"exclude_same_artist":true},"limit":10}"#,
    r#"{"seeds":[{"track_id":1}],"filters":{"bpm_range":{"min":80,"max":120},"key":"11A","path_prefix":"/m"},"relax":true,"fold":true,"numbers":0.5}"#,
    r#"{"title":"A","artist":"X","genre_tags":["a"],"bpm":"120","key":"F# minor"}"#,
];

const QUERIES: [&str; 4] = [
    "genre=rock&year_min=1990&year_max=1999&bpm_octaves=true&limit=5",
    "q=warm&genre=jazz&tags=calm&key=11A&exclude_artists=X&max_per_artist=2",
    "bpm_min=80&bpm_max=120&duration_min=60&exclude_track_ids=1,2,3&path_prefix=%2Fm&relax=true&fold=true",
    "ids=1,2,3&fields=id,title&after=0&skip=1&limit=10&numbers=0.5&space=compass%2F3%2F1",
];

async fn app() -> App {
    let app = App::new().await;
    for (title, vector) in [("A", [1.0, 0.0, 0.0]), ("B", [0.0, 1.0, 0.0]), ("C", [0.5, 0.5, 0.0])] {
        app.add(json!({"title": title, "artist": title, "genre": "Rock", "year": 1995}), vector).await;
    }
    app
}

#[track_caller]
fn check(answer: &Answer, target: &str) -> bool {
    let status = answer.status.as_u16();
    assert!(status != 500, "{target}: {}", answer.text());
    if status >= 400 {
        assert_eq!(answer.header("content-type"), "application/problem+json", "{target}");
        assert!(answer.json()["code"].is_string());
    }
    status < 400
}

async fn fuzz_bodies(corpus: &[&str], targets: &[(Method, &str)]) {
    let app = app().await;
    let (count, mut accepted) = (cases(1_500), 0);
    for (number, input) in inputs(corpus, count).enumerate() {
        let (method, target) = &targets[number % targets.len()];
        let answer = app.send_text(method.clone(), target, "application/json", input.to_vec()).await;
        accepted += usize::from(check(&answer, target));
    }
    eprintln!("{}: {count} cases, {accepted} accepted, no panic", targets[0].1);
    assert!(accepted * 100 > count && accepted < count, "{accepted} of {count}");
}

#[tokio::test]
async fn fuzz_the_vector_endpoint() {
    let post = |path| (Method::POST, path);
    fuzz_bodies(
        &VECTORS,
        &[post("/api/track-vectors"), post("/api/track-vectors/batch"), post("/api/track-vectors/search")],
    )
    .await;
}

#[tokio::test]
async fn fuzz_questions_and_tracks() {
    fuzz_bodies(
        &QUESTIONS,
        &[(Method::POST, "/api/similar"), (Method::POST, "/api/tracks"), (Method::PATCH, "/api/tracks/1")],
    )
    .await;
}

#[tokio::test]
async fn fuzz_query_strings() {
    let app = app().await;
    let (count, mut accepted, mut asked) = (cases(1_500), 0, 0);
    let targets = [
        "/api/tracks/1/similar",
        "/api/search",
        "/api/tracks/search",
        "/api/tracks",
        "/api/track-vectors",
        "/api/jobs",
    ];
    for (number, input) in inputs(&QUERIES, count).enumerate() {
        let target = format!("{}?{}", targets[number % targets.len()], String::from_utf8_lossy(&input));
        // What is no address cannot be sent.
        let Ok(request) = Request::get(&target).body(Body::empty()) else { continue };
        asked += 1;
        accepted += usize::from(check(&app.send(request).await, &target));
    }
    println!("query strings: {count} cases, {asked} asked, {accepted} accepted, no panic");
    assert!(accepted * 100 > count && asked * 2 > count, "{accepted} of {asked}");
}
