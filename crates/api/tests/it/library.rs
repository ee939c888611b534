use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use crate::app::App;

fn joga() -> Value {
    json!({"title": "Jóga", "artist_name": "Björk", "album_title": "Homogenic", "genre": "Electronic", "bpm": 80,
        "year": 1997, "duration": 305, "rating": 5})
}

#[tokio::test]
async fn a_track_is_created_once_and_recognised_after() {
    let app = App::new().await;
    let created = app.post("/api/tracks/", &joga()).await;
    let track = created.json();
    assert_eq!(created.status, StatusCode::CREATED, "{track}");
    assert_eq!(created.header("location"), format!("/api/tracks/{}", track["id"]));
    assert_eq!(
        (&track["artist"], &track["album"], &track["extra"]["rating"]),
        (&json!("Björk"), &json!("Homogenic"), &json!(5))
    );

    let again = app
        .post(
            "/api/tracks",
            &json!({"title": "joga", "artist": "BJORK", "album": "Homogenic", "duration": 304, "energy": 0.5}),
        )
        .await;
    assert_eq!((again.status, &again.json()["id"]), (StatusCode::OK, &track["id"]));
    assert_eq!((&again.json()["energy"], &again.json()["year"]), (&json!(0.5), &json!(1997)), "merged");

    let own = app.post("/api/tracks", &json!({"id": 4711, "title": "Hunter"})).await;
    assert_eq!((own.status, &own.json()["id"]), (StatusCode::CREATED, &json!(4711)));
}

#[tokio::test]
async fn a_track_is_read_replaced_changed_and_removed() {
    let app = App::new().await;
    let id = app.post("/api/tracks", &joga()).await.json()["id"].as_i64().unwrap();
    let path = format!("/api/tracks/{id}");

    let got = app.get(&format!("{path}/")).await;
    assert_eq!((got.status, &got.json()["state"]["status"]), (StatusCode::OK, &json!("pending")));
    let changed = app.send_json(Method::PATCH, &path, &json!({"genre": null, "album": "Homogenic (Live)"})).await;
    assert_eq!((changed.status, changed.json().get("genre")), (StatusCode::OK, None));
    assert_eq!(changed.json()["year"], 1997);
    let replaced = app.send_json(Method::PUT, &path, &json!({"id": id, "title": "Jóga"})).await;
    assert_eq!((replaced.status, replaced.json().get("artist")), (StatusCode::OK, None));

    let features = json!({"bpm": 128, "key": "8A", "mood_happy": 0.8, "duration": 99});
    let measured = app.send_json(Method::PUT, &format!("{path}/features"), &features).await;
    assert_eq!(measured.status, StatusCode::OK, "{measured:?}");
    assert_eq!((&measured.json()["camelot"], &measured.json()["title"]), (&json!("8A"), &json!("Jóga")));
    let unknown = app.send_json(Method::PUT, &format!("{path}/features"), &json!({"bpm": 1, "title": "x"})).await;
    assert_eq!(unknown.problem(422, "invalid_track")["errors"][0]["field"], "title");

    assert_eq!(app.delete(&path).await.status, StatusCode::NO_CONTENT);
    for answer in [
        app.delete(&path).await,
        app.get(&path).await,
        app.send_json(Method::PUT, &path, &joga()).await,
        app.send_json(Method::PATCH, &path, &json!({"genre": "x"})).await,
        app.send_json(Method::PUT, &format!("{path}/features"), &json!({"bpm": 99})).await,
    ] {
        answer.problem(404, "no_track");
    }
}

