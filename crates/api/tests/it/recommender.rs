use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::app::App;

async fn app() -> App {
    let app = App::new().await;
    app.add(
        json!({"id": 1, "title": "One", "artist": "Anne", "genre": "Rock", "year": 1975, "bpm": 120}),
        [1.0, 0.0, 0.0],
    )
    .await;
    app.add(
        json!({"id": 2, "title": "Two", "artist": "ANNE", "genre": "Pop", "year": 1990, "bpm": 123}),
        [0.9, 0.1, 0.1],
    )
    .await;
    app.add(json!({"id": 3, "title": "Three", "artist": "Bo", "genre": "rock", "year": 1978}), [0.7, 0.3, 0.1]).await;
    app.add(json!({"id": 4, "title": "Warm", "artist": "Cy", "genre": "Jazz"}), [0.0, 1.0, 0.2]).await;
    app.post("/api/tracks", &json!({"id": 5, "title": "Pending"})).await;
    app
}

fn ids(items: &Value) -> Vec<i64> {
    let id = |item: &Value| item["track_id"].as_i64().or(item["track"]["id"].as_i64()).unwrap();
    items.as_array().unwrap_or_else(|| panic!("{items}")).iter().map(id).collect()
}

#[tokio::test]
async fn similar_tracks_come_with_reasons() {
    let app = app().await;
    let answer = app.get("/api/tracks/1/similar/?limit=3").await.json();
    assert_eq!((ids(&answer["items"]), &answer["space"]), (vec![2, 3, 4], &json!("compass/3/1")));
    let best = &answer["items"][0];
    assert_eq!(best["why"]["closest"], json!(["same artist", "near tempo"]));
    let number = |value: &Value| value.as_f64().unwrap();
    assert!((number(&best["score"]) + number(&best["distance"]) - 1.0).abs() < 1e-6);
    assert!((number(&best["why"]["words"]) + number(&best["why"]["numbers"]) - number(&best["score"])).abs() < 1e-5);
    for (query, expected) in [
        ("genre=rock", vec![3]),
        ("genre=rock&genre=jazz", vec![3, 4]),
        ("year_min=1970&year_max=1980", vec![3]),
        ("exclude_same_artist=true", vec![3, 4]),
        ("bpm_min=100&bpm_max=130", vec![2]),
        ("exclude_track_ids=2,3", vec![4]),
        ("max_per_artist=1&limit=2", vec![2, 3]),
        ("space=compass/3/1&limit=1", vec![2]),
        ("bpm_min=60&bpm_max=62", vec![]),
        ("bpm_min=60&bpm_max=62&bpm_octaves=true", vec![2]),
        ("genre=music", vec![]),
        ("genre=world&include_subgenres=true", vec![]),
        ("genre=pop&include_subgenres=true&limit=1", vec![2]),
        ("genre=jazz&year_max=1980&limit=2", vec![]),
        ("genre=jazz&year_max=1980&relax=true&limit=1", vec![4]),
        ("genre=jazz&relax=true&limit=2", vec![4, 2]),
        ("numbers=0&limit=3", vec![2, 3, 4]),
    ] {
        let answer = app.get(&format!("/api/tracks/1/similar?{query}")).await.json();
        assert_eq!(ids(&answer["items"]), expected, "{query}");
    }
}

