//! The containers, without an engine for them: what their files say is read, held against the tree, and done. The very commands
//! run with the very environment, names of machines and ports being those of this one.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use soniquebay_testkit::ollama::{Facade, Settings};
use soniquebay_testkit::redis::free_port;
use yaml_rust2::{Yaml, YamlLoader};

use crate::program::{BINARY, Data};

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// Where the image has the program.
const INSIDE: &str = "/usr/local/bin/soniquebay";

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn read(file: &str) -> String {
    std::fs::read_to_string(project().join(file)).unwrap()
}

/// As an engine reads it: with what `<<` brings in, and variables replaced.
fn compose(file: &str, variables: &HashMap<&str, &str>) -> Value {
    let text = read(file);
    json_of(&YamlLoader::load_from_str(&text).unwrap()[0], variables)
}

fn json_of(yaml: &Yaml, variables: &HashMap<&str, &str>) -> Value {
    match yaml {
        Yaml::String(text) => json!(substituted(text, variables)),
        Yaml::Integer(number) => json!(number),
        Yaml::Real(number) => json!(number),
        Yaml::Boolean(is_so) => json!(is_so),
        Yaml::Array(items) => items.iter().map(|item| json_of(item, variables)).collect(),
        Yaml::Hash(entries) => {
            let mut object = Map::new();
            for (key, value) in entries {
                let value = json_of(value, variables);
                match key.as_str().unwrap() {
                    "<<" => value.as_object().unwrap().clone().into_iter().for_each(|(key, value)| {
                        object.entry(key).or_insert(value);
                    }),
                    key => drop(object.insert(key.to_owned(), value)),
                }
            }
            Value::Object(object)
        }
        _ => Value::Null,
    }
}

