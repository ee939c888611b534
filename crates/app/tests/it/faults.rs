//! Every part is killed at random times, and nothing is lost.
//!
//! At a modest size here. The large run, with its report:
//! `SONIQUEBAY_FAULT_TRACKS=5000 SONIQUEBAY_FAULTS=60 cargo test --release -p soniquebay --test it faults:: -- --nocapture --test-threads 1`

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use soniquebay_testkit::ollama::{Facade, Settings};
use soniquebay_testkit::postgres::PostgresServer;
use soniquebay_testkit::redis::{RedisServer, free_port};

use crate::program::{Data, Server};

const MODEL: &str = "nomic-embed-text";

/// A lease that ends soon, so that a test need not wait for the jobs of the dead.
const LEASE_SECONDS: u64 = 3;

/// Time in which all must have come right, and what each track may add to it: a server that fails one call in three is slow.
/// Only a failure takes so long.
const PATIENCE: Duration = Duration::from_secs(300);
const PATIENCE_A_TRACK: Duration = Duration::from_millis(300);

/// Every so many-th track cannot be embedded.
const POISONED: usize = 97;

/// How large a run is.
struct Size {
    tracks: usize,
    faults: usize,
}

impl Size {
    fn asked() -> Self {
        let number = |name: &str, otherwise| std::env::var(name).map_or(otherwise, |text| text.parse().unwrap());
        Self { tracks: number("SONIQUEBAY_FAULT_TRACKS", 400), faults: number("SONIQUEBAY_FAULTS", 10) }
    }
}

/// SplitMix64: the same faults each time, as far as processes let it be.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }
}

/// A role that is killed and started again, on the same port and folder.
struct Role {
    name: &'static str,
    port: u16,
    folder: Data,
    settings: Vec<(&'static str, String)>,
    server: Option<Server>,
}

impl Role {
    fn new(name: &'static str, port: u16, settings: &[(&'static str, String)]) -> Self {
        let mut role = Self { name, port, folder: Data::without_model(), settings: settings.to_vec(), server: None };
        role.start(0);
        role
    }

    /// Starts it with a clock that is wrong by so many seconds.
    fn start(&mut self, clock_wrong_by: i64) {
        let listen = format!("127.0.0.1:{}", self.port);
        let mut command = self.folder.command(&[self.name, "--listen", &listen]);
        command.envs(self.settings.iter().map(|(name, value)| (*name, value.as_str())));
        if self.name == "listener" {
            command.args(["--reconcile-every", "2"]);
        }
        if clock_wrong_by != 0 {
            command.env("LD_PRELOAD", faketime()).env("FAKETIME", format!("{clock_wrong_by:+}s"));
        }
        self.server = Some(Server::start(command));
    }

    fn kill(&mut self, report: &mut Report) {
        report.count(self);
        if let Some(server) = self.server.take() {
            server.kill();
        }
    }

    fn get(&self, path: &str) -> Option<Value> {
        let (status, value) = self.server.as_ref()?.try_get(path)?;
        (status == 200).then_some(value)
    }
}

/// libfaketime, which makes a process believe another time.
pub(crate) fn faketime() -> String {
    let found = ["x86_64-linux-gnu", "aarch64-linux-gnu"].into_iter().find_map(|machine| {
        let path = format!("/usr/lib/{machine}/faketime/libfaketime.so.1");
        Path::new(&path).is_file().then_some(path)
    });
    found.expect("libfaketime is missing: ./check installs it")
}

fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

/// What happened, for the report.
#[derive(Default)]
struct Report {
    faults: BTreeMap<String, u32>,
    converged: Duration,
    tracks: usize,
    poisoned: usize,
    embedded: u64,
    /// What the roles counted until they died.
    counted: BTreeMap<&'static str, u64>,
}

/// Counters of the roles, as the report names them.
const COUNTED: [(&str, &str); 4] = [
    ("soniquebay_jobs_redelivered_total", "redelivered"),
    ("soniquebay_jobs_settled_late_total", "refused as late"),
    ("soniquebay_jobs_joined_total", "duplicates suppressed"),
    ("soniquebay_reconciler_repairs_total", "repaired by comparing"),
];

