//! As FastAPI serves the Python library: bare arrays, no `ids`, `after` or `fields`, no hashes, a redirect to the path with
//! its slash.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use soniquebay_domain::{ContentHash, StoreError, Tracks, VectorWrite, Vectors};

use super::{Served, id, ids, write};
use crate::space;

#[derive(Clone, Default)]
struct Python {
    tracks: Arc<Mutex<Vec<Value>>>,
    vectors: Arc<Mutex<BTreeMap<i64, Value>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

fn missing(what: &str) -> Response {
    (StatusCode::NOT_FOUND, Json(json!({ "detail": what }))).into_response()
}

impl Python {
    fn with_tracks(tracks: impl IntoIterator<Item = Value>) -> Self {
        let python = Self::default();
        *python.tracks.lock().unwrap() = tracks.into_iter().collect();
        python
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    async fn serve(&self) -> Served {
        let tracks =
            get(|State(python): State<Self>, uri: Uri, Query(query): Query<BTreeMap<String, String>>| async move {
                python.asked.lock().unwrap().push(uri.to_string());
                let number =
                    |name: &str, default| query.get(name).map_or(default, |text| text.parse::<usize>().unwrap());
                let (skip, limit) = (number("skip", 0), number("limit", 100));
                if limit > 100 {
                    return (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({"detail": [{"loc": ["query", "limit"]}]})))
                        .into_response();
                }
                let tracks = python.tracks.lock().unwrap();
                Json(tracks.iter().skip(skip).take(limit).cloned().collect::<Vec<_>>()).into_response()
            });
        let track = get(|State(python): State<Self>, Path(id): Path<i64>| async move {
            let tracks = python.tracks.lock().unwrap();
            let found = tracks.iter().find(|track| track["id"] == id);
            found.map_or_else(|| missing("Track not found"), |track| Json(track.clone()).into_response())
        });
        let redirect = |uri: Uri, headers: HeaderMap| async move {
            let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
            let host = headers["host"].to_str().unwrap().to_owned();
            Redirect::temporary(&format!("http://{host}{}/{query}", uri.path()))
        };
        let vectors = get(|State(python): State<Self>| async move {
            Json(python.vectors.lock().unwrap().values().cloned().collect::<Vec<_>>())
        });
        let vectors = vectors.post(|State(python): State<Self>, Json(body): Json<Value>| async move {
            let (track, embedding) = (&body["track_id"], &body["embedding"]);
            if track.as_i64() == Some(404) {
                return missing("Track not found");
            }
            let stored = json!({"id": 1, "track_id": track, "embedding": embedding});
            python.vectors.lock().unwrap().insert(track.as_i64().unwrap(), stored.clone());
            (StatusCode::CREATED, Json(stored)).into_response()
        });
        let vector = get(|State(python): State<Self>, Path(id): Path<i64>| async move {
            let vectors = python.vectors.lock().unwrap();
            vectors.get(&id).map_or_else(|| missing("Vector not found"), |one| Json(one.clone()).into_response())
        });
        let vector = vector.delete(|State(python): State<Self>, Path(id): Path<i64>| async move {
            match python.vectors.lock().unwrap().remove(&id) {
                Some(_) => Json(json!({"ok": true})).into_response(),
                None => missing("Vector not found"),
            }
        });
        let router = Router::new()
            .route("/api/tracks/", tracks)
            .route("/api/tracks", get(redirect))
            // This one wants its slash.
            .route("/api/tracks/{id}/", track)
            .route("/api/tracks/{id}", get(redirect))
            .route("/api/track-vectors/", vectors)
            .route("/api/track-vectors/{id}", vector)
            .fallback(|| async { missing("Not Found") })
            .with_state(self.clone());
        Served::new(router).await
    }
}

/// In an order of its own.
fn tracks(count: i64) -> Vec<Value> {
    let track =
        |n: i64| json!({"id": n, "title": format!("t{n}"), "artist_name": "Björk", "bpm": 120, "scale": "minor"});
    (1..=count).rev().map(track).collect()
}

#[tokio::test]
async fn a_library_that_knows_no_ids_is_asked_one_by_one() {
    let mut all = tracks(20);
    all[3] = json!({"id": 17, "title": "t17", "bpm": "fast"});
    let python = Python::with_tracks(all);
    let served = python.serve().await;
    let library = served.library();
    let mut found = library.tracks(ids(10..=25)).await.unwrap();
    found.sort_by_key(|track| track.id);
    let expected: Vec<_> = ids(10..=20).into_iter().filter(|track| *track != id(17)).collect();
    assert_eq!(found.iter().map(|track| track.id).collect::<Vec<_>>(), expected, "17 cannot be read, 21 is not there");
    assert_eq!((found[0].fields.artist.as_deref(), found[0].version), (Some("Björk"), 0));
    assert_eq!(found[0].content_hash, ContentHash::of(&found[0].fields));
    assert_eq!(python.asked().len(), 1);
    assert_eq!(library.tracks(vec![id(1)]).await.unwrap().len(), 1);
    assert!(python.asked().is_empty(), "what it does not know is remembered");
}

#[tokio::test]
async fn a_library_whose_first_tracks_are_asked_for_is_not_taken_for_ours() {
    let python = Python::with_tracks(tracks(3));
    let found = python.serve().await.library().tracks(ids(1..=3)).await.unwrap();
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|track| track.content_hash == ContentHash::of(&track.fields)));
}