#[tokio::test]
async fn what_was_given_up_or_folded_is_told() {
    let app = app().await;
    app.add(json!({"id": 6, "title": "Warm (Remastered)", "artist": "Cy", "genre": "Jazz"}), [0.1, 1.0, 0.1]).await;
    let path = "/api/tracks/3/similar?genre=jazz&key=8A&fold=true&relax=true&limit=1";
    let item = app.get(path).await.json()["items"][0].clone();
    assert_eq!((&item["track"]["id"], &item["why"]["relaxed"]), (&json!(6), &json!(["key"])));
    assert!(item.get("versions").is_none(), "no more were looked at than were asked for");
    let body =
        json!({"query_track_id": 3, "limit": 5, "fold": true, "relax": true, "numbers": 0.5, "filters": {"key": "8A"}});
    let items = app.post("/api/track-vectors/search", &body).await.json();
    assert_eq!(ids(&items), [2, 1, 6]);
    assert_eq!((&items[2]["versions"], &items[2]["relaxed"]), (&json!([4]), &json!(["key"])));
    let body = json!({"seeds": [{"track_id": 3}], "fold": true, "filters": {"genre": "Jazz"}});
    let item = app.post("/api/similar", &body).await.json()["items"][0].clone();
    assert_eq!((&item["track"]["id"], &item["versions"]), (&json!(6), &json!([4])));
    assert!(item["why"].get("relaxed").is_none());
    app.post("/api/track-vectors", &json!({"track_id": 1, "embedding": [1, 2]})).await;
    let weighed = app.get("/api/tracks/1/similar?space=external/2&numbers=0.5").await.problem(422, "invalid_filter");
    assert!(weighed["detail"].as_str().is_some() && weighed.to_string().contains("numbers"), "{weighed}");
    app.get("/api/tracks/1/similar?numbers=2").await.problem(422, "invalid_filter");
    app.get("/api/search?q=warm&numbers=0.5").await.problem(422, "invalid_filter");
}

#[tokio::test]
async fn what_is_not_there_is_told_apart() {
    let app = app().await;
    let pending = app.get("/api/tracks/5/similar").await.problem(409, "vector_pending");
    assert_eq!((&pending["state"]["status"], &pending["track_id"]), (&json!("pending"), &json!(5)));
    app.get("/api/tracks/99/similar").await.problem(404, "no_track");
    app.get("/api/tracks/1/similar?space=nobody/3").await.problem(422, "invalid_filter");
    app.post("/api/track-vectors", &json!({"track_id": 1, "embedding": [1, 2]})).await;
    app.get("/api/tracks/2/similar?space=external/2").await.problem(404, "no_vector");
}

#[tokio::test]
async fn several_seeds_pull_and_push() {
    let app = app().await;
    let body = json!({"seeds": [{"track_id": 1}, {"track_id": 4, "weight": 0.5}], "limit": 5,
        "filters": {"genre": "rock", "year_range": {"min": 1970, "max": 2020}}});
    let answer = app.post("/api/similar/", &body).await;
    assert_eq!(ids(&answer.json()["items"]), [3], "{answer:?}");
    let away = app.post("/api/similar", &json!({"seeds": [{"track_id": 1, "weight": -1.0}], "limit": 1})).await;
    assert_eq!(ids(&away.json()["items"]), [4]);
    for (body, code) in [
        (json!({"seeds": [{"track_id": 1, "weight": 1}, {"track_id": 1, "weight": -1}]}), "invalid_vector"),
        (json!({"seeds": []}), "invalid_filter"),
        (json!({"seeds": [{"track_id": 0}]}), "invalid_filter"),
        (json!({"seeds": [{"track_id": 1, "weight": 1e300}]}), "invalid_filter"),
        (json!({"seeds": [{"track_id": 1}], "filters": {"genr": "rock"}}), "invalid_filter"),
        (json!({"seeds": [{"track_id": 1}], "limit": 0}), "invalid_filter"),
        (json!({"seeds": [{"track_id": 1}], "limit": 1001}), "invalid_filter"),
        (json!({"seeds": [{"track_id": 1}], "space": "'; DROP"}), "invalid_filter"),
        (json!({"seeds": [{"track_id": 1}], "numbers": 1.5}), "invalid_filter"),
        (json!({"seeds": 7}), "invalid_filter"),
    ] {
        app.post("/api/similar", &body).await.problem(422, code);
    }
    app.post("/api/similar", &json!({"seeds": [{"track_id": 99}]})).await.problem(404, "no_track");
}

