//! Models on servers that come and go, settings that change on a full library, and texts that were embedded before.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use soniquebay_testkit::ollama::{Facade, Settings};
use soniquebay_testkit::redis::RedisServer;

use crate::program::{Data, Server};

const LOCAL: &str = "all-MiniLM-L6-v2/396/parts-1";
const NOMIC: [(&str, &str); 1] = [("EMBEDDING_MODEL", "nomic-embed-text")];

fn facade() -> Facade {
    Facade::start(Settings::new("nomic-embed-text", 768)).unwrap()
}

/// A server over `data` with these settings and the façade as its Ollama.
fn serve(data: &Data, ollama: &Facade, settings: &[(&str, &str)]) -> Server {
    let mut command = data.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.envs(settings.iter().copied()).env("OLLAMA_HOST", ollama.url());
    Server::start(command)
}

fn create(server: &Server, titles: impl IntoIterator<Item = String>) {
    for title in titles {
        let track = json!({"title": title, "artist": "Somebody", "genre": "Jazz", "year": 1959});
        assert_eq!(server.post("/api/tracks/", &track.to_string()).0, 201);
    }
}

/// The space of that model.
fn space(server: &Server, model: &str) -> Value {
    let spaces = server.get("/api/spaces").1;
    let all = spaces["spaces"].as_array().unwrap();
    all.iter().find(|space| space["model"] == model).cloned().unwrap_or_else(|| panic!("{model}: {spaces}"))
}

fn wait_until_ready(server: &Server, model: &str, tracks: u64) {
    server.wait_until(|| space(server, model)["ready"] == tracks);
}

fn answering_space(server: &Server, path: &str) -> String {
    let (status, answer) = server.get(path);
    assert_eq!(status, 200, "{path}: {answer}");
    answer["space"].as_str().unwrap().to_owned()
}

