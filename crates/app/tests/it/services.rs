//! The roles as processes of their own, that share Redis and HTTP, or Redis and PostgreSQL.

use serde_json::{Value, json};
use soniquebay_testkit::celery;
use soniquebay_testkit::ollama::{Facade, Settings};
use soniquebay_testkit::postgres::PostgresServer;
use soniquebay_testkit::redis::{RedisServer, free_port};

use crate::program::{Data, Server};

const MODEL: &str = "nomic-embed-text";

/// Where everything is.
pub(crate) struct Town {
    pub(crate) redis: RedisServer,
    pub(crate) ollama: Facade,
    pub(crate) library: u16,
    pub(crate) recommender: u16,
    /// A folder a role.
    folders: [Data; 2],
}

impl Town {
    pub(crate) fn new() -> Self {
        Self {
            redis: RedisServer::start(),
            ollama: Facade::start(Settings::new(MODEL, 768)).unwrap(),
            library: free_port(),
            recommender: free_port(),
            folders: [Data::without_model(), Data::without_model()],
        }
    }

    /// One role, in a process of its own.
    pub(crate) fn start(&self, role: &str) -> Server {
        self.start_with(role, &[], &[])
    }

    /// The same, in this working folder.
    pub(crate) fn start_in(&self, role: &str, folder: &std::path::Path) -> Server {
        let mut command = self.command(role, &[], &[]);
        command.current_dir(folder);
        Server::start(command)
    }

    pub(crate) fn start_with(&self, role: &str, arguments: &[&str], settings: &[(&str, &str)]) -> Server {
        Server::start(self.command(role, arguments, settings))
    }

    fn command(&self, role: &str, arguments: &[&str], settings: &[(&str, &str)]) -> std::process::Command {
        let (port, folder) = match role {
            "library" => (self.library, &self.folders[0]),
            "recommender" => (self.recommender, &self.folders[1]),
            _ => (0, &self.folders[0]),
        };
        let listen = format!("127.0.0.1:{port}");
        let mut command = folder.command(&[role, "--listen", &listen]);
        command.args(arguments).envs(self.settings()).envs(settings.iter().copied());
        command
    }

    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("REDIS_URL", self.redis.url()),
            ("LIBRARY_API_URL", format!("http://127.0.0.1:{}", self.library)),
            ("RECOMMENDER_API_URL", format!("http://127.0.0.1:{}", self.recommender)),
            ("EMBEDDING_MODEL", MODEL.to_owned()),
            ("OLLAMA_HOST", self.ollama.url()),
        ]
    }
}

/// Vectors made from what their tracks are now, in the space of the façade's model.
pub(crate) fn ready(recommender: &Server) -> u64 {
    let spaces = recommender.get("/api/spaces").1;
    let space = spaces["spaces"].as_array().unwrap().iter().find(|space| space["model"] == MODEL).cloned();
    space.map_or(0, |space| space["ready"].as_u64().unwrap())
}

fn track(title: &str, genre: &str) -> String {
    json!({"title": title, "artist": "Somebody", "genre": genre, "year": 1999}).to_string()
}