#[tokio::test]
async fn words_and_vectors_are_seeds_too() {
    let app = app().await;
    let ask = async |seeds: Value| app.post("/api/similar", &json!({ "seeds": seeds, "limit": 3 })).await;
    let by_track = ask(json!([{"track_id": 1}])).await.json();
    let own = app.get("/api/track-vectors/1").await.json()["embedding"].clone();
    let by_vector = ask(json!([{ "embedding": own }])).await.json();
    assert_eq!(by_vector["items"][0]["track"]["id"], 1, "a vector leaves no track out: {by_vector}");
    assert_eq!(by_vector["items"][1]["track"]["id"], by_track["items"][0]["track"]["id"]);
    let words = ask(json!([{"text": "warm"}, {"track_id": 1, "weight": 0.5}])).await;
    assert_eq!(words.status, 200, "{}", words.text());
    let many: Vec<Value> = (0..17).map(|n| json!({ "text": format!("t{n}") })).collect();
    for (wrong, says) in [
        (json!([{}]), "exactly one of"),
        (json!([{"track_id": 1, "text": "warm"}]), "exactly one of"),
        (json!([{"text": " "}]), "empty"),
        (json!([{ "text": "x".repeat(1025) }]), "1024 characters"),
        (json!(many), "at most 16"),
        (json!([{"embedding": [0.0, 0.0, 0.0]}]), "direction"),
        (json!([{"embedding": []}]), "seed 0"),
        (json!([{"text": "warm", "weight": 1e300}]), "weight"),
    ] {
        let problem = ask(wrong).await.problem(422, "invalid_filter");
        assert!(problem["detail"].as_str().unwrap().contains(says), "{problem}");
    }
    let short = ask(json!([{"embedding": [1.0, 0.0]}])).await.problem(422, "invalid_vector");
    assert!(short["detail"].as_str().unwrap().contains("2 numbers"), "{short}");
}

#[tokio::test]
async fn typed_words_find_names_and_meanings() {
    let app = app().await;
    let answer = app.get("/api/search?q=warm&limit=3").await.json();
    assert_eq!(answer["items"][0]["track"]["id"], 4, "{answer}");
    assert_eq!(answer["items"][0]["why"]["matched"], "both");
    assert_eq!(answer["items"][1]["why"]["matched"], "meaning");
    let filtered = app.get("/api/search?q=warm&genre=rock").await.json();
    assert_eq!(ids(&filtered["items"]), [1, 3]);
    app.get("/api/search").await.problem(422, "invalid_filter");
    app.get("/api/search?q=%20").await.problem(422, "invalid_filter");
    app.get(&format!("/api/search?q={}", "x".repeat(2000))).await.problem(422, "invalid_filter");
}

#[tokio::test]
async fn without_a_model_the_answer_says_what_to_do() {
    let app = App::with_model(false).await;
    let problem = app.get("/api/search?q=warm").await.problem(503, "model_missing");
    assert!(problem["detail"].as_str().unwrap().contains("soniquebay model pull"));
    let ready = app.get("/readyz").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    let checks = &ready.json()["checks"];
    assert_eq!((&checks["database"]["status"], &checks["model"]["status"]), (&json!("ok"), &json!("model_missing")));
    assert!(checks["model"]["detail"].as_str().unwrap().contains("soniquebay model pull"));
}