#[test]
fn a_second_space_answers_while_ollama_is_away() {
    let (data, mut ollama) = (Data::with_model(), facade());
    ollama.stop();
    let server = serve(&data, &ollama, &[NOMIC[0], ("EMBEDDING_FALLBACK", "all-MiniLM-L6-v2")]);
    create(&server, (1..=20).map(|n| format!("Song {n}")));
    wait_until_ready(&server, "all-MiniLM-L6-v2", 20);
    assert_eq!(answering_space(&server, "/api/tracks/1/similar"), LOCAL);
    assert_eq!(answering_space(&server, "/api/search?q=song"), LOCAL);
    assert_eq!(server.get("/readyz").0, 200, "it answers");
    assert_eq!(server.get("/api/tracks/1").1["state"]["status"], "pending", "its own space is still to come");
    assert_eq!(server.get("/api/stats").1["jobs"]["discarded"], 0);

    ollama.restart().unwrap();
    wait_until_ready(&server, "nomic-embed-text", 20);
    server.wait_until(|| answering_space(&server, "/api/tracks/1/similar").starts_with("nomic-embed-text/768/"));
    let vector = server.get("/api/track-vectors/1").1;
    assert_eq!(vector["embedding"].as_array().unwrap().len(), 768);
    assert_eq!(space(&server, "all-MiniLM-L6-v2")["ready"], 20, "nothing was mixed");

    ollama.stop();
    assert!(answering_space(&server, "/api/tracks/2/similar").starts_with("nomic-embed-text/"), "no model is needed");
    assert_eq!(answering_space(&server, "/api/search?q=late+and+blue"), LOCAL, "words need one");
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn a_text_that_the_model_cannot_embed_holds_nobody_back() {
    let (data, ollama) = (Data::without_model(), facade());
    ollama.poison("poisoned", 400, "embedding contains NaN or Inf values");
    let server = serve(&data, &ollama, &NOMIC);
    let titles = (0..32).map(|n| if n == 17 { "A poisoned title".into() } else { format!("Song {n}") });
    let tracks: Vec<Value> = titles.map(|title: String| json!({"title": title})).collect();
    assert_eq!(server.post("/api/tracks/batch", &json!(tracks).to_string()).0, 200);
    wait_until_ready(&server, "nomic-embed-text", 31);
    server.wait_until(|| server.get("/api/stats").1["jobs"]["discarded"] == 1);
    let job = server.get("/api/jobs?state=discarded").1["items"][0].clone();
    assert_eq!(job["track_id"], 18);
    assert!(job["reason"].as_str().unwrap().contains("NaN"), "{job}");
}

#[test]
fn ollama_is_killed_and_nothing_is_lost_or_doubled() {
    let (data, mut ollama) = (Data::without_model(), facade());
    let server = serve(&data, &ollama, &NOMIC);
    let tracks: Vec<Value> = (0..300).map(|n| json!({"title": format!("Song {n}")})).collect();
    assert_eq!(server.post("/api/tracks/batch", &json!(tracks).to_string()).0, 200);
    server.wait_until(|| space(&server, "nomic-embed-text")["ready"].as_u64().unwrap() > 0);
    ollama.stop();
    assert_eq!(server.post("/api/tracks/", r#"{"title":"While it was away"}"#).0, 201);
    ollama.restart().unwrap();
    wait_until_ready(&server, "nomic-embed-text", 301);
    let jobs = server.get("/api/stats").1["jobs"].clone();
    assert!(jobs.as_object().unwrap().values().all(|count| *count == 0), "{jobs}");
}

#[test]
fn a_server_that_hangs_does_not_hold_the_end_back() {
    let data = Data::without_model();
    let slow = Settings { a_text: Duration::from_secs(3600), ..Settings::new("nomic-embed-text", 768) };
    let ollama = Facade::start(slow).unwrap();
    let server = serve(&data, &ollama, &NOMIC);
    create(&server, ["Song".to_owned()]);
    server.wait_until(|| ollama.counters().in_flight > 0);
    let began = Instant::now();
    assert_eq!(server.terminate(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    let jobs = data.run(&["jobs", "stats", "--json"]).expect(0).json();
    assert_eq!((&jobs["available"], &jobs["running"]), (&json!(1), &json!(0)), "{jobs}");
}

#[test]
fn the_space_before_answers_until_the_new_one_is_full() {
    let (data, mut ollama) = (Data::with_model(), facade());
    let before = data.serve();
    create(&before, (1..=20).map(|n| format!("Song {n}")));
    wait_until_ready(&before, "all-MiniLM-L6-v2", 20);
    assert_eq!(before.terminate(), Some(0));

    ollama.stop();
    let server = serve(&data, &ollama, &NOMIC);
    assert_eq!(answering_space(&server, "/api/tracks/1/similar"), LOCAL);
    assert_eq!(answering_space(&server, "/api/search?q=quiet+piano"), LOCAL);
    let old = space(&server, "all-MiniLM-L6-v2");
    assert_eq!((&old["serving"], &old["wanted"]), (&json!(true), &json!(false)));
    let path = format!("/api/spaces?space={LOCAL}");
    assert_eq!(server.delete(&path), 409, "it is needed");

    ollama.restart().unwrap();
    wait_until_ready(&server, "nomic-embed-text", 20);
    server.wait_until(|| answering_space(&server, "/api/tracks/1/similar").starts_with("nomic-embed-text/"));
    assert_eq!(server.terminate(), Some(0));
    let mut drop_it = data.command(&["spaces", "drop", LOCAL]);
    let dropped = crate::program::Ran::from(drop_it.envs(NOMIC).output().unwrap()).expect(0);
    assert!(dropped.out.contains("20 vectors"), "{}", dropped.out);
    let mut list = data.command(&["spaces", "list", "--json"]);
    let listed = crate::program::Ran::from(list.envs(NOMIC).output().unwrap()).expect(0).json();
    let made_of_words =
        listed.as_array().unwrap().iter().filter(|space| !space["space"].as_str().unwrap().starts_with("sound/"));
    assert_eq!(made_of_words.count(), 1, "{listed}");
}

/// Texts that a server embedded anew and, by layer, those that it remembered.
fn counted(server: &Server) -> (u64, u64, u64) {
    let metrics = server.get("/metrics").1;
    let of = |name: &str| {
        let line = metrics.as_str().unwrap().lines().find(|line| line.starts_with(name));
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    };
    (
        of("soniquebay_embedding_cache_misses_total"),
        of("soniquebay_embedding_cache_hits_total{layer=\"file\"}"),
        of("soniquebay_embedding_cache_hits_total{layer=\"redis\"}"),
    )
}

#[test]
fn an_album_with_a_new_tag_costs_no_inference_for_what_it_kept() {
    let data = Data::with_model();
    let server = data.serve();
    create(&server, (1..=10).map(|n| format!("Song {n}")));
    wait_until_ready(&server, "all-MiniLM-L6-v2", 10);
    let (embedded, ..) = counted(&server);
    // Two batches side by side may both find a text new.
    assert!((12..=14).contains(&embedded), "ten titles, one artist, one genre: {embedded}");
    let retag = |server: &Server, genre: &str| {
        for id in 1..=10 {
            let body = json!({"genre": genre}).to_string();
            assert_eq!(server.patch(&format!("/api/tracks/{id}"), &body).0, 200);
        }
        wait_until_ready(server, "all-MiniLM-L6-v2", 10);
    };
    retag(&server, "Cool Jazz");
    let more = counted(&server).0 - embedded;
    assert!((1..=2).contains(&more), "one new genre: {more}");
    assert_eq!(server.terminate(), Some(0));

    let again = data.serve();
    retag(&again, "Jazz");
    let (embedded, remembered, _) = counted(&again);
    assert!(embedded == 0 && remembered >= 12, "the file remembers after a restart: {embedded}, {remembered}");
}

#[test]
fn machines_share_embeddings_through_redis_and_do_without() {
    let redis = RedisServer::start();
    let with_redis = |data: &Data| {
        let mut command = data.command(&["serve", "--listen", "127.0.0.1:0"]);
        Server::start({
            command.env("REDIS_URL", redis.url());
            command
        })
    };
    let fill = |server: &Server| {
        create(server, (1..=5).map(|n| format!("Song {n}")));
        wait_until_ready(server, "all-MiniLM-L6-v2", 5);
    };
    let (one, other, third) = (Data::with_model(), Data::with_model(), Data::with_model());
    fill(&with_redis(&one));
    let server = with_redis(&other);
    fill(&server);
    let (embedded, _, shared) = counted(&server);
    assert!(embedded == 0 && shared >= 7, "{embedded}, {shared}");
    // Without Redis it takes longer, and that is all.
    let server = with_redis(&third);
    drop(redis);
    create(&server, ["New".to_owned()]);
    wait_until_ready(&server, "all-MiniLM-L6-v2", 1);
    assert!(RedisServer::start().pid() > 0);
}
