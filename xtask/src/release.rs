//! What is given to users: archives for each processor, a bill of materials, sums; each program checked before it is packed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};
use clap::ValueEnum;

use crate::repository::Repository;

/// The oldest C library that a program of ours may need: Debian 11's, and Ubuntu's of 2020.
const GLIBC: (u32, u32) = (2, 31);

/// The largest program, in bytes.
const LARGEST: u64 = 40_000_000;

/// Files beside the program in an archive.
const PAPERS: [&str; 4] = ["README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT"];

/// A processor that programs are built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Processor {
    /// 64-bit x86.
    #[value(name = "x86_64")]
    X86,
    /// 64-bit Arm, a Raspberry Pi 4 among others.
    #[value(name = "aarch64")]
    Arm,
}

impl Processor {
    fn name(self) -> &'static str {
        match self {
            Self::X86 => "x86_64",
            Self::Arm => "aarch64",
        }
    }

    fn target(self) -> String {
        format!("{}-unknown-linux-gnu", self.name())
    }

    /// What runs its programs here.
    fn runner(self) -> Vec<&'static str> {
        match self {
            Self::Arm if cfg!(not(target_arch = "aarch64")) => {
                vec!["qemu-aarch64", "-cpu", "cortex-a72", "-L", "/usr/aarch64-linux-gnu"]
            }
            Self::Arm | Self::X86 => Vec::new(),
        }
    }
}

/// Builds, checks and packs for each of these processors, or for all.
pub(crate) fn run(repository: &Repository, processors: &[Processor]) -> anyhow::Result<()> {
    let processors = if processors.is_empty() { Processor::value_variants() } else { processors };
    // Not target/dist: that is where cargo keeps what the profile of this name builds for this machine.
    let folder = repository.root().join("target/archives");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let version = version(repository)?;
    let mut made = vec![bill_of_materials(repository, &folder, &version)?];
    for processor in processors {
        println!("==> {}: building", processor.name());
        let program = build(repository, *processor)?;
        check(&program, *processor)?;
        made.push(pack(repository, &folder, &program, &version, *processor)?);
    }
    made.sort();
    let mut sums = Command::new("sha256sum");
    let sums = output(sums.args(&made).current_dir(&folder))?;
    fs::write(folder.join("SHA256SUMS"), &sums).context("the sums cannot be written")?;
    print!("==> {}\n{sums}", folder.display());
    Ok(())
}

fn version(repository: &Repository) -> anyhow::Result<String> {
    let answer = output(repository.cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&answer)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let ours = packages.iter().find(|package| package["name"] == "soniquebay");
    let version = ours.and_then(|package| package["version"].as_str());
    Ok(version.context("there is no package soniquebay")?.to_owned())
}

/// All that is compiled in, with versions and licences, in CycloneDX.
fn bill_of_materials(repository: &Repository, folder: &Path, version: &str) -> anyhow::Result<String> {
    println!("==> bill of materials");
    let name = format!("soniquebay-{version}.cdx");
    let mut cargo = repository.cargo();
    cargo.args(["cyclonedx", "--quiet", "--format", "json", "--target", "all"]);
    cargo.args(["--manifest-path", "crates/app/Cargo.toml", "--override-filename", &name]);
    output(&mut cargo)?;
    // It writes one beside each Cargo.toml of the workspace.
    let name = format!("{name}.json");
    let mut found = false;
    for file in repository.files()?.iter().filter(|file| Path::new(file).file_name().is_some_and(|f| *f == *name)) {
        if file.starts_with("crates/app/") {
            fs::copy(repository.root().join(file), folder.join(&name)).context("the bill cannot be copied")?;
            found = true;
        }
        fs::remove_file(repository.root().join(file)).with_context(|| format!("{file} cannot be removed"))?;
    }
    ensure!(found, "cargo cyclonedx made no {name} for crates/app");
    Ok(name)
}

fn build(repository: &Repository, processor: Processor) -> anyhow::Result<PathBuf> {
    let (target, (major, minor)) = (processor.target(), GLIBC);
    let mut cargo = repository.cargo();
    cargo.args(["zigbuild", "--locked", "--profile", "dist", "--package", "soniquebay"]);
    cargo.args(["--target", &format!("{target}.{major}.{minor}")]);
    let status = cargo.status().context("cargo zigbuild cannot be started: scripts/release.sh fetches it")?;
    ensure!(status.success(), "cargo zigbuild ended with {status}");
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository.root().join("target"), PathBuf::from);
    Ok(folder.join(target).join("dist/soniquebay"))
}

