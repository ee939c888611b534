//! Tests on Arm processors, emulated: kernels must be right where nobody who changes them may look, and audio must be heard alike.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::repository::Repository;

const TARGET: &str = "aarch64-unknown-linux-gnu";
const LINKER: &str = "aarch64-linux-gnu-gcc";
const EMULATOR: &str = "qemu-aarch64";
/// The C library of that processor, where Debian's cross compiler puts it.
const LIBRARIES: &str = "/usr/aarch64-linux-gnu";

/// A Raspberry Pi 4, which has no dot products, and a processor that has all that is emulated.
const PROCESSORS: [&str; 2] = ["cortex-a72", "max"];

/// Everything below the model, one text through all of it, the index's kernels, every codec, and what is heard in a known
/// tone and in beats: an emulated processor is too slow for more.
const TESTS: [&str; 11] = [
    "kernels::tests",
    "local::kernels",
    "local::elementwise",
    "local::quantise",
    "local::attention",
    "local::matrix",
    "one_text_has_these_very_bits",
    "listen::",
    "what_is_decoded_has_the_promised_layout_and_length",
    "loudness_is_that_of_the_standard",
    "tempi_are_heard",
];

/// How long one processor's tests may take, building not counted.
const SECONDS: &str = "300";

/// Builds the tests and runs them on each processor; says what was missing where that cannot be done here.
pub(crate) fn run(repository: &Repository, model: &Path) -> anyhow::Result<Option<String>> {
    if cfg!(target_arch = "aarch64") {
        // The tests themselves ran on Arm.
        return Ok(None);
    }
    let mut missing: Vec<&str> = [LINKER, EMULATOR].into_iter().filter(|tool| !starts(tool)).collect();
    if !has_library(repository)? {
        missing.push("Rust library for it (`rustup target add aarch64-unknown-linux-gnu`)");
    }
    if !missing.is_empty() {
        return Ok(Some(format!("nothing was tested on Arm: there is no {}", missing.join(" and no "))));
    }
    let cargo = |emulator: &str, limits: &[&str]| {
        let mut cargo = repository.cargo();
        cargo.args(["test", "--release", "--target", TARGET, "--package", "soniquebay-embed"]);
        cargo.args(["--package", "soniquebay-search", "--package", "soniquebay-audio"]);
        cargo.args(["--lib", "--test", "local_reference", "--test", "codecs", "--test", "features"]).args(limits);
        cargo.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", LINKER);
        cargo.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", emulator);
        cargo.env("SONIQUEBAY_TEST_MODEL", model);
        cargo
    };
    succeed(&mut cargo(EMULATOR, &["--no-run"]))?;
    for processor in PROCESSORS {
        let emulator = format!("timeout {SECONDS} {EMULATOR} -L {LIBRARIES} -cpu {processor}");
        let limits = [&["--quiet", "--"], TESTS.as_slice()].concat();
        succeed(&mut cargo(&emulator, &limits)).with_context(|| format!("on {processor}"))?;
    }
    Ok(None)
}

fn has_library(repository: &Repository) -> anyhow::Result<bool> {
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "target-libdir", "--target", TARGET]).current_dir(repository.root());
    let answer = rustc.output().context("rustc cannot be started")?;
    Ok(answer.status.success() && Path::new(String::from_utf8_lossy(&answer.stdout).trim()).is_dir())
}

fn starts(tool: &str) -> bool {
    let mut command = Command::new(tool);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn succeed(cargo: &mut Command) -> anyhow::Result<()> {
    let status = cargo.status().with_context(|| format!("{} cannot be started", cargo.get_program().display()))?;
    if !status.success() {
        bail!("the tests for {TARGET} ended with {status}");
    }
    Ok(())
}