#[tokio::test]
async fn a_list_without_order_is_walked_once() {
    let python = Python::with_tracks(tracks(250));
    let served = python.serve().await;
    let library = served.library();
    let first = library.fingerprints(0, 100).await.unwrap();
    let numbers: Vec<i64> = first.iter().map(|one| one.track_id.get()).collect();
    assert_eq!(numbers, (1..=100).collect::<Vec<_>>());
    let track = library.tracks(vec![id(1)]).await.unwrap().remove(0);
    assert_eq!(first[0].content_hash, track.content_hash, "a single answer and the list tell the same");
    // The question of ours, a page that is too large, and pages until nothing new comes.
    assert_eq!(python.asked().len(), 1 + 1 + 4 + 1);
    assert_eq!(library.fingerprints(100, 100).await.unwrap()[99].track_id, id(200));
    assert_eq!(library.fingerprints(200, 100).await.unwrap().len(), 50);
    assert!(python.asked().is_empty());

    *python.tracks.lock().unwrap() = tracks(251);
    assert_eq!(library.fingerprints(0, 1000).await.unwrap().len(), 251, "a new walk sees what is new");
}

#[tokio::test]
async fn a_recommender_without_batches_spaces_or_hashes_is_made_do_with() {
    let python = Python::default();
    let served = python.serve().await;
    let remote = served.vectors();
    let numbers = [0.1, -0.25, 3.0, 1e-9];
    remote.put((1..=10).map(|n| write(n, numbers)).collect()).await.unwrap();
    remote.put(vec![write(11, numbers)]).await.unwrap();
    assert_eq!(python.vectors.lock().unwrap().len(), 11);
    let found = remote.vectors(&space(), ids(9..=12)).await.unwrap();
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|one| one.vector.as_slice() == numbers && one.content_hash.as_str().starts_with("00")));
    assert!(remote.spaces().await.unwrap().is_empty());
    let told = remote.vector_fingerprints(&space(), 0, 10).await.unwrap_err().to_string();
    assert!(told.contains("does not tell what its vectors were made from"), "{told}");
    assert_eq!(remote.forget(ids(10..=12)).await.unwrap(), 2);
    let refused = remote.put(vec![VectorWrite { track_id: id(404), ..write(1, numbers) }]).await.unwrap_err();
    assert!(matches!(refused, StoreError::NoTrack(track) if track == id(404)), "{refused}");
}