/// Small enough, content with an old C library, and it runs: a catalogue goes in and comes out.
fn check(program: &Path, processor: Processor) -> anyhow::Result<()> {
    let size = fs::metadata(program).with_context(|| format!("there is no {}", program.display()))?.len();
    ensure!(size <= LARGEST, "{} has {size} bytes: {LARGEST} are the most", program.display());
    let versions = output(Command::new("readelf").args(["--wide", "--version-info"]).arg(program))?;
    let needed = newest_glibc(&versions).context("readelf names no version of the C library")?;
    ensure!(needed <= GLIBC, "{} needs glibc {}.{}", program.display(), needed.0, needed.1);
    let data = tempfile::tempdir().context("no folder for a library")?;
    let tracks = data.path().join("tracks.jsonl");
    fs::write(&tracks, "{\"title\":\"Jóga\",\"artist\":\"Björk\",\"year\":1997}\n").context("no file of tracks")?;
    let run = |arguments: &[&str]| {
        let mut words = processor.runner();
        let path = program.to_string_lossy();
        words.push(&path);
        output(Command::new(words[0]).args(&words[1..]).arg("--data").arg(data.path()).args(arguments))
    };
    run(&["import", "--no-wait", "--json", &tracks.to_string_lossy()])?;
    let jobs = run(&["jobs", "stats", "--json"])?;
    ensure!(jobs.contains("\"available\": 1") || jobs.contains("\"available\":1"), "a track made no job: {jobs}");
    println!("    {}: {:.1} MB, needs glibc {}.{}, runs", processor.name(), size as f64 / 1e6, needed.0, needed.1);
    Ok(())
}

/// The newest version of the C library that a listing of needed versions names.
fn newest_glibc(listing: &str) -> Option<(u32, u32)> {
    let names = listing.split_whitespace().filter_map(|word| word.strip_prefix("GLIBC_"));
    names
        .filter_map(|version| {
            let mut numbers = version.split('.').map(str::parse::<u32>);
            Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
        })
        .max()
}

/// The archive's name. The same sources give the same bytes: no owner, no time of packing.
fn pack(
    repository: &Repository,
    folder: &Path,
    program: &Path,
    version: &str,
    processor: Processor,
) -> anyhow::Result<String> {
    let name = format!("soniquebay-{version}-{}-linux", processor.name());
    let inside = folder.join(&name);
    fs::create_dir(&inside).with_context(|| format!("{} cannot be made", inside.display()))?;
    fs::copy(program, inside.join("soniquebay")).context("the program cannot be copied")?;
    for paper in PAPERS {
        fs::copy(repository.root().join(paper), inside.join(paper)).with_context(|| format!("{paper} is missing"))?;
    }
    let archive = format!("{name}.tar.gz");
    let mut tar = Command::new("tar");
    tar.args(["--create", "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0"]);
    tar.args(["--use-compress-program=gzip -9 --no-name", "--file", &archive, &name]).current_dir(folder);
    output(&mut tar)?;
    fs::remove_dir_all(&inside).with_context(|| format!("{} cannot be removed", inside.display()))?;
    Ok(archive)
}

/// What a command wrote, if it succeeded.
fn output(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let answer = command.output().with_context(|| format!("{name} cannot be started"))?;
    if !answer.status.success() {
        bail!("{name} ended with {}: {}", answer.status, String::from_utf8_lossy(&answer.stderr).trim());
    }
    String::from_utf8(answer.stdout).with_context(|| format!("{name} wrote no text"))
}

#[cfg(test)]
mod tests {
    use super::newest_glibc;

    #[test]
    fn the_newest_version_counts_by_number_and_not_by_letters() {
        let listing =
            "0x0010: Name: GLIBC_2.9  Flags: none\n0x0020: Name: GLIBC_2.17\n Name: GCC_4.2.0 Name: GLIBC_2.2.5";
        assert_eq!(newest_glibc(listing), Some((2, 17)));
        assert_eq!(newest_glibc("Name: GCC_3.0"), None);
    }
}
