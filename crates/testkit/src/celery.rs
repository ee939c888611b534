//! Real Celery from PyPI, from the folder that `scripts/celery.sh` makes.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Longest time that a Python process may take for what a test waits for.
const PATIENCE: Duration = Duration::from_secs(120);

/// What every snippet begins with: an application `app` whose broker and backend `REDIS` names.
const PREAMBLE: &str = r#"
import os, sys, json, time
from celery import Celery
app = Celery('python', broker=os.environ['REDIS'], backend=os.environ.get('RESULTS', os.environ['REDIS']))
app.conf.task_default_queue = 'vectorization'
app.conf.broker_connection_retry_on_startup = True
app.conf.task_acks_late = True
"#;

fn folder() -> PathBuf {
    let folder = std::env::var_os("SONIQUEBAY_CELERY")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.cache/celery"), PathBuf::from);
    assert!(
        folder.join("celery/__init__.py").is_file(),
        "there is no Celery in {}: run `scripts/celery.sh`, or name its folder in SONIQUEBAY_CELERY",
        folder.display()
    );
    folder
}

fn python(redis: &str) -> Command {
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", folder()).env("REDIS", redis).env("PYTHONUNBUFFERED", "1").env_remove("RESULTS");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a snippet of Python, which finds a Celery application in `app`; what it printed.
///
/// # Panics
/// Where it fails, with what it said.
pub fn run(redis: &str, snippet: &str) -> String {
    let output = spawn_and_wait(python(redis).args(["-c", &format!("{PREAMBLE}\n{snippet}")]));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "python failed:\n{snippet}\n{said}\n{told}");
    said
}

/// Runs the `celery` command; its answer, whatever its exit code.
///
/// # Panics
/// Where it does not end.
pub fn command(redis: &str, arguments: &[&str]) -> Output {
    spawn_and_wait(python(redis).args(["-m", "celery", "-b", redis, "--result-backend", redis]).args(arguments))
}

fn spawn_and_wait(command: &mut Command) -> Output {
    let mut child = command.spawn().unwrap();
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stdout.read_to_end(&mut bytes).unwrap();
        bytes
    });
    let other = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stderr.read_to_end(&mut bytes).unwrap();
        bytes
    });
    let end = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > end {
            let _ = child.kill();
            panic!("python did not end within {} s", PATIENCE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    Output { status, stdout: reader.join().unwrap(), stderr: other.join().unwrap() }
}

/// A Python process that runs until it is dropped, such as a worker.
pub struct Process {
    child: Child,
    lines: mpsc::Receiver<String>,
    said: Vec<String>,
}

impl Process {
    /// A worker with this code of tasks, in one process, on a queue.
    ///
    /// # Panics
    /// Where it does not begin to work.
    pub fn worker(redis: &str, tasks: &str, queue: &str) -> Self {
        let arguments = format!(
            "['worker', '-P', 'solo', '-Q', '{queue}', '-l', 'INFO', '-n', 'python-{queue}@here', '--without-gossip']"
        );
        let mut process = Self::snippet(redis, &format!("{tasks}\napp.worker_main({arguments})"));
        process.wait_for("ready.");
        process
    }

    /// A snippet that goes on.
    ///
    /// # Panics
    /// Where python3 is not there.
    pub fn snippet(redis: &str, snippet: &str) -> Self {
        Self::spawn(python(redis).args(["-c", &format!("{PREAMBLE}\n{snippet}")]))
    }

    /// The `celery` command, such as `celery events --dump`.
    ///
    /// # Panics
    /// Where python3 is not there.
    pub fn celery(redis: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = python(redis);
        command.args(["-m", "celery", "-b", redis, "--result-backend", redis]).args(arguments);
        Self::spawn(command.envs(environment.iter().copied()))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        follow(BufReader::new(child.stdout.take().unwrap()), sender.clone());
        follow(BufReader::<ChildStderr>::new(child.stderr.take().unwrap()), sender);
        Self { child, lines, said: Vec::new() }
    }

    /// Waits until it says a line with this in it; that line. Lines before it are not looked at again.
    ///
    /// # Panics
    /// Where it ends or takes too long, with what it said.
    pub fn wait_for(&mut self, text: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.said.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(_) => panic!("{text:?} was not said:\n{}", self.said.join("\n")),
            }
        }
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn follow(reader: impl BufRead + Send + 'static, sender: mpsc::Sender<String>) {
    std::thread::spawn(move || {
        for line in reader.lines().map_while(Result::ok) {
            // Read to the end, or the process would stop at a full pipe.
            let _ = sender.send(line);
        }
    });
}