#[tokio::test]
async fn a_version_guards_against_lost_changes() {
    let app = App::new().await;
    let created = app.post("/api/tracks", &joga()).await;
    let (path, etag) = (format!("/api/tracks/{}", created.json()["id"]), created.header("etag").to_owned());
    let request = |method: Method, header: &str, value: &str, body: Value| {
        let request = Request::builder().method(method).uri(&path).header(header, value);
        request.header("content-type", "application/json").body(Body::from(body.to_string())).unwrap()
    };
    let first = app.send(request(Method::PATCH, "if-match", &etag, json!({"year": 1998}))).await;
    assert_eq!(first.status, StatusCode::OK);
    assert_ne!(first.header("etag"), etag);
    let late = app.send(request(Method::PATCH, "if-match", &etag, json!({"year": 1999}))).await;
    late.problem(412, "outdated");
    app.send(request(Method::PUT, "if-match", "\"x\"", joga())).await.problem(412, "outdated");
    for outdated in [&etag, "\"x\""] {
        app.send(request(Method::DELETE, "if-match", outdated, json!({}))).await.problem(412, "outdated");
    }
    let measured = Request::builder().method(Method::PUT).uri(format!("{path}/features")).header("if-match", &etag);
    let measured = measured.header("content-type", "application/json").body(Body::from(r#"{"bpm": 99}"#)).unwrap();
    app.send(measured).await.problem(412, "outdated");
    let any = app.send(request(Method::PATCH, "if-match", "*", json!({"year": 1999}))).await;
    assert_eq!(any.status, StatusCode::OK);

    let listed = any.header("etag").to_owned();
    let list = format!("\"900\", {listed}, \"901-ready\"");
    let one_of = app.send(request(Method::PATCH, "if-match", &list, json!({"year": 2000}))).await;
    assert_eq!(one_of.status, StatusCode::OK);
    let none_of = app.send(request(Method::PATCH, "if-match", &list, json!({"year": 2001}))).await;
    assert_eq!(none_of.problem(412, "outdated")["version"].to_string(), one_of.header("etag").trim_matches('"'));
    app.send(request(Method::PATCH, "if-match", "\"x\", \"y\"", json!({}))).await.problem(412, "outdated");

    let etag = app.get(&path).await.header("etag").to_owned();
    let known = app.send(request(Method::GET, "if-none-match", &etag, json!({}))).await;
    assert_eq!((known.status, known.bytes.len()), (StatusCode::NOT_MODIFIED, 0));
    let by_state = app.send(request(Method::PATCH, "if-match", &etag, json!({"year": 1999}))).await;
    assert_eq!(by_state.status, StatusCode::OK, "the ETag of a reading guards a write");
    app.set_vector(created.json()["id"].as_i64().unwrap(), [1.0, 0.0, 0.0]).await;
    let news = app.send(request(Method::GET, "if-none-match", &etag, json!({}))).await;
    assert_eq!((news.status, &news.json()["state"]["status"]), (StatusCode::OK, &json!("ready")));
    let now = news.header("etag").to_owned();
    let removed = app.send(request(Method::DELETE, "if-match", &now, json!({}))).await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT);
    app.send(request(Method::DELETE, "if-match", &now, json!({}))).await.problem(404, "no_track");
}

#[tokio::test]
async fn lists_are_walked_both_ways() {
    let app = App::new().await;
    for number in 1..=5 {
        app.post("/api/tracks", &json!({"id": number * 10, "title": format!("t{number}")})).await;
    }
    let ids = |items: &Value| -> Vec<i64> {
        items.as_array().unwrap().iter().map(|track| track["id"].as_i64().unwrap()).collect()
    };
    assert_eq!(ids(&app.get("/api/tracks/?skip=1&limit=2").await.json()), [20, 30]);
    let first = app.get("/api/tracks?after=0&limit=3").await.json();
    assert_eq!((ids(&first["items"]), &first["next"]), (vec![10, 20, 30], &json!(30)));
    let last = app.get("/api/tracks?after=30&limit=3").await.json();
    assert_eq!((ids(&last["items"]), &last["next"]), (vec![40, 50], &Value::Null));
    let sparse = app.get("/api/tracks/?fields=id,content_hash,metadata_hash&after=0&limit=1").await.json();
    let names: Vec<&String> = sparse["items"][0].as_object().unwrap().keys().collect();
    assert_eq!(names, ["content_hash", "id", "metadata_hash"]);
}

#[tokio::test]
async fn tracks_are_asked_for_by_id() {
    let app = App::new().await;
    for number in 1..=3 {
        app.post("/api/tracks", &json!({"id": number * 10, "title": format!("t{number}")})).await;
    }
    let ids = |items: &Value| -> Vec<i64> {
        items.as_array().unwrap().iter().map(|track| track["id"].as_i64().unwrap()).collect()
    };
    assert_eq!(ids(&app.get("/api/tracks/?ids=30,99,10").await.json()), [10, 30]);
    assert_eq!(app.get("/api/tracks/?ids=99").await.json(), json!([]));
    let sparse = app.get("/api/tracks/?ids=20&fields=id,content_hash").await.json();
    assert_eq!(sparse[0].as_object().unwrap().len(), 2);
    let many: Vec<String> = (1..=1000).map(|id| id.to_string()).collect();
    assert_eq!(ids(&app.get(&format!("/api/tracks?ids={}", many.join(","))).await.json()), [10, 20, 30]);
    for wrong in ["ids=1,x", "ids=0", "ids=1&after=0", "ids=1&limit=5", &format!("ids={},1001", many.join(","))] {
        app.get(&format!("/api/tracks?{wrong}")).await.problem(422, "invalid_filter");
    }
    let last = app.get("/api/tracks/?fields=id,content_hash,metadata_hash&after=10&limit=2").await.json();
    assert_eq!((ids(&last["items"]), &last["next"]), (vec![20, 30], &json!(30)));
    assert_eq!(last["items"][0]["content_hash"], app.get("/api/tracks/20").await.json()["content_hash"]);
    assert_eq!(app.get("/api/tracks?fields=id&limit=1").await.json(), json!([{"id": 10}]));
}

#[tokio::test]
async fn a_batch_says_what_became_of_each() {
    let app = App::new().await;
    app.post("/api/tracks", &json!({"id": 1, "title": "A"})).await;
    let batch = json!([{"id": 1, "title": "A"}, {"title": "B"}, {"title": "C", "bpm": "fast"}, 7, {"artist": "no title"},
        {"id": 1, "title": "A2"}]);
    let report = app.post("/api/tracks/batch", &batch).await;
    assert_eq!(report.status, StatusCode::OK, "{report:?}");
    let report = report.json();
    assert_eq!(
        (&report["created"], &report["updated"], &report["unchanged"]),
        (&json!(1), &json!(1), &json!(1)),
        "{report}"
    );
    let failed: Vec<_> =
        report["failed"].as_array().unwrap().iter().map(|one| one["index"].as_i64().unwrap()).collect();
    assert_eq!(failed, [2, 3, 4]);
    assert_eq!(report["ids"].as_array().unwrap().len(), 6);
    assert_eq!((&report["ids"][0], &report["ids"][3]), (&json!(1), &Value::Null));
    app.post("/api/tracks/batch", &json!(vec![json!({"title": "x"}); 1001])).await.problem(422, "invalid_track");
}

#[tokio::test]
async fn bulk_lines_have_no_end_and_bounded_lines() {
    let app = App::new().await;
    let mut lines: String = (0..1200).map(|n| format!("{{\"title\": \"t{n}\", \"path\": \"/m/{n}\"}}\n")).collect();
    lines.push_str("not json\n\n");
    lines.push_str(&format!("{{\"title\": \"{}\"}}\n", "x".repeat(70_000)));
    lines.push_str("{\"title\": \"last\"}");
    let report = app.send_text(Method::POST, "/api/tracks/batch/", "application/x-ndjson; charset=utf-8", lines).await;
    let report = report.json();
    assert_eq!((&report["created"], &report["failed_count"]), (&json!(1201), &json!(2)), "{report}");
    assert_eq!((&report["failed"][0]["index"], &report["failed"][1]["index"]), (&json!(1200), &json!(1202)));
    assert_eq!(app.get("/api/stats").await.json()["tracks"], 1201);
}

#[tokio::test]
async fn a_bulk_import_may_be_larger_than_any_other_body() {
    let app = App::new().await;
    let extra = "y".repeat(10_000);
    let lines: String = (0..400).map(|n| format!("{{\"title\": \"t{n}\", \"note\": \"{extra}\"}}\n")).collect();
    let report = app.send_text(Method::POST, "/api/tracks/batch", "application/x-ndjson", lines).await;
    assert_eq!(report.json()["created"], 400);
}

#[tokio::test]
async fn names_are_searched() {
    let app = App::new().await;
    app.post("/api/tracks", &joga()).await;
    app.post("/api/tracks", &json!({"title": "Joga", "artist": "Somebody", "genre": "Rock"})).await;
    let titles = async |query: &str| -> Vec<String> {
        let answer = app.get(&format!("/api/tracks/search?{query}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.json().as_array().unwrap().iter().map(|t| t["artist"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(titles("q=bjork").await, ["Björk"]);
    assert_eq!(titles("title=joga").await.len(), 2);
    assert_eq!(titles("title=joga&artist=somebody").await, ["Somebody"]);
    assert_eq!(titles("q=joga&genre=ROCK").await, ["Somebody"]);
    app.get("/api/tracks/search?genre=rock").await.problem(422, "invalid_filter");
}

#[tokio::test]
async fn what_is_clamped_is_told() {
    let app = App::new().await;
    let created = app.post("/api/tracks", &json!({"title": "A", "energy": 1.01, "valence": 0.4})).await;
    assert_eq!((created.status.as_u16(), created.header("x-soniquebay-clamped")), (201, "energy"));
    assert_eq!(created.json()["energy"], 1.0);
    let changed = app.send_json(Method::PATCH, "/api/tracks/1", &json!({"energy": 0.9})).await;
    assert_eq!((changed.status.as_u16(), changed.header("x-soniquebay-clamped")), (200, ""));
    let batch = json!([{"title": "B"}, {"title": "C", "danceability": -0.2}]);
    let report = app.post("/api/tracks/batch", &batch).await.json();
    assert_eq!((&report["created"], &report["clamped"][0]["index"]), (&json!(2), &json!(1)), "{report}");
    assert_eq!(report["clamped"][0]["errors"][0]["field"], "danceability");
}

#[tokio::test]
async fn reads_are_spared_whoever_has_them_already() {
    let app = App::new().await;
    app.add(json!({"id": 1, "title": "One"}), [1.0, 0.0, 0.0]).await;
    let ask = async |path: &str, known: Option<&str>| {
        let request =
            Request::get(path).header("host", "localhost").header("if-none-match", known.unwrap_or("\"none\""));
        app.send(request.body(Body::empty()).unwrap()).await
    };
    for path in [
        "/api/tracks",
        "/api/tracks?after=0&fields=id",
        "/api/tracks/1",
        "/api/track-vectors/1",
        "/api/track-vectors?after=0",
        "/api/spaces",
        "/api/spaces/",
    ] {
        let first = ask(path, None).await;
        let etag = first.header("etag").to_owned();
        assert!(first.status == StatusCode::OK && etag.contains('"'), "{path}: {etag}");
        for known in [etag.clone(), format!("\"other\", {etag}"), etag.trim_start_matches("W/").to_owned(), "*".into()]
        {
            let again = ask(path, Some(&known)).await;
            assert_eq!((again.status, again.text().as_str()), (StatusCode::NOT_MODIFIED, ""), "{path} {known}");
            assert_eq!(again.header("etag"), etag);
        }
    }
    let (list, one) = (ask("/api/tracks", None).await, ask("/api/tracks/1", None).await);
    app.send_json(Method::PATCH, "/api/tracks/1", &json!({"title": "Two"})).await;
    assert_eq!(ask("/api/tracks", Some(list.header("etag"))).await.status, StatusCode::OK, "it changed");
    assert_eq!(ask("/api/tracks/1", Some(one.header("etag"))).await.status, StatusCode::OK, "it changed");
    assert_eq!(ask("/api/tracks?limit=0", Some("*")).await.status, StatusCode::UNPROCESSABLE_ENTITY, "errors are told");
}
