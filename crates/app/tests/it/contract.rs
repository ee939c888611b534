//! What is promised on the wire, line by line, asked of the real program.

use serde_json::{Value, json};

use crate::program::{Data, Server};

/// Status and answer of a request with a JSON body.
fn post(server: &Server, path: &str, body: impl std::borrow::Borrow<Value>) -> (u16, Value) {
    server.post(path, &body.borrow().to_string())
}

#[test]
fn tracks_are_what_the_contract_says() {
    let data = Data::without_model();
    let server = data.serve();
    let (status, track) = post(
        &server,
        "/api/tracks/",
        json!({
            "title": "Jóga", "artist_name": "Björk", "album_title": "Homogenic", "genre_main": "Electronic",
            "genres": ["Trip Hop"], "moods": "sad, slow", "tags": ["strings"], "year": "1997-09-20", "duration": 305.5,
            "bpm": "80", "camelot_key": "5B", "scale": "major", "mood_happy": 0.3, "acoustic": 0.4, "instrumental": 0.1,
            "bitrate": 320, "path": "/music/joga.flac", "musicbrainz_id": "mb-1", "isrc": "GB1", "rating": {"of": 5},
        }),
    );
    assert_eq!(status, 201, "{track}");
    for (field, value) in [
        ("artist", json!("Björk")),
        ("album", json!("Homogenic")),
        ("genre", json!("Electronic")),
        ("genre_tags", json!(["Trip Hop"])),
        ("mood_tags", json!(["sad", "slow"])),
        ("year", json!(1997)),
        ("bpm", json!(80.0)),
        ("camelot", json!("5B")),
        ("mode", json!("major")),
        ("valence", json!(0.3)),
        ("acousticness", json!(0.4)),
        ("instrumentalness", json!(0.1)),
        ("extra", json!({"rating": {"of": 5}})),
    ] {
        assert_eq!(track[field], value, "{field}");
    }
    let id = track["id"].as_i64().unwrap();
    // The same track again is recognised by, in this order: id, path, MusicBrainz id or ISRC, names and length.
    for same in [
        json!({"id": id, "title": "Jóga"}),
        json!({"title": "Joga (file)", "path": "/music/joga.flac"}),
        json!({"title": "Joga again", "musicbrainz_id": "mb-1"}),
        json!({"title": "JÓGA", "isrc": "GB1"}),
        json!({"title": "joga", "artist": "BJORK", "album": "homogenic", "duration": 307}),
    ] {
        let (status, answer) = post(&server, "/api/tracks", same.clone());
        assert_eq!((status, answer["id"].as_i64()), (200, Some(id)), "{same}");
    }
    let other = json!({"title": "joga", "artist": "BJORK", "album": "homogenic", "duration": 320});
    assert_eq!(post(&server, "/api/tracks", other).0, 201, "another length, another recording");

    let one = format!("/api/tracks/{id}/");
    assert_eq!(server.get(&one).1["state"]["status"], "pending");
    assert!(server.get("/api/tracks/?skip=0&limit=1").1.is_array());
    let walked = server.get("/api/tracks/?after=0&limit=1").1;
    assert!(walked["items"].is_array() && walked["next"] == id, "{walked}");
    let prints = server.get("/api/tracks/?fields=id,content_hash,metadata_hash&after=0").1;
    assert_eq!(prints["items"][0].as_object().unwrap().len(), 3, "{prints}");
    assert_eq!(server.get("/api/tracks/search?q=homogenic").1.as_array().unwrap().len(), 2);
    assert_eq!(server.patch(&one, r#"{"genre": null}"#).1["genre"], Value::Null);
    assert_eq!(server.delete(&one), 204);
    assert_eq!((server.get(&one).0, server.get(&one).1["code"].clone()), (404, json!("no_track")));
}

#[test]
fn bounds_are_what_the_contract_says() {
    let data = Data::without_model();
    let server = data.serve();
    let long = |letters: usize| "x".repeat(letters);
    let tags = |count: usize| (0..count).map(|n| format!("tag {n}")).collect::<Vec<_>>();
    for (body, status) in [
        (json!({ "title": long(1024) }), 201),
        (json!({ "title": long(1025) }), 422),
        (json!({ "title": "Tags", "tags": tags(64) }), 201),
        (json!({ "title": "Tags", "tags": tags(65) }), 422),
        (json!({ "title": "Extra", "note": long(15_000) }), 201),
        (json!({ "title": "Extra", "note": long(17_000) }), 422),
        (json!({ "id": 0, "title": "No id" }), 422),
        (json!({ "title": "Too large", "note": long(2 * 1024 * 1024) }), 413),
    ] {
        let (found, answer) = post(&server, "/api/tracks", body);
        assert_eq!(found, status, "{answer}");
        assert!(status == 201 || answer["code"].is_string(), "{answer}");
    }
    let many = |count: usize| json!((0..count).map(|n| json!({"title": format!("t{n}")})).collect::<Vec<_>>());
    assert_eq!(post(&server, "/api/tracks/batch", many(1000)).1["created"], 1000);
    assert_eq!(post(&server, "/api/tracks/batch", many(1001)).0, 422);
    let lines = format!("{{\"title\": \"fits\"}}\n{{\"title\": \"no\", \"note\": \"{}\"}}\n", long(64 * 1024));
    let report = server.stream("/api/tracks/batch/", "application/x-ndjson", lines.as_bytes()).1;
    assert_eq!((&report["created"], &report["failed_count"]), (&1.into(), &1.into()), "{report}");
    for path in ["/api/tracks?limit=1001", "/api/tracks?limit=0", "/api/search?q=x&limit=1001"] {
        assert_eq!(server.get(path).0, 422, "{path}");
    }
    let numbers = |count: usize| json!({"track_id": 1, "embedding": vec![0.5; count]});
    assert_eq!(post(&server, "/api/track-vectors", numbers(4096)).0, 201);
    assert_eq!(post(&server, "/api/track-vectors", numbers(4097)).0, 422);
}

#[test]
fn vectors_and_questions_are_what_the_contract_says() {
    let data = Data::with_model();
    let server = data.serve();
    for (title, artist, genre, year) in [
        ("So What", "Miles Davis", "Jazz", 1959),
        ("Giant Steps", "John Coltrane", "Jazz", 1960),
        ("One", "Metallica", "Metal", 1988),
    ] {
        post(&server, "/api/tracks/", json!({"title": title, "artist": artist, "genre": genre, "year": year}));
    }
    server.wait_until(|| {
        server.get("/api/stats").1["jobs"]["available"] == 0 && server.get("/api/track-vectors/3").0 == 200
    });

    // POST /api/track-vectors/: 201, created or replaced; wrong ones are refused with what would be right.
    let mine = |numbers: Value| post(&server, "/api/track-vectors/", json!({"track_id": 1, "embedding": numbers}));
    assert_eq!(mine(json!([1.0, 0.0, 0.5])).1["space"], "external/3");
    assert_eq!(mine(json!([1.0, 0.0, 0.25])).0, 201);
    assert_eq!(mine(json!([0.0, 0.0, 0.0])).1["code"], "invalid_vector");
    let ours = server.get("/api/spaces").1["serving"].as_str().unwrap().to_owned();
    let wrong = json!({"track_id": 1, "embedding": [1.0], "space": ours});
    let (status, refused) = post(&server, "/api/track-vectors/", wrong);
    assert!(status == 422 && refused["detail"].as_str().unwrap().contains("396"), "{refused}");
    assert_eq!(post(&server, "/api/track-vectors", json!({"track_id": 99, "embedding": [1.0]})).1["code"], "no_track");
    let batch = json!([{"track_id": 2, "embedding": [1.0, 0.1, 0.5]}, {"track_id": 3, "embedding": []}]);
    let (status, refused) = post(&server, "/api/track-vectors/batch", batch);
    assert_eq!((status, &refused["index"]), (422, &1.into()), "{refused}");
    let there = "/api/track-vectors/2/?space=external/3";
    assert_eq!(server.get(there).0, 404, "all or nothing");
    assert_eq!(
        post(&server, "/api/track-vectors/batch", json!([{"track_id": 2, "embedding": [1.0, 0.1, 0.5]}])).0,
        201
    );
    assert_eq!(server.get(there).1["space"], "external/3");
    assert!(server.get("/api/track-vectors/?skip=0&limit=1").1.is_array());
    assert!(
        server.get("/api/track-vectors/?fields=track_id,content_hash,metadata_hash,space&after=0").1["items"]
            .is_array()
    );

    // Search by a vector or by a track, with the Python form of filters.
    let near = json!({"embedding": [1.0, 0.0, 0.5], "limit": 10, "space": "external/3",
        "filters": {"genre": "jazz", "exclude_same_artist": true, "year_range": {"min": 1950, "max": 1970}}});
    let (status, found) = post(&server, "/api/track-vectors/search", near);
    assert!(status == 200 && found[0]["track_id"].is_i64() && found[0]["distance"].is_number(), "{found}");
    let (distance, similarity) = (found[0]["distance"].as_f64().unwrap(), found[0]["similarity"].as_f64().unwrap());
    assert!((distance + similarity - 1.0).abs() < 1e-6);
    let by_track = post(&server, "/api/track-vectors/search", json!({"query_track_id": 1, "limit": 1})).1;
    assert_eq!(by_track[0]["track_id"], 2, "{by_track}");
    let (status, lengths) = post(&server, "/api/track-vectors/search", json!({"embedding": [1.0, 0.0, 0.5]}));
    assert!(status == 422 && lengths["spaces"] == json!(["external/3"]), "{lengths}");

    let similar =
        server.get("/api/tracks/1/similar?limit=5&genre=jazz&year_min=1950&year_max=1970&exclude_same_artist=true").1;
    assert!(similar["items"][0]["track"]["id"] == 2 && similar["items"][0]["why"]["words"].is_number(), "{similar}");
    let seeds = json!({"seeds": [{"track_id": 1}, {"track_id": 3, "weight": -0.5}, {"text": "saxophone", "weight": 0.2}], "limit": 1});
    assert_eq!(post(&server, "/api/similar", seeds).1["items"][0]["track"]["id"], 2);
    assert_eq!(server.get("/api/search?q=gaint+steps").1["items"][0]["track"]["id"], 2, "forgiving of typing");
    assert_eq!(server.delete("/api/track-vectors/2?space=external/3"), 204);
    assert_eq!(server.delete("/api/track-vectors/2?space=external/3"), 404);
}

#[test]
fn a_vector_that_is_still_to_come_says_so_and_every_service_answers_of_itself() {
    let data = Data::without_model();
    let server = data.serve();
    post(&server, "/api/tracks/", json!({"title": "Waits"}));
    for answer in [
        server.get("/api/tracks/1/similar"),
        post(&server, "/api/similar", json!({"seeds": [{"track_id": 1}]})),
        post(&server, "/api/track-vectors/search", json!({"query_track_id": 1})),
    ] {
        assert_eq!((answer.0, answer.1["code"].as_str()), (409, Some("vector_pending")), "{}", answer.1);
        assert_eq!(answer.1["state"]["status"], "pending");
    }
    for path in
        ["/healthz", "/healthz/", "/metrics", "/openapi.json", "/docs/", "/api/jobs", "/api/spaces/", "/api/stats"]
    {
        assert_eq!(server.get(path).0, 200, "{path}");
    }
    assert_eq!(server.get("/readyz").0, 503, "no model, so not all is well");
    assert_eq!(server.get("/nowhere").1["code"], "not_found");
}
