//! The folder that all tasks work on.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

/// Folders that hold what was made from the sources, or nothing of ours.
const MADE: [&str; 4] = [".git", ".cache", "target", "__pycache__"];

/// How variables begin that `cargo run` sets for the crate it runs.
const TOLD_BY_CARGO: [&str; 2] = ["CARGO_MANIFEST_", "CARGO_PKG_"];

/// The repository that this crate lies in.
pub(crate) struct Repository {
    root: PathBuf,
}

impl Repository {
    /// Found through cargo, which runs this.
    pub(crate) fn find() -> anyhow::Result<Self> {
        let xtask = env::var_os("CARGO_MANIFEST_DIR").context("this is run as `cargo xtask`")?;
        let root = Path::new(&xtask).parent().context("the folder of xtask has no folder above it")?;
        Ok(Self { root: root.to_owned() })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn read(&self, path: &str) -> anyhow::Result<String> {
        fs::read_to_string(self.root.join(path)).with_context(|| format!("{path} cannot be read"))
    }

    /// This cargo, in the root of the repository, with the environment of a cargo that is typed: what `cargo run` told of
    /// this crate would be news to ring's build script, and half of the dependencies would be compiled once more.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
        command.current_dir(&self.root);
        for (name, _) in env::vars_os() {
            if TOLD_BY_CARGO.iter().any(|prefix| name.as_encoded_bytes().starts_with(prefix.as_bytes())) {
                command.env_remove(name);
            }
        }
        command
    }

    /// Paths of all source files, relative to the root and sorted: what git tracks or would, and where git does not answer
    /// (a copy without `.git`) every file outside the folders that are [`MADE`].
    pub(crate) fn files(&self) -> anyhow::Result<Vec<String>> {
        let mut files = match self.files_by_git() {
            Some(files) => files,
            None => {
                let mut files = Vec::new();
                self.walk(Path::new(""), &mut files)?;
                files
            }
        };
        files.sort();
        Ok(files)
    }

    fn files_by_git(&self) -> Option<Vec<String>> {
        let mut git = Command::new("git");
        git.current_dir(&self.root).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        let answer = git.output().ok().filter(|answer| answer.status.success())?;
        let names = String::from_utf8(answer.stdout).ok()?;
        // A file that was deleted is listed until that is committed.
        let there = |name: &&str| self.root.join(name).is_file();
        Some(names.split_terminator('\0').filter(there).map(str::to_owned).collect())
    }

    fn walk(&self, folder: &Path, files: &mut Vec<String>) -> anyhow::Result<()> {
        for entry in fs::read_dir(self.root.join(folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            let kind = entry.file_type()?;
            if kind.is_file() {
                files.push(path.to_string_lossy().into_owned());
            } else if kind.is_dir() && !MADE.iter().any(|made| entry.file_name() == *made) {
                self.walk(&path, files)?;
            }
        }
        Ok(())
    }
}