impl Report {
    fn note(&mut self, fault: &str) {
        *self.faults.entry(fault.to_owned()).or_default() += 1;
    }

    /// Adds what a role has counted, before it is gone.
    fn count(&mut self, role: &Role) {
        let page = role.get("/metrics").and_then(|page| page.as_str().map(str::to_owned)).unwrap_or_default();
        for (counter, name) in COUNTED {
            let lines = page.lines().filter_map(|line| line.strip_prefix(counter)?.trim().parse::<u64>().ok());
            *self.counted.entry(name).or_default() += lines.sum::<u64>();
        }
    }

    fn print(&mut self, deployment: &str, roles: &[Role]) {
        roles.iter().for_each(|role| self.count(role));
        let counted: Vec<String> = self.counted.iter().map(|(name, count)| format!("{name} {count}")).collect();
        let faults: Vec<String> = self.faults.iter().map(|(name, count)| format!("{name} {count}")).collect();
        println!(
            "{deployment}: {} tracks with one right vector each, {} poisoned ones given up, no job left; \
             {} texts embedded; faults: {}; jobs: {}; {:.1} s from the last fault until all was right",
            self.tracks,
            self.poisoned,
            self.embedded,
            faults.join(", "),
            counted.join(", "),
            self.converged.as_secs_f64()
        );
    }
}

/// Writes, changes and removes tracks while parts die, and asks in the end.
struct Run {
    size: Size,
    random: Random,
    report: Report,
    /// Written so far; the library knows which of them it has.
    written: usize,
}

impl Run {
    fn new(seed: u64) -> Self {
        Self { size: Size::asked(), random: Random(seed), report: Report::default(), written: 0 }
    }

    /// Some more writes at this library. A write that is not answered may have happened or not: it is not repeated.
    fn write_some(&mut self, library: &Role, share: usize) {
        let Some(server) = library.server.as_ref() else { return };
        let end = (self.written + self.size.tracks / share).min(self.size.tracks);
        while self.written < end {
            let next = (self.written + 25).min(end);
            let titled = |n: usize| if n % POISONED == 50 { format!("poison {n}") } else { format!("Song {n}") };
            let tracks: Vec<Value> = (self.written..next)
                .map(|n| json!({"title": titled(n), "artist": format!("Artist {}", n % 40), "year": 1960 + n % 60}))
                .collect();
            let _ = server.try_post("/api/tracks/batch", &json!(tracks).to_string());
            self.written = next;
        }
        for _ in 0..5 {
            let id = 1 + self.random.below(self.written.max(1));
            let change = json!({"genre": format!("Genre {}", self.random.below(9))});
            let _ = server.try_patch(&format!("/api/tracks/{id}"), &change.to_string());
        }
        let id = 1 + self.random.below(self.written.max(1));
        let _ = server.try_delete(&format!("/api/tracks/{id}"));
    }

    /// Waits until library and recommender agree, and no job is left but those that were given up.
    fn converge(&mut self, library: &Role, recommender: &Role, jobs: &Role, ollama: &Facade) {
        let began = Instant::now();
        let patience = PATIENCE + PATIENCE_A_TRACK * self.size.tracks as u32;
        loop {
            let state = standing(library, recommender, jobs);
            let why = match &state {
                Some(state) => state.wrong(),
                None => Some("somebody does not answer".to_owned()),
            };
            match (why, state) {
                (None, Some(state)) => {
                    self.report.tracks = state.tracks.len() - state.poisoned.len();
                    self.report.poisoned = state.poisoned.len();
                    break;
                }
                (why, _) => assert!(began.elapsed() < patience, "it does not come right: {why:?}"),
            }
            sleep(Duration::from_millis(100));
        }
        self.report.converged = began.elapsed();
        self.report.embedded = ollama.counters().texts;
        assert!(self.report.tracks > self.size.tracks / 2, "most writes were answered");
    }
}