#[tokio::test]
async fn vectors_of_clients_live_in_spaces_of_their_own() {
    let app = app().await;
    let posted = app
        .post("/api/track-vectors/", &json!({"track_id": 1, "embedding": [3, 0, 4], "metadata": {"genre": "x"}}))
        .await;
    assert_eq!((posted.status, &posted.json()["space"]), (StatusCode::CREATED, &json!("external/3")));
    let named = json!({"track_id": "2", "embedding": [1, 0], "space": "mine/2/a"});
    assert_eq!(app.post("/api/track-vectors", &named).await.json()["space"], "mine/2/a");

    assert_eq!(app.get("/api/track-vectors/1").await.json()["space"], "compass/3/1");
    assert_eq!(app.get("/api/track-vectors/1?space=external/3").await.json()["embedding"], json!([3.0, 0.0, 4.0]));
    app.get("/api/track-vectors/2?space=external/3").await.problem(404, "no_vector");
    app.get("/api/track-vectors/5").await.problem(404, "no_vector");

    let spaces = app.get("/api/spaces/").await.json();
    assert_eq!((&spaces["serving"], &spaces["tracks"]), (&json!("compass/3/1"), &json!(5)));
    let ours = spaces["spaces"].as_array().unwrap().iter().find(|space| space["serving"] == true).unwrap().clone();
    assert_eq!((&ours["ready"], &ours["coverage"], &ours["wanted"]), (&json!(4), &json!(0.8), &json!(true)));
    assert_eq!(spaces["spaces"].as_array().unwrap().len(), 3);

    assert_eq!(app.delete("/api/track-vectors/1?space=external/3").await.status, StatusCode::NO_CONTENT);
    app.delete("/api/track-vectors/1?space=external/3").await.problem(404, "no_vector");
    assert_eq!(app.delete("/api/track-vectors/1/").await.status, StatusCode::NO_CONTENT, "in every space");
    app.get("/api/track-vectors/1").await.problem(404, "no_vector");
    app.get("/api/tracks/1/similar").await.problem(409, "vector_pending");
}

#[tokio::test]
async fn a_wrong_vector_is_refused_and_named() {
    let app = app().await;
    for (body, said) in [
        (json!({"track_id": 1, "embedding": [0, 0, 0]}), "zero"),
        (json!({"track_id": 1, "embedding": []}), "0 numbers"),
        (json!({"track_id": 1, "embedding": [1, null]}), "null"),
        (json!({"track_id": 1, "embedding": [1, 2], "space": "compass/3/1"}), "2 numbers where compass/3/1 has 3"),
        (json!({"track_id": 1, "embedding": vec![1; 4097]}), "4097 numbers"),
        (json!({"track_id": 0, "embedding": [1]}), "track_id"),
        (json!({"embedding": [1]}), "track_id"),
    ] {
        let problem = app.post("/api/track-vectors", &body).await.problem(422, "invalid_vector");
        assert!(problem["detail"].as_str().unwrap().contains(said), "{said}: {problem}");
    }
    app.post("/api/track-vectors", &json!({"track_id": 99, "embedding": [1, 2]})).await.problem(404, "no_track");
}

#[tokio::test]
async fn a_batch_of_vectors_is_all_or_nothing() {
    let app = app().await;
    let good = json!([{"track_id": 1, "embedding": [1, 2]}, {"track_id": 2, "embedding": [2, 1]}]);
    let stored = app.post("/api/track-vectors/batch", &good).await;
    assert_eq!((stored.status, stored.json()), (StatusCode::CREATED, json!({"stored": 2})));
    let bad = json!([{"track_id": 3, "embedding": [1, 2]}, {"track_id": 4, "embedding": [0, 0]}]);
    assert_eq!(app.post("/api/track-vectors/batch", &bad).await.problem(422, "invalid_vector")["index"], 1);
    let absent = json!([{"track_id": 3, "embedding": [1, 2]}, {"track_id": 4, "embedding": [1, 1]}, {"track_id": 99, "embedding": [1, 2]}]);
    assert_eq!(app.post("/api/track-vectors/batch", &absent).await.problem(404, "no_track")["index"], 2);
    assert_eq!(ids(&app.get("/api/track-vectors?space=external/2").await.json()), [1, 2], "nothing of the bad ones");
}