/// `${NAME:-otherwise}` and `${NAME:?what to do}`, as Docker Compose reads them.
fn substituted(text: &str, variables: &HashMap<&str, &str>) -> String {
    let Some((before, rest)) = text.split_once("${") else { return text.to_owned() };
    let (variable, after) = rest.split_once('}').unwrap();
    let value = match variable.split_once(":-") {
        Some((name, otherwise)) => variables.get(name).copied().unwrap_or(otherwise),
        None => {
            let (name, _) =
                variable.split_once(":?").unwrap_or_else(|| panic!("{variable}: say what to do without it"));
            variables.get(name).unwrap_or_else(|| panic!("{name} is demanded"))
        }
    };
    format!("{before}{value}{}", substituted(after, variables))
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

/// "256m" in megabytes.
fn megabytes(text: &str) -> u64 {
    let (number, unit) = text.split_at(text.len() - 1);
    number.parse::<u64>().unwrap() * if unit == "g" { 1024 } else { 1 }
}

/// Processes that end with the test.
#[derive(Default)]
struct Running(Vec<Child>);

impl Drop for Running {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Containers as processes of this machine.
struct Engine {
    services: Map<String, Value>,
    /// What stands in the file, and what it is here: names of machines and ports.
    here: Vec<(String, String)>,
    data: HashMap<String, Data>,
    running: Running,
}

impl Engine {
    fn new(file: &str, here: &[(&str, String)]) -> Self {
        Self::with(file, here, &[])
    }

    /// With further variables in the environment of whoever starts them.
    fn with(file: &str, here: &[(&str, String)], set: &[(&'static str, &'static str)]) -> Self {
        let mut variables = HashMap::from([("SONIQUEBAY_API_KEY", KEY), ("MUSIC", "/music")]);
        variables.extend(set.iter().copied());
        let services = compose(file, &variables)["services"].as_object().unwrap().clone();
        let here = here.iter().map(|(there, here)| ((*there).to_owned(), here.clone())).collect();
        Self { services, here, data: HashMap::new(), running: Running::default() }
    }

    fn here(&self, text: &str) -> String {
        self.here.iter().fold(text.to_owned(), |text, (there, here)| text.replace(there, here))
    }

    /// Starts a service after those that it waits for, and waits until it is as the next one wants it.
    fn start(&mut self, name: &str, up: &mut HashSet<String>) {
        if up.contains(name) {
            return;
        }
        let service = self.services[name].clone();
        for (other, how) in service["depends_on"].as_object().into_iter().flatten() {
            self.start(other, up);
            assert!(
                ["service_healthy", "service_completed_successfully"].contains(&how["condition"].as_str().unwrap())
            );
        }
        let mut command = self.command(name, &texts(&service["command"]));
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        if service["restart"] == "no" {
            assert!(child.wait().unwrap().success(), "{name}");
        } else {
            self.running.0.push(child);
            let health = texts(&service["healthcheck"]["test"]);
            assert_eq!(health[0], "CMD", "{name}: the image has no shell");
            let began = Instant::now();
            loop {
                let mut check = self.command(name, &health[1..]);
                if check.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success() {
                    break;
                }
                assert!(began.elapsed() < Duration::from_secs(60), "{name} is not healthy");
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        up.insert(name.to_owned());
    }

    /// A command of a service, with nothing in its environment but what the files say.
    fn command(&mut self, name: &str, words: &[String]) -> Command {
        let data = self.data.entry(name.to_owned()).or_insert_with(Data::without_model).path().to_owned();
        let port = |engine: &Self| engine.here("redis:6379").rsplit_once(':').unwrap().1.to_owned();
        let is_ours = self.services[name]["image"] == "soniquebay";
        let mut command = match words[0].as_str() {
            "redis-server" => {
                let mut command = Command::new(&words[0]);
                command.args(&words[1..]).args(["--port", &port(self), "--bind", "127.0.0.1"]).arg("--dir").arg(data);
                return command;
            }
            "redis-cli" => {
                let mut command = Command::new(&words[0]);
                command.args(["-p", &port(self)]).args(&words[1..]);
                return command;
            }
            INSIDE => Command::new(BINARY),
            _ => {
                assert!(is_ours, "{name}: {words:?}");
                let mut command = Command::new(BINARY);
                command.arg(&words[0]);
                command
            }
        };
        command.args(&words[1..]).env_clear();
        for (name, value) in dockerfile_environment() {
            command.env(name, self.here(&value));
        }
        for (name, value) in self.services[name]["environment"].as_object().into_iter().flatten() {
            command.env(name, self.here(value.as_str().unwrap()));
        }
        command.env("SONIQUEBAY_DATA", data);
        command
    }
}

fn dockerfile() -> Vec<(String, String)> {
    let text = read("Dockerfile").replace("\\\n", " ");
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| line.split_once(' ').map(|(word, rest)| (word.to_owned(), rest.trim().to_owned())).unwrap())
        .collect()
}

/// What the image itself sets.
fn dockerfile_environment() -> Vec<(String, String)> {
    let image = dockerfile();
    let last = image.iter().rposition(|(word, _)| word == "FROM").unwrap();
    let set = image[last..].iter().filter(|(word, _)| word == "ENV").flat_map(|(_, rest)| rest.split_whitespace());
    set.map(|pair| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap()).collect()
}

struct Client {
    agent: ureq::Agent,
}

impl Client {
    fn new() -> Self {
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        Self { agent: config.timeout_global(Some(Duration::from_secs(30))).build().new_agent() }
    }

    fn get(&self, url: &str) -> (u16, Value) {
        let mut answer = self.agent.get(url).header("authorization", format!("Bearer {KEY}")).call().unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        (answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    fn create(&self, library: &str, title: &str) -> i64 {
        let body = json!({"title": title, "artist": "Somebody", "genre": "Jazz"}).to_string();
        let request = self.agent.post(format!("{library}/api/tracks/")).header("content-type", "application/json");
        let mut answer = request.header("authorization", format!("Bearer {KEY}")).send(body.as_bytes()).unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        assert_eq!(answer.status(), 201, "{text}");
        serde_json::from_str::<Value>(&text).unwrap()["id"].as_i64().unwrap()
    }

    /// Posts two tracks to the one and asks the other what is similar.
    fn two_tracks_find_each_other(&self, library: &str, recommender: &str) {
        let (one, other) = (self.create(library, "One"), self.create(library, "Other"));
        let began = Instant::now();
        loop {
            let (status, answer) = self.get(&format!("{recommender}/api/tracks/{one}/similar"));
            if status == 200 && answer["items"][0]["track"]["id"] == other {
                return;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "{status}: {answer}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn port_of(url: &str) -> u16 {
    url.trim_end_matches('/').rsplit_once(':').unwrap().1.parse().unwrap()
}

/// Connections that a process holds open to these ports of this machine, as the kernel lists them.
fn connections_to(process: u32, ports: &[u16]) -> usize {
    let open = std::fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    let sockets: HashSet<String> = open
        .filter_map(|file| std::fs::read_link(file.path()).ok()?.to_str()?.strip_prefix("socket:[").map(str::to_owned))
        .map(|socket| socket.trim_end_matches(']').to_owned())
        .collect();
    let table = std::fs::read_to_string(format!("/proc/{process}/net/tcp")).unwrap();
    let is_one = |line: &&str| {
        const ESTABLISHED: &str = "01";
        let columns: Vec<&str> = line.split_whitespace().collect();
        let port = u16::from_str_radix(columns[2].rsplit_once(':').unwrap().1, 16).unwrap();
        columns[3] == ESTABLISHED && ports.contains(&port) && sockets.contains(columns[9])
    };
    table.lines().skip(1).filter(is_one).count()
}

#[test]
fn the_services_of_compose_start_in_order_and_answer() {
    let (redis, library, recommender) = (free_port(), free_port(), free_port());
    let (listener, worker) = (free_port(), free_port());
    let ollama = Facade::start(Settings::new("nomic-embed-text", 768)).unwrap();
    let mut engine = Engine::new(
        "compose.yaml",
        &[
            ("redis:6379", format!("127.0.0.1:{redis}")),
            ("http://library:8001", format!("http://127.0.0.1:{library}")),
            ("http://recommender:8002", format!("http://127.0.0.1:{recommender}")),
            ("http://ollama:11434", ollama.url()),
            ("0.0.0.0:8001", format!("0.0.0.0:{library}")),
            ("0.0.0.0:8002", format!("0.0.0.0:{recommender}")),
            ("0.0.0.0:8003", format!("0.0.0.0:{listener}")),
            ("0.0.0.0:8004", format!("0.0.0.0:{worker}")),
        ],
    );
    // The façade stands for Ollama's container, and is up already.
    let mut up = HashSet::from(["ollama".to_owned()]);
    for name in ["worker", "vectorization_listener", "recommender_service", "library_service"] {
        engine.start(name, &mut up);
    }
    let (library, recommender) = (format!("http://127.0.0.1:{library}"), format!("http://127.0.0.1:{recommender}"));
    let client = Client::new();
    client.two_tracks_find_each_other(&library, &recommender);
    // The written design's limits: twenty HTTP connections that a process opens, while there is something to do,
    let ports = [&ollama.url(), &library, &recommender].map(|url| port_of(url));
    let mut most = 0;
    for n in 0..150 {
        client.create(&library, &format!("Track {n}"));
        most = engine.running.0.iter().map(|child| connections_to(child.id(), &ports)).max().unwrap().max(most);
    }
    assert!((1..=20).contains(&most), "{most} connections");
    // and ten to Redis.
    let port = redis.to_string();
    let listed = Command::new("redis-cli").args(["-p", &port, "client", "list"]).output().unwrap();
    let connections = String::from_utf8_lossy(&listed.stdout).lines().count();
    assert!((4..=41).contains(&connections), "four processes, and the one that asks: {connections}");
}

#[test]
fn the_services_of_compose_embed_by_themselves_where_the_model_is_in_their_volume() {
    let (redis, library, recommender) = (free_port(), free_port(), free_port());
    let (listener, worker) = (free_port(), free_port());
    let mut engine = Engine::with(
        "compose.yaml",
        &[
            ("redis:6379", format!("127.0.0.1:{redis}")),
            ("http://library:8001", format!("http://127.0.0.1:{library}")),
            ("http://recommender:8002", format!("http://127.0.0.1:{recommender}")),
            // Nobody is there.
            ("http://ollama:11434", format!("http://127.0.0.1:{}", free_port())),
            ("0.0.0.0:8001", format!("0.0.0.0:{library}")),
            ("0.0.0.0:8002", format!("0.0.0.0:{recommender}")),
            ("0.0.0.0:8003", format!("0.0.0.0:{listener}")),
            ("0.0.0.0:8004", format!("0.0.0.0:{worker}")),
        ],
        &[("EMBEDDING_MODEL", "all-MiniLM-L6-v2")],
    );
    // Whoever has the volume finds there what `model` put into it.
    let holds = |volume: &Value| volume == "models:/data/models";
    for (name, service) in &engine.services {
        if service["volumes"].as_array().is_some_and(|volumes| volumes.iter().any(holds)) {
            engine.data.insert(name.clone(), Data::with_model());
        }
    }
    let mut up = HashSet::from(["ollama".to_owned()]);
    for name in ["model", "worker", "vectorization_listener", "recommender_service", "library_service"] {
        engine.start(name, &mut up);
    }
    let (library, recommender) = (format!("http://127.0.0.1:{library}"), format!("http://127.0.0.1:{recommender}"));
    let client = Client::new();
    client.two_tracks_find_each_other(&library, &recommender);
    let found = client.get(&format!("{recommender}/api/search?q=mellow%20jazz"));
    assert_eq!((found.0, found.1["items"].as_array().map(Vec::len)), (200, Some(2)), "{}", found.1);
}

#[test]
fn the_one_process_of_compose_single_starts_with_its_model_and_answers() {
    let (library, recommender) = (free_port(), free_port());
    let mut engine = Engine::new(
        "compose.single.yaml",
        &[("0.0.0.0:8001", format!("0.0.0.0:{library}")), ("0.0.0.0:8002", format!("0.0.0.0:{recommender}"))],
    );
    // Both have the volume `library`; the model is there as if it had been fetched before.
    let data = Data::with_model();
    let path = data.path().to_owned();
    let twin = Data::without_model();
    std::fs::create_dir_all(twin.path().join("models")).unwrap();
    let model = std::fs::read_link(path.join("models/all-MiniLM-L6-v2")).unwrap();
    std::os::unix::fs::symlink(model, twin.path().join("models/all-MiniLM-L6-v2")).unwrap();
    engine.data.extend([("model".to_owned(), twin), ("soniquebay".to_owned(), data)]);
    engine.start("soniquebay", &mut HashSet::new());
    let (library, recommender) = (format!("http://127.0.0.1:{library}"), format!("http://127.0.0.1:{recommender}"));
    Client::new().two_tracks_find_each_other(&library, &recommender);
}

#[test]
fn compose_files_keep_what_they_promise() {
    let variables = HashMap::from([("SONIQUEBAY_API_KEY", KEY), ("MUSIC", "/music")]);
    for (file, most) in [("compose.yaml", 3584), ("compose.single.yaml", 1024)] {
        let all = compose(file, &variables);
        let text = read(file);
        let mut memory = 0;
        for (name, service) in all["services"].as_object().unwrap() {
            assert!(service["restart"].is_string(), "{file}: {name} says when it is started again");
            let ends = service["restart"] == "no";
            assert!(ends || service["healthcheck"]["test"].is_array(), "{file}: {name} has a health check");
            let limits = &service["deploy"]["resources"]["limits"];
            assert!(ends || limits["cpus"].is_string(), "{file}: {name} has limits");
            if !ends && service["profiles"].is_null() {
                memory += megabytes(limits["memory"].as_str().unwrap());
            }
            for volume in service["volumes"].as_array().into_iter().flatten() {
                let from = volume.as_str().unwrap().split(':').next().unwrap();
                assert!(from == "/music" || all["volumes"].get(from).is_some(), "{file}: {name}: volume {from}");
            }
            // A model that is to be read in the process lies in a volume, which one service fills and the others share.
            let mounts: Vec<&str> =
                service["volumes"].as_array().into_iter().flatten().flat_map(Value::as_str).collect();
            let has_models = match file {
                "compose.yaml" => mounts.contains(&"models:/data/models"),
                _ => mounts.contains(&"library:/data"),
            };
            let needs = ["model", "worker", "recommender_service", "soniquebay"].contains(&name.as_str());
            assert_eq!(has_models, needs, "{file}: {name}");
            if service["image"] == "soniquebay" && !ends {
                assert_eq!(service["read_only"], true, "{file}: {name}");
            }
        }
        assert!(memory <= most, "{file}: {memory} MB");
        // No secret stands in a file, and none has a default.
        let secrets = text.lines().filter(|line| line.contains("_KEY:") || line.contains("_PASSWORD:"));
        for line in secrets {
            assert!(line.contains(":?") || line.contains(":-}"), "{file}: {line}");
        }
    }
    let all = compose("compose.yaml", &variables);
    let services = &all["services"];
    for name in
        ["library_service", "recommender_service", "vectorization_listener", "worker", "redis", "ollama", "postgres"]
    {
        assert!(services[name].is_object(), "{name} has the name it has in the Python system");
    }
    assert_eq!(services["library_service"]["networks"]["default"]["aliases"], json!(["library"]));
    assert_eq!(services["recommender_service"]["networks"]["default"]["aliases"], json!(["recommender"]));
    let redis = texts(&services["redis"]["command"]).join(" ");
    assert!(redis.contains("--maxmemory-policy noeviction") && redis.contains("--appendonly yes"), "{redis}");
}

#[test]
fn the_image_is_made_of_what_is_there() {
    let image = dockerfile();
    let of =
        |word: &str| image.iter().filter(|(known, _)| known == word).map(|(_, rest)| rest.as_str()).collect::<Vec<_>>();
    for copy in of("COPY").into_iter().filter(|copy| !copy.starts_with("--from")) {
        let mut sources: Vec<&str> = copy.split_whitespace().collect();
        sources.pop();
        for source in sources {
            assert!(project().join(source).exists(), "COPY {source}");
        }
    }
    // What the program includes at build time lies in these.
    for folder in ["crates", "data"] {
        assert!(of("COPY").iter().any(|copy| copy.split_whitespace().next() == Some(folder)), "{folder}");
    }
    let channel = read("rust-toolchain.toml").split('"').nth(1).unwrap().to_owned();
    let (minor, _) = channel.rsplit_once('.').unwrap();
    assert!(of("FROM")[0].contains(&format!("rust:{minor}-bookworm")), "{channel}: {:?}", of("FROM"));
    assert!(of("FROM").last().unwrap().ends_with(":nonroot") && of("USER") == ["65532:65532"]);
    assert!(of("COPY").contains(&format!("--from=build /soniquebay {INSIDE}").as_str()));
    assert_eq!(of("ENTRYPOINT"), [format!("[\"{INSIDE}\"]")]);
    assert_eq!(of("EXPOSE"), ["8001 8002 8003 8004"]);
    let health = of("HEALTHCHECK")[0].split_once("CMD ").unwrap().1;
    let health: Vec<String> = serde_json::from_str(health).unwrap();
    assert_eq!(health[0], INSIDE);
    let mut check = Command::new(BINARY);
    // Nobody listens there: it is said, and no success.
    check.args(&health[1..]).env("SONIQUEBAY_LISTEN", format!("0.0.0.0:{}", free_port()));
    let ran = crate::program::Ran::from(check.output().unwrap()).expect(1);
    assert!(ran.err.contains("127.0.0.1:"), "{}", ran.err);
    for (name, value) in dockerfile_environment() {
        assert!(["SONIQUEBAY_DATA", "SONIQUEBAY_LISTEN"].contains(&name.as_str()), "{name}={value}");
    }
}

#[test]
fn the_unit_of_systemd_is_sound_and_shut_in() {
    let unit = read("contrib/soniquebay.service");
    assert_eq!(unit.matches(INSIDE).count(), 2, "model pull, and serve");
    if Command::new("systemd-analyze").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("!!! THE UNIT OF SYSTEMD IS NOT VERIFIED: there is no systemd-analyze here");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("soniquebay.service");
    std::fs::write(&path, unit.replace(INSIDE, BINARY)).unwrap();
    let analyze = |arguments: &[&str]| {
        let output = Command::new("systemd-analyze").args(arguments).arg(&path).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        said
    };
    assert_eq!(analyze(&["verify", "--man=no", "--generators=no"]).trim(), "");
    // From 0, shut in wholly, to 10: tenths.
    analyze(&["security", "--offline=true", "--threshold=20"]);
}