/// What there is in the end.
struct Standing {
    /// Content hashes by track, as the library has them.
    tracks: BTreeMap<i64, String>,
    /// Those whose texts cannot be embedded.
    poisoned: BTreeSet<i64>,
    /// Content hashes by track, of the vectors.
    vectors: BTreeMap<i64, String>,
    given_up: BTreeSet<i64>,
    jobs_left: u64,
}

impl Standing {
    fn wrong(&self) -> Option<String> {
        let good = |id: &i64| !self.poisoned.contains(id);
        let differs: Vec<_> =
            self.tracks.iter().filter(|(id, hash)| good(id) && self.vectors.get(id) != Some(hash)).collect();
        let orphans: Vec<_> = self.vectors.keys().filter(|id| !self.tracks.contains_key(id)).collect();
        let all_right =
            differs.is_empty() && orphans.is_empty() && self.jobs_left == 0 && self.given_up == self.poisoned;
        (!all_right).then(|| {
            let some: Vec<_> = differs.iter().take(5).collect();
            format!(
                "{} tracks without their vector ({some:?}), orphans {orphans:?}, {} jobs left, given up {:?} where {:?} are \
                 poisoned",
                differs.len(),
                self.jobs_left,
                self.given_up,
                self.poisoned
            )
        })
    }
}

fn standing(library: &Role, recommender: &Role, jobs: &Role) -> Option<Standing> {
    let (mut tracks, mut poisoned, mut after) = (BTreeMap::new(), BTreeSet::new(), 0);
    loop {
        let page = library.get(&format!("/api/tracks/?fields=id,title,content_hash&after={after}&limit=1000"))?;
        for track in page["items"].as_array()? {
            let id = track["id"].as_i64()?;
            tracks.insert(id, track["content_hash"].as_str()?.to_owned());
            if track["title"].as_str()?.contains("poison") {
                poisoned.insert(id);
            }
        }
        let Some(next) = page["next"].as_i64() else { break };
        after = next;
    }
    let (mut vectors, mut after) = (BTreeMap::new(), 0);
    let spaces = recommender.get("/api/spaces")?;
    let space = spaces["spaces"].as_array()?.iter().find(|space| space["wanted"] == true)?["space"]
        .as_str()?
        .replace('+', "%2B");
    loop {
        let path = format!("/api/track-vectors/?fields=track_id,content_hash&space={space}&after={after}&limit=1000");
        let page = recommender.get(&path)?;
        for vector in page["items"].as_array()? {
            let there = vectors.insert(vector["track_id"].as_i64()?, vector["content_hash"].as_str()?.to_owned());
            assert!(there.is_none(), "one vector a track and space");
        }
        let Some(next) = page["next"].as_i64() else { break };
        after = next;
    }
    let listed = jobs.get("/api/jobs?state=discarded&limit=1000")?;
    let given_up = listed["items"].as_array()?.iter().filter_map(|job| job["track_id"].as_i64()).collect();
    let counts = &listed["counts"];
    let left = ["available", "scheduled", "running"].map(|state| counts[state].as_u64().unwrap_or(1));
    Some(Standing { tracks, poisoned, vectors, given_up, jobs_left: left.iter().sum() })
}

fn ollama() -> Facade {
    let ollama = Facade::start(Settings::new(MODEL, 768)).unwrap();
    ollama.poison("poison", 400, "invalid input");
    ollama.fail_each(3);
    ollama
}

fn common(ollama: &Facade) -> Vec<(&'static str, String)> {
    vec![
        ("EMBEDDING_MODEL", MODEL.to_owned()),
        ("OLLAMA_HOST", ollama.url()),
        ("WORKER_LEASE", LEASE_SECONDS.to_string()),
    ]
}

