//! A recommender whose tracks are copies of a library's elsewhere.

use std::sync::Arc;

use async_trait::async_trait;
use axum::http::StatusCode;
use serde_json::{Value, json};
use soniquebay_domain::{Fingerprint, StoreError, Track, TrackId, Tracks};
use soniquebay_wire::read_track;

use crate::app::App;

/// A library that knows track 7, or cannot be reached.
struct Library {
    is_there: bool,
}

#[async_trait]
impl Tracks for Library {
    async fn tracks(&self, ids: Vec<TrackId>) -> Result<Vec<Track>, StoreError> {
        if !self.is_there {
            return Err(StoreError::Unavailable("the library is away".into()));
        }
        let Value::Object(seven) = json!({"id": 7, "title": "Seven", "genre": "Jazz", "version": 4}) else {
            return Ok(vec![]);
        };
        let seven = read_track(seven).map_err(|errors| StoreError::Unavailable(format!("{errors:?}")))?;
        Ok(Some(seven).filter(|track| ids.contains(&track.id)).into_iter().collect())
    }

    async fn fingerprints(&self, _after: i64, _limit: usize) -> Result<Vec<Fingerprint>, StoreError> {
        Ok(Vec::new())
    }
}

fn vector(id: i64, version: i64, metadata: &Value) -> Value {
    json!({"track_id": id, "embedding": [1, 0, 0.1], "space": "compass/3/1", "version": version, "metadata": metadata})
}

#[tokio::test]
async fn what_is_told_of_a_track_is_kept_with_its_vector() {
    let app = App::mirror(None).await;
    let told = json!({"id": 1, "title": "One", "artist_name": "Anne", "genre": "Rock", "year": 1975, "label": "Own"});
    let stored = app.post("/api/track-vectors/", &vector(1, 3, &told)).await;
    assert_eq!(stored.status, StatusCode::CREATED, "{stored:?}");
    let batch =
        json!([vector(2, 1, &json!({"genre": "Rock"})), vector(3, 1, &json!({"title": "Three", "genre": "Pop"}))]);
    assert_eq!(app.post("/api/track-vectors/batch", &batch).await.json(), json!({"stored": 2}));
    let one = app.get("/api/tracks/1").await.json();
    assert_eq!((&one["version"], &one["artist"], &one["extra"]), (&json!(3), &json!("Anne"), &json!({"label": "Own"})));
    let found = app.get("/api/tracks/1/similar?genre=rock").await.json();
    assert_eq!(found["items"].as_array().unwrap().len(), 1, "{found}");
    assert_eq!(found["items"][0]["track"]["title"], "(untitled)");
    assert_eq!(app.get("/api/search?q=three&genre=pop").await.json()["items"][0]["track"]["id"], 3);
    assert_eq!(app.get("/api/stats").await.json()["jobs"]["available"], 0, "nobody works on them here");
}

#[tokio::test]
async fn an_older_version_does_not_replace_a_newer_one() {
    let app = App::mirror(None).await;
    app.post("/api/track-vectors", &vector(1, 3, &json!({"title": "New"}))).await;
    let old = app.post("/api/track-vectors", &vector(1, 2, &json!({"title": "Old"}))).await;
    assert_eq!(old.problem(409, "vector_outdated")["track_id"], 1);
    let batch = json!([vector(2, 1, &json!({"title": "Two"})), vector(1, 2, &json!({"title": "Old"}))]);
    let refused = app.post("/api/track-vectors/batch", &batch).await.problem(409, "vector_outdated");
    assert_eq!((&refused["index"], &refused["track_id"]), (&json!(1), &json!(1)));
    app.get("/api/tracks/2").await.problem(404, "no_track");
    assert_eq!(app.get("/api/tracks/1").await.json()["title"], "New");
    let negative = app.post("/api/track-vectors", &vector(1, -1, &json!({}))).await;
    assert_eq!(negative.problem(422, "invalid_vector")["errors"][0]["field"], "version");
}

#[tokio::test]
async fn a_track_without_a_word_is_untitled_or_asked_of_the_library() {
    let plain = json!({"track_id": 7, "embedding": [1, 0, 0.1], "space": "compass/3/1"});
    let alone = App::mirror(None).await;
    assert_eq!(alone.post("/api/track-vectors", &plain).await.status, StatusCode::CREATED);
    assert_eq!(alone.get("/api/tracks/7").await.json()["title"], "(untitled)");

    let asking = App::mirror(Some(Arc::new(Library { is_there: true }))).await;
    assert_eq!(asking.post("/api/track-vectors", &plain).await.status, StatusCode::CREATED);
    let seven = asking.get("/api/tracks/7").await.json();
    assert_eq!((&seven["title"], &seven["genre"], &seven["version"]), (&json!("Seven"), &json!("Jazz"), &json!(4)));
    let unknown = json!([plain, {"track_id": 8, "embedding": [1, 0, 0.1]}]);
    assert_eq!(asking.post("/api/track-vectors/batch", &unknown).await.problem(404, "no_track")["index"], 1);

    let cut_off = App::mirror(Some(Arc::new(Library { is_there: false }))).await;
    cut_off.post("/api/track-vectors", &plain).await.problem(503, "unavailable");
    // What is known already is not asked about.
    cut_off.post("/api/track-vectors", &vector(7, 1, &json!({"title": "Told"}))).await;
    assert_eq!(cut_off.post("/api/track-vectors", &plain).await.status, StatusCode::CREATED);
    assert_eq!(cut_off.get("/api/tracks/7").await.json()["title"], "Told");
}

#[tokio::test]
async fn one_word_on_a_track_is_enough_for_all_its_vectors() {
    let app = App::mirror(None).await;
    let batch = json!([{"track_id": 1, "embedding": [1, 2]}, vector(1, 2, &json!({"title": "One"})),
        {"track_id": 1, "embedding": [1, 2, 3, 4]}]);
    assert_eq!(app.post("/api/track-vectors/batch", &batch).await.json(), json!({"stored": 3}));
    let one = app.get("/api/tracks/1").await.json();
    assert_eq!((&one["title"], &one["version"]), (&json!("One"), &json!(2)));
}

#[tokio::test]
async fn a_track_that_is_gone_is_forgotten() {
    let app = App::mirror(None).await;
    app.post("/api/track-vectors", &vector(1, 1, &json!({"title": "One"}))).await;
    assert_eq!(app.delete("/api/track-vectors/1?space=compass/3/1").await.status, StatusCode::NO_CONTENT);
    assert_eq!(app.get("/api/tracks/1").await.status, StatusCode::OK, "its vector alone was removed");
    assert_eq!(app.delete("/api/track-vectors/1").await.status, StatusCode::NO_CONTENT);
    app.get("/api/tracks/1").await.problem(404, "no_track");
    app.delete("/api/track-vectors/1").await.problem(404, "no_track");
}

#[tokio::test]
async fn a_library_takes_nobodys_word_on_its_tracks() {
    let app = App::new().await;
    app.post("/api/tracks", &json!({"id": 1, "title": "Own"})).await;
    assert_eq!(
        app.post("/api/track-vectors", &vector(1, 9, &json!({"title": "Other"}))).await.status,
        StatusCode::CREATED
    );
    let one = app.get("/api/tracks/1").await.json();
    assert_eq!((&one["title"], &one["version"]), (&json!("Own"), &json!(1)));
}
