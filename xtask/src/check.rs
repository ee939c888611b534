//! The one gate: every check, each with its time, up to the first that fails.

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, bail, ensure};

use crate::repository::Repository;
use crate::{arm, mean, tidy};

/// How long fetching the advisories may take.
const FETCH_SECONDS: &str = "120";

/// What is not built unless it is asked for: linted, and tried by a test of its own, as it needs another build.
const OPTIONAL: &str = "soniquebay/otlp";

/// What was left out although nothing is wrong with what we have.
type Gap = Option<String>;

/// Runs every check.
pub(crate) fn run(repository: &Repository, model: &Path) -> anyhow::Result<()> {
    ensure!(
        model.is_absolute() && model.join("model.safetensors").is_file(),
        "SONIQUEBAY_TEST_MODEL must be the full path of the model's folder; `./check` fetches the model and sets it"
    );
    let cargo = |arguments: &[&str]| {
        let mut cargo = repository.cargo();
        cargo.args(arguments).env("SONIQUEBAY_TEST_MODEL", model).env("PATH", path_with_tools(repository));
        cargo
    };
    let mut gate = Gate { started: Instant::now(), gaps: Vec::new() };
    gate.command("format", &mut cargo(&["fmt", "--check"]))?;
    // Like the build and the tests in release: what dependencies make for them is made once.
    let lint = ["clippy", "--release", "--workspace", "--all-targets", "--features", OPTIONAL, "--", "-D", "warnings"];
    gate.command("lint", &mut cargo(&lint))?;
    let mut document = cargo(&["doc", "--release", "--workspace", "--no-deps"]);
    gate.command("document", document.env("RUSTDOCFLAGS", "-D warnings"))?;
    gate.command(
        "dependencies",
        &mut cargo(&["deny", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"]),
    )?;
    gate.step("advisories", || {
        if let Some(gap) = fetch_advisories(&cargo(&["deny", "fetch", "db"]))? {
            return Ok(Some(format!("advisories not checked: {gap}")));
        }
        succeed(&mut cargo(&["deny", "--offline", "check", "--hide-inclusion-graph", "advisories"]))
    })?;
    gate.step("tidy", || tidy::run(repository).map(|()| None))?;
    gate.step("mean", || mean::check(repository, model).map(|()| None))?;
    gate.command(
        "optional features",
        &mut cargo(&["test", "--release", "--workspace", "--features", OPTIONAL, "--test", "otlp"]),
    )?;
    // What the tests start is what is given to users; the step above left another one.
    gate.command("build", &mut cargo(&["build", "--release", "--workspace"]))?;
    gate.command("examples in documents", &mut cargo(&["test", "--release", "--workspace", "--doc"]))?;
    gate.step("arm", || arm::run(repository, model))?;
    // Last, so that what one reads at the end is how many tests passed.
    gate.command("test", &mut cargo(&["test", "--release", "--workspace", "--lib", "--bins", "--tests"]))?;
    gate.close();
    Ok(())
}

struct Gate {
    started: Instant,
    gaps: Vec<String>,
}

impl Gate {
    fn command(&mut self, name: &str, command: &mut Command) -> anyhow::Result<()> {
        self.step(name, || succeed(command))
    }

    fn step(&mut self, name: &str, work: impl FnOnce() -> anyhow::Result<Gap>) -> anyhow::Result<()> {
        println!("==> {name}");
        let started = Instant::now();
        let gap = work().with_context(|| format!("{name} failed after {}", seconds(started)))?;
        println!("    {name}: {}", seconds(started));
        if let Some(gap) = gap {
            println!("!!! {gap}");
            self.gaps.push(gap);
        }
        Ok(())
    }

    fn close(self) {
        println!("==> everything passed in {}", seconds(self.started));
        // Told again, where it is read.
        for gap in self.gaps {
            println!("!!! {gap}");
        }
    }
}

fn seconds(since: Instant) -> String {
    format!("{:.1} s", since.elapsed().as_secs_f64())
}

fn succeed(command: &mut Command) -> anyhow::Result<Gap> {
    let status = command.status().with_context(|| format!("{} cannot be started", told(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", told(command));
    }
    Ok(None)
}

/// The command as one would type it.
fn told(command: &Command) -> String {
    let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
    format!("`cargo {}`", arguments.join(" "))
}

/// Fetches the database of advisories, or says why that cannot be done here. In bounded time: where a network swallows
/// everything, nothing ends by itself.
fn fetch_advisories(fetch: &Command) -> anyhow::Result<Gap> {
    let mut bounded = Command::new("timeout");
    bounded.arg(FETCH_SECONDS).arg(fetch.get_program()).args(fetch.get_args());
    // Among them the PATH to cargo-deny.
    bounded.envs(fetch.get_envs().filter_map(|(name, value)| Some((name, value?))));
    // Nobody is there to be asked for a password.
    bounded.env("GIT_TERMINAL_PROMPT", "0").stdin(Stdio::null());
    let answer = match bounded.output() {
        Ok(answer) => answer,
        Err(error) => return Ok(Some(format!("`timeout` cannot be started: {error}"))),
    };
    if answer.status.success() {
        return Ok(None);
    }
    let said = String::from_utf8_lossy(&answer.stderr);
    let reason = said.lines().rev().map(str::trim).find(|line| !line.is_empty());
    Ok(Some(format!("their database cannot be fetched: {}", reason.unwrap_or("it takes too long"))))
}

/// `./check` puts cargo-deny where nothing of the user's changes.
fn path_with_tools(repository: &Repository) -> OsString {
    let mut path = repository.root().join("target/tools/bin").into_os_string();
    if let Some(rest) = env::var_os("PATH") {
        path.push(":");
        path.push(rest);
    }
    path
}