#[test]
fn services_may_die_at_any_time_and_redis_with_them() {
    let (ollama, mut run) = (ollama(), Run::new(1));
    let mut redis = RedisServer::start();
    let (library, recommender) = (free_port(), free_port());
    let mut settings = common(&ollama);
    settings.extend([
        ("REDIS_URL", redis.url()),
        ("LIBRARY_API_URL", format!("http://127.0.0.1:{library}")),
        ("RECOMMENDER_API_URL", format!("http://127.0.0.1:{recommender}")),
    ]);
    let role = |name, port| Role::new(name, port, &settings);
    let mut roles = [
        role("library", library),
        role("recommender", recommender),
        role("listener", free_port()),
        role("worker", free_port()),
        role("worker", free_port()),
    ];
    for _ in 0..run.size.faults {
        run.write_some(&roles[0], run.size.faults);
        // While batches are under way.
        sleep(Duration::from_millis(run.random.below(300) as u64));
        match run.random.below(9) {
            which @ 0..=5 => {
                let role = &mut roles[[0, 1, 2, 3, 4, 3][which]];
                role.kill(&mut run.report);
                sleep(Duration::from_millis(run.random.below(200) as u64));
                let wrong_by = [0, 3600, -3600][run.random.below(3)];
                role.start(wrong_by);
                run.report.note(role.name);
            }
            6 => {
                let port = redis.port();
                signal(redis.pid(), "-KILL");
                drop(redis);
                // Nothing of it was on disk: all messages are gone.
                redis = RedisServer::start_on(port);
                run.report.note("Redis");
            }
            7 => {
                let done =
                    Command::new("redis-cli").args(["-p", &redis.port().to_string(), "FLUSHALL"]).output().unwrap();
                assert!(done.status.success());
                run.report.note("FLUSHALL");
            }
            _ => {
                signal(redis.pid(), "-STOP");
                sleep(Duration::from_secs(LEASE_SECONDS + 1));
                signal(redis.pid(), "-CONT");
                run.report.note("Redis paused");
            }
        }
    }
    run.write_some(&roles[0], 1);
    run.converge(&roles[0], &roles[1], &roles[2], &ollama);
    run.report.print("services", &roles);
    // The vectors are those that a quiet system makes: some are made anew and compared.
    let sample: HashMap<i64, Value> = (1..=run.size.tracks as i64)
        .filter_map(|id| Some((id, roles[1].get(&format!("/api/track-vectors/{id}"))?["embedding"].clone())))
        .take(10)
        .collect();
    for id in sample.keys() {
        let _ = roles[1].server.as_ref().unwrap().try_delete(&format!("/api/track-vectors/{id}"));
    }
    let tracks = run.report.tracks;
    run.converge(&roles[0], &roles[1], &roles[2], &ollama);
    assert_eq!(run.report.tracks, tracks);
    for (id, embedding) in sample {
        assert_eq!(roles[1].get(&format!("/api/track-vectors/{id}")).unwrap()["embedding"], embedding, "track {id}");
    }
}

#[test]
fn machines_on_postgres_may_die_at_any_time_and_postgres_with_them() {
    let (ollama, mut run) = (ollama(), Run::new(2));
    let postgres = PostgresServer::start();
    let mut settings = common(&ollama);
    settings.push(("DATABASE_URL", postgres.new_database()));
    let role = |name| Role::new(name, free_port(), &settings);
    let mut roles = [role("library"), role("recommender"), role("worker"), role("worker")];
    for _ in 0..run.size.faults {
        run.write_some(&roles[0], run.size.faults);
        sleep(Duration::from_millis(run.random.below(300) as u64));
        match run.random.below(6) {
            which @ 0..=4 => {
                let role = &mut roles[[0, 1, 2, 3, 2][which]];
                role.kill(&mut run.report);
                sleep(Duration::from_millis(run.random.below(200) as u64));
                role.start(0);
                run.report.note(role.name);
            }
            _ => {
                postgres.kill();
                sleep(Duration::from_millis(run.random.below(300) as u64));
                postgres.restart();
                run.report.note("PostgreSQL");
            }
        }
    }
    run.write_some(&roles[0], 1);
    run.converge(&roles[0], &roles[1], &roles[0], &ollama);
    run.report.print("shared PostgreSQL", &roles);
}
