use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use soniquebay_embed::model_files::ModelFiles;

/// Where a library lives: one database, one model, one lock.
pub(crate) struct DataFolder {
    path: PathBuf,
}

impl DataFolder {
    /// The folder asked for, or the platform's usual place; made where it is missing.
    pub(crate) fn open(asked: Option<&Path>) -> anyhow::Result<Self> {
        let path = match asked {
            Some(path) => path.to_owned(),
            None => Self::usual()?,
        };
        std::fs::create_dir_all(&path).with_context(|| format!("the data folder {} cannot be made", path.display()))?;
        Ok(Self { path })
    }

    /// The platform's usual place.
    pub(crate) fn usual() -> anyhow::Result<PathBuf> {
        match directories::ProjectDirs::from("", "", "soniquebay") {
            Some(folders) => Ok(folders.data_dir().to_owned()),
            None => bail!("no home folder is known: say where the data lies with --data DIR"),
        }
    }

    /// A folder inside this one for the demo: the owner's library is not mixed with ours, and the model is fetched once.
    pub(crate) fn demo(&self) -> anyhow::Result<Self> {
        let demo = Self::open(Some(&self.path.join("demo")))?;
        let models = demo.path.join("models");
        if !models.exists() {
            std::os::unix::fs::symlink("../models", &models)
                .with_context(|| format!("{} cannot be made", models.display()))?;
        }
        Ok(demo)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path.join("soniquebay.db")
    }

    pub(crate) fn model(&self) -> ModelFiles {
        ModelFiles::all_minilm_l6_v2(&self.path)
    }

    /// Takes the one place of a process that runs this library's jobs. `None` where another holds it.
    pub(crate) fn try_lock(&self, role: &str) -> anyhow::Result<Result<RoleLock, Holder>> {
        let path = self.path.join("soniquebay.lock");
        let context = || format!("the lock file {} cannot be used", path.display());
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).with_context(context)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // The holder writes right after locking: an empty file only means that it has not got there yet.
                let _ = file.take(200).read_to_string(&mut text);
                let holder = if text.trim().is_empty() { "another process".to_owned() } else { text.trim().to_owned() };
                return Ok(Err(Holder(holder)));
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(context),
        }
        file.set_len(0).with_context(context)?;
        file.seek(SeekFrom::Start(0)).with_context(context)?;
        writeln!(file, "soniquebay {role}, process {}", std::process::id()).with_context(context)?;
        Ok(Ok(RoleLock { _file: file }))
    }
}

/// Held by the operating system for as long as this lives, however the process ends.
pub(crate) struct RoleLock {
    _file: File,
}

/// Who holds the lock: its role and process number.
pub(crate) struct Holder(pub(crate) String);
