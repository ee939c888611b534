//! Starting the program under test and talking to it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_soniquebay");

/// Time in which anything must have happened; only a failure takes so long.
const PATIENCE: Duration = Duration::from_secs(120);

/// A data folder of its own, with the model unless said otherwise.
pub(crate) struct Data {
    folder: tempfile::TempDir,
}

impl Data {
    pub(crate) fn with_model() -> Self {
        let data = Self::without_model();
        data.install_model();
        data
    }

    pub(crate) fn without_model() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn install_model(&self) {
        let model = std::env::var_os("SONIQUEBAY_TEST_MODEL").map(PathBuf::from).filter(|path| path.is_dir());
        let model = model.expect("SONIQUEBAY_TEST_MODEL must name the folder of all-MiniLM-L6-v2: ./check sets it");
        let models = self.path().join("models");
        std::fs::create_dir_all(&models).unwrap();
        std::os::unix::fs::symlink(model.canonicalize().unwrap(), models.join("all-MiniLM-L6-v2")).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A folder beside the data, for music and files to import.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        let path = self.path().join("beside").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.arg("--data").arg(self.path()).args(arguments).env_remove("RUST_LOG");
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.command(arguments).stdin(Stdio::null()).output().unwrap())
    }

    /// Runs a command with this on its standard input.
    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &str) -> Ran {
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Ran::from(child.wait_with_output().unwrap())
    }

    pub(crate) fn serve(&self) -> Server {
        Server::start(self.command(&["serve", "--listen", "127.0.0.1:0"]))
    }
}

/// A command that has ended.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ran {
    /// The same, with the exit code checked.
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "\nstdout: {}\nstderr: {}", self.out, self.err);
        self
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

/// A running `serve`; killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
    agent: ureq::Agent,
    said: Arc<Mutex<String>>,
}

impl Server {
    /// Starts it and waits until it says where it listens.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let (mut address, mut said) = (None, String::new());
        while address.is_none() {
            let mut line = String::new();
            if log.read_line(&mut line).unwrap() == 0 {
                let _ = child.kill();
                panic!("the server ended before it listened: {said}");
            }
            address = line
                .split("listening on http://")
                .nth(1)
                .map(|rest| rest.split_whitespace().next().unwrap().to_owned());
            said.push_str(&line);
        }
        // Read on, or a full pipe would block the server.
        let said = Arc::new(Mutex::new(said));
        let heard = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                let mut heard = heard.lock().unwrap();
                heard.push_str(&line);
                heard.push('\n');
            }
        });
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build();
        Self { child, address: address.unwrap(), agent: config.new_agent(), said }
    }

    /// What it wrote to standard error until now.
    pub(crate) fn log(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// A request with these headers and nothing else.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, Value) {
        let request = ureq::http::Request::builder().method(method).uri(self.url(path));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        read(self.agent.run(request.body(()).unwrap()).unwrap())
    }

    /// The same with a body.
    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
        let request = ureq::http::Request::builder().method(method).uri(self.url(path));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        read(self.agent.run(request.body(body.to_owned()).unwrap()).unwrap())
    }

    /// The most memory that it has held at once so far, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Sends what a reader gives, of a length that nobody knows beforehand.
    pub(crate) fn stream(&self, path: &str, kind: &str, mut body: impl std::io::Read) -> (u16, Value) {
        let request = self.agent.post(self.url(path)).header("content-type", kind);
        read(request.send(ureq::SendBody::from_reader(&mut body)).unwrap())
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        read(self.agent.get(self.url(path)).call().unwrap())
    }

    /// The answer of a server that may be dying.
    pub(crate) fn try_get(&self, path: &str) -> Option<(u16, Value)> {
        self.agent.get(self.url(path)).call().ok().map(read)
    }

    pub(crate) fn try_patch(&self, path: &str, body: &str) -> Option<(u16, Value)> {
        let request = self.agent.patch(self.url(path)).header("content-type", "application/json");
        request.send(body.as_bytes()).ok().map(read)
    }

    pub(crate) fn try_delete(&self, path: &str) -> Option<u16> {
        self.agent.delete(self.url(path)).call().ok().map(|response| response.status().as_u16())
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> (u16, Value) {
        self.try_post(path, body).unwrap()
    }

    pub(crate) fn try_post(&self, path: &str, body: &str) -> Result<(u16, Value), ureq::Error> {
        let request = self.agent.post(self.url(path)).header("content-type", "application/json");
        request.send(body.as_bytes()).map(read)
    }

    pub(crate) fn patch(&self, path: &str, body: &str) -> (u16, Value) {
        let request = self.agent.patch(self.url(path)).header("content-type", "application/json");
        read(request.send(body.as_bytes()).unwrap())
    }

    pub(crate) fn delete(&self, path: &str) -> u16 {
        self.agent.delete(self.url(path)).call().unwrap().status().as_u16()
    }

    /// Follows the event stream until vectorization says that nothing is left.
    pub(crate) fn wait_until_vectorized(&self) {
        let response = self.agent.get(self.url("/api/events")).call().unwrap();
        let events = BufReader::new(response.into_body().into_reader());
        for line in events.lines() {
            let line = line.unwrap();
            let Some(data) = line.strip_prefix("data:") else { continue };
            let event: Value = serde_json::from_str(data.trim()).unwrap();
            if event["step"] == "vectorization" && event["current"] == event["total"] {
                return;
            }
        }
        panic!("the event stream ended");
    }

    /// Asks again and again, for what no event tells.
    pub(crate) fn wait_until(&self, mut holds: impl FnMut() -> bool) {
        let began = Instant::now();
        while !holds() {
            assert!(began.elapsed() < PATIENCE, "it did not come to pass: {}", self.get("/api/stats").1);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGKILL: nothing is said, nothing is finished.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; the exit code.
    pub(crate) fn terminate(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(mut response: ureq::http::Response<ureq::Body>) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.body_mut().read_to_string().unwrap_or_default();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}