#[test]
fn four_processes_answer_as_one() {
    let town = Town::new();
    let (library, recommender) = (town.start("library"), town.start("recommender"));
    let (listener, worker) = (town.start("listener"), town.start("worker"));
    for role in [&library, &recommender, &listener, &worker] {
        role.wait_until(|| role.get("/readyz").0 == 200);
        assert_eq!(role.get("/healthz").0, 200);
        assert!(role.get("/metrics").1.as_str().unwrap().contains("soniquebay_jobs"));
    }
    let id = library.post("/api/tracks/", &track("One", "Jazz")).1["id"].as_i64().unwrap();
    let other = library.post("/api/tracks/", &track("Two", "Jazz")).1["id"].as_i64().unwrap();
    recommender.wait_until(|| ready(&recommender) == 2);
    let (_, answer) = recommender.get(&format!("/api/tracks/{id}/similar?genre=jazz&year_min=1990"));
    assert_eq!(answer["items"][0]["track"]["id"], other, "{answer}");
    assert_eq!(
        recommender.get("/api/search?q=two").1["items"][0]["track"]["title"],
        "Two",
        "names are known there too"
    );
    assert_eq!(library.get(&format!("/api/tracks/{id}")).1["state"]["status"], "ready");

    // Changes and removals follow, filter data included.
    library.patch(&format!("/api/tracks/{other}"), r#"{"genre": "Rock"}"#);
    let jazz = format!("/api/tracks/{id}/similar?genre=jazz");
    recommender.wait_until(|| recommender.get(&jazz).1["items"] == json!([]));
    assert_eq!(library.delete(&format!("/api/tracks/{other}")), 204);
    recommender.wait_until(|| recommender.get(&format!("/api/track-vectors/{other}")).0 == 404);
    let left = recommender.get("/api/search?q=two").1["items"].to_string();
    assert!(!left.contains("\"Two\""), "nothing is left of it: {left}");

    // A burst of updates ends in one right vector.
    for n in 0..50 {
        library.patch(&format!("/api/tracks/{id}"), &json!({"title": format!("Take {n}")}).to_string());
    }
    let hash = library.get(&format!("/api/tracks/{id}")).1["content_hash"].clone();
    let made_from = |id: i64| recommender.get(&format!("/api/track-vectors/{id}")).1["content_hash"].clone();
    recommender.wait_until(|| made_from(id) == hash);

    for role in [worker, listener, recommender, library] {
        assert_eq!(role.terminate(), Some(0));
    }
}

#[test]
fn what_nobody_heard_is_found() {
    let town = Town::new();
    let (library, recommender) = (town.start("library"), town.start("recommender"));
    for n in 0..30 {
        library.post("/api/tracks/", &track(&format!("Song {n}"), "Jazz"));
    }
    let gone = library.post("/api/tracks/", &track("Gone", "Jazz")).1["id"].as_i64().unwrap();
    let vector = json!({"track_id": gone, "embedding": vec![1.0; 768], "space": space(&recommender)});
    assert_eq!(recommender.post("/api/track-vectors/", &vector.to_string()).0, 201);
    library.delete(&format!("/api/tracks/{gone}"));
    // Nobody listened until now.
    let _listener = town.start_with("listener", &["--reconcile-every", "1"], &[]);
    let _worker = town.start("worker");
    recommender.wait_until(|| ready(&recommender) == 30);
    recommender.wait_until(|| recommender.get(&format!("/api/track-vectors/{gone}")).0 == 404);
}

fn space(recommender: &Server) -> Value {
    let spaces = recommender.get("/api/spaces").1;
    spaces["spaces"].as_array().unwrap().iter().find(|space| space["wanted"] == true).unwrap()["space"].clone()
}

#[test]
fn a_track_that_is_refused_is_given_up_for_all_to_see() {
    let town = Town::new();
    town.ollama.poison("poison", 400, "invalid input");
    let (library, recommender) = (town.start("library"), town.start("recommender"));
    let (listener, _worker) = (town.start("listener"), town.start("worker"));
    let bad = library.post("/api/tracks/", &track("poison", "Jazz")).1["id"].as_i64().unwrap();
    library.post("/api/tracks/", &track("Fine", "Jazz"));
    recommender.wait_until(|| ready(&recommender) == 1);
    for role in [&library, &recommender, &listener] {
        role.wait_until(|| role.get("/api/jobs?state=discarded").1["counts"]["discarded"] == 1);
    }
    let job = listener.get("/api/jobs?state=discarded").1["items"][0].clone();
    assert_eq!(job["track_id"], bad);
    assert_eq!(library.get(&format!("/api/tracks/{bad}")).1["state"]["status"], "failed");
    // A person mends it and has it tried again.
    town.ollama.poison("nothing", 400, "invalid input");
    let retry = format!("/api/jobs/{}/retry", job["id"].as_str().unwrap());
    assert_eq!(library.post(&retry, "{}").1["retried"], 1);
    recommender.wait_until(|| ready(&recommender) == 2);
}

#[test]
fn a_python_worker_and_ours_take_from_one_queue() {
    let town = Town::new();
    let (library, _recommender) = (town.start("library"), town.start("recommender"));
    let _listener = town.start("listener");
    // No worker of ours: a Python one runs what our listener queues.
    let tasks = r#"
@app.task(name="calculate_vector", acks_late=True)
def calculate_vector(track_id, metadata=None):
    print(f"ran {track_id} {(metadata or {}).get('title')}", flush=True)
    return {"track_id": track_id}
"#;
    let mut python = celery::Process::worker(&town.redis.url(), tasks, "vectorization");
    let id = library.post("/api/tracks/", &track("For Python", "Jazz")).1["id"].as_i64().unwrap();
    python.wait_for(&format!("ran {id} For Python"));
}

#[test]
fn machines_that_share_postgres_need_nothing_else() {
    let postgres = PostgresServer::shared().new_database();
    let ollama = Facade::start(Settings::new(MODEL, 768)).unwrap();
    let folders = [Data::without_model(), Data::without_model(), Data::without_model()];
    let settings = [("DATABASE_URL", postgres.as_str()), ("EMBEDDING_MODEL", MODEL), ("OLLAMA_HOST", &ollama.url())];
    let start = |role: &str, folder: &Data| {
        let mut command = folder.command(&[role, "--listen", "127.0.0.1:0"]);
        command.envs(settings);
        Server::start(command)
    };
    let (library, recommender) = (start("library", &folders[0]), start("recommender", &folders[1]));
    let workers = [start("worker", &folders[2]), start("worker", &folders[2])];
    let tracks: Vec<Value> = (0..200).map(|n| json!({"title": format!("Song {n}"), "artist": "A"})).collect();
    assert_eq!(library.post("/api/tracks/batch", &json!(tracks).to_string()).0, 200);
    recommender.wait_until(|| ready(&recommender) == 200);
    assert_eq!(recommender.get("/api/tracks/1/similar").1["items"].as_array().unwrap().len(), 10);
    library.patch("/api/tracks/1", r#"{"title": "Song renamed"}"#);
    recommender.wait_until(|| recommender.get("/api/search?q=renamed").1["items"][0]["track"]["id"] == 1);
    let [first, second] = workers;
    first.kill();
    assert_eq!(second.terminate(), Some(0));
    // The whole in one process, on the same database.
    drop((library, recommender));
    let all = start("serve", &folders[0]);
    all.post("/api/tracks/", &track("One more", "Jazz"));
    all.wait_until(|| ready(&all) == 201);
}

#[test]
fn one_process_with_celery_messages_as_its_queue() {
    let (data, redis) = (Data::without_model(), RedisServer::start());
    let ollama = Facade::start(Settings::new(MODEL, 768)).unwrap();
    let mut command = data.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.envs([("CELERY_BROKER_URL", redis.url()), ("OLLAMA_HOST", ollama.url())]).env("EMBEDDING_MODEL", MODEL);
    let server = Server::start(command);
    let id = server.post("/api/tracks/", &track("One", "Jazz")).1["id"].as_i64().unwrap();
    server.wait_until(|| ready(&server) == 1);
    // A Python producer asks for the same and hears what became of it.
    let said = celery::run(
        &redis.url(),
        &format!("print(app.send_task('calculate_vector', [{id}], queue='vectorization').get(timeout=30))"),
    );
    assert!(said.contains("'status': 'success'") && said.contains("'vector_dimension': 768"), "{said}");
}

#[test]
fn a_mirror_that_is_ahead_of_its_library_is_put_right() {
    let town = Town::new();
    let (library, recommender) = (town.start("library"), town.start("recommender"));
    let _listener = town.start_with("listener", &["--reconcile-every", "1"], &[]);
    let _worker = town.start("worker");
    let id = library.post("/api/tracks/", &track("Right", "Jazz")).1["id"].as_i64().unwrap();
    recommender.wait_until(|| ready(&recommender) == 1);
    let right = recommender.get(&format!("/api/track-vectors/{id}")).1["embedding"].clone();
    // A file that waits to be heard, for as long as nobody goes on.
    assert_eq!(library.post("/api/analysis/pause", "").0, 200);
    let waits = json!({"title": "Waits", "artist": "Somebody", "path": "/music/waits.mp3"});
    assert_eq!(library.post("/api/tracks/", &waits.to_string()).0, 201);
    // As after the library was restored from a backup, or a client meddled.
    let wrong = json!({
        "track_id": id, "embedding": vec![1.0; 768], "space": space(&recommender), "version": 99,
        "metadata": {"title": "Wrong"},
    });
    assert_eq!(recommender.post("/api/track-vectors/", &wrong.to_string()).0, 201);
    recommender.wait_until(|| recommender.get(&format!("/api/track-vectors/{id}")).1["embedding"] == right);
}

#[test]
fn redis_alone_is_enough_for_library_and_recommender() {
    let town = Town::new();
    let only_redis = [("LIBRARY_API_URL", ""), ("RECOMMENDER_API_URL", "")];
    let library = town.start_with("library", &[], &only_redis);
    let recommender = town.start_with("recommender", &[], &only_redis);
    let (_listener, _worker) = (town.start("listener"), town.start("worker"));
    let id = library.post("/api/tracks/", &track("One", "Jazz")).1["id"].as_i64().unwrap();
    recommender.wait_until(|| ready(&recommender) == 1);
    assert!(library.get(&format!("/api/tracks/{id}")).1.get("state").is_none(), "it knows nobody who could tell");
    assert_eq!(recommender.get("/api/jobs").1["counts"], library.get("/api/jobs").1["counts"]);
}

#[test]
fn contradictions_refuse_to_start_and_say_why() {
    let data = Data::without_model();
    let refused = |role: &str, settings: &[(&str, &str)], said: &[&str]| {
        let output = data.command(&[role]).envs(settings.iter().copied()).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{role}: {told}");
        said.iter().for_each(|word| assert!(told.contains(word), "{role}: {told}"));
    };
    refused("serve", &[("LIBRARY_API_URL", "http://127.0.0.1:1")], &["LIBRARY_API_URL", "`library`"]);
    refused("library", &[], &["REDIS_URL"]);
    refused("listener", &[("REDIS_URL", "redis://127.0.0.1:1")], &["RECOMMENDER_API_URL"]);
    refused("worker", &[], &["REDIS_URL or CELERY_BROKER_URL", "DATABASE_URL"]);
    refused("worker", &[("REDIS_URL", "redis://127.0.0.1:1")], &["RECOMMENDER_API_URL"]);
    refused("serve", &[("CELERY_BROKER_URL", "amqp://user:secret@host")], &["CELERY_BROKER_URL", "redis://"]);
    refused("serve", &[("DATABASE_URL", "mysql://user:secret@host/x")], &["DATABASE_URL", "postgres://"]);
    refused("serve", &[("REDIS_URL", "nonsense")], &["REDIS_URL"]);
}

#[test]
fn a_machine_whose_clock_is_wrong_goes_by_the_databases() {
    let (data, url) = (Data::without_model(), PostgresServer::shared().new_database());
    let mut command = data.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("DATABASE_URL", &url).env("LD_PRELOAD", crate::faults::faketime()).env("FAKETIME", "+7200s");
    let server = Server::start(command);
    assert_eq!(server.post("/api/tracks/", &track("One", "Jazz")).0, 201);
    let late = "SELECT max(abs(run_at - extract(epoch FROM clock_timestamp()) * 1000)) < 60000 FROM jobs";
    assert_eq!(PostgresServer::shared().sql(&url, late), "t");
}