#[tokio::test]
async fn vectors_are_listed_by_space() {
    let app = app().await;
    let all = app.get("/api/track-vectors/?skip=1&limit=2").await;
    assert_eq!((ids(&all.json()), all.header("x-soniquebay-space")), (vec![2, 3], "compass/3/1"));
    let sparse =
        app.get("/api/track-vectors/?fields=track_id,content_hash,metadata_hash,space&after=2&limit=2").await.json();
    assert_eq!((ids(&sparse["items"]), &sparse["next"]), (vec![3, 4], &json!(4)));
    assert_eq!(sparse["items"][0].as_object().unwrap().len(), 4);
    let hashes = "fields=track_id,content_hash,metadata_hash,space&limit=1000";
    assert_eq!(ids(&app.get(&format!("/api/track-vectors?{hashes}")).await.json()), [1, 2, 3, 4]);
    app.get("/api/track-vectors?limit=1000").await.problem(422, "invalid_filter");
    app.get("/api/track-vectors?fields=track_id,embedding&limit=201").await.problem(422, "invalid_filter");

    let named = app.get("/api/track-vectors/?ids=3,99,1&space=compass/3/1").await.json();
    assert_eq!((ids(&named), &named[0]["embedding"]), (vec![1, 3], &json!([1.0, 0.0, 0.0])));
    assert_eq!(app.get("/api/track-vectors/?ids=1&space=external/3").await.json(), json!([]));
    let many: Vec<String> = (1..=201).map(|id| id.to_string()).collect();
    app.get(&format!("/api/track-vectors?ids={}", many.join(","))).await.problem(422, "invalid_filter");
    app.get("/api/track-vectors?ids=1&skip=1").await.problem(422, "invalid_filter");
}

#[tokio::test]
async fn a_vector_is_searched_with() {
    let app = app().await;
    let answer = app.post("/api/track-vectors/search", &json!({"embedding": [2, 0, 0], "limit": 2})).await;
    assert_eq!((ids(&answer.json()), answer.header("x-soniquebay-space")), (vec![1, 2], "compass/3/1"));
    assert!((answer.json()[0]["similarity"].as_f64().unwrap() - 1.0).abs() < 1e-6);
    assert!(answer.json()[0]["distance"].as_f64().unwrap().abs() < 1e-6);
    let python = json!({"query_track_id": 1, "limit": 10,
        "filters": {"genre": "rock", "exclude_same_artist": true, "year_range": {"min": 1970, "max": 2020}}});
    assert_eq!(ids(&app.post("/api/track-vectors/search/", &python).await.json()), [3]);

    app.post("/api/track-vectors", &json!({"track_id": 1, "embedding": [1, 2]})).await;
    let short = app.post("/api/track-vectors/search", &json!({"embedding": [1, 0]})).await;
    assert_eq!(short.problem(422, "invalid_vector")["spaces"], json!(["external/2"]));
    let there = json!({"embedding": [1, 0], "space": "external/2"});
    assert_eq!(ids(&app.post("/api/track-vectors/search", &there).await.json()), [1]);
    for body in [
        json!({}),
        json!({"embedding": [0, 0, 0]}),
        json!({"embedding": [1, 0, 0], "query_track_id": 1}),
        json!({"query_track_id": -1}),
    ] {
        app.post("/api/track-vectors/search", &body).await.problem(422, "invalid_vector");
    }
}

#[tokio::test]
async fn a_space_is_dropped_by_its_name() {
    let app = app().await;
    app.post("/api/track-vectors/", &json!({"track_id": 1, "embedding": [3, 0, 4]})).await;
    let dropped = app.delete("/api/spaces?space=external/3").await;
    assert_eq!((dropped.status, dropped.json()), (StatusCode::OK, json!({"space": "external/3", "vectors": 1})));
    app.delete("/api/spaces?space=external/3").await.problem(404, "not_found");
    app.delete("/api/spaces?space=compass/3/1").await.problem(409, "space_in_use");
    app.delete("/api/spaces").await.problem(422, "invalid_filter");
    app.delete("/api/spaces?space=a/b/c/d").await.problem(422, "invalid_filter");
    assert_eq!(app.get("/api/spaces").await.json()["spaces"].as_array().unwrap().len(), 1);
}
