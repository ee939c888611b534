use std::fs::Metadata;
use std::io;
use std::path::Path;
use std::time::UNIX_EPOCH;

use soniquebay_domain::{audio_type, bounds};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use walkdir::{DirEntry, WalkDir};

use super::Failure;
use crate::StopFlag;

/// Folders that NAS systems and file systems keep for themselves.
const SKIPPED: [&str; 6] =
    ["@eaDir", "@Recycle", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found"];

/// Files sent to the comparison at once.
const CHUNK: usize = 256;

/// Whether a file of this name is taken for audio.
pub fn is_audio_file(path: &Path) -> bool {
    audio_type(path).is_some()
}

/// An audio file on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FoundFile {
    pub(super) path: String,
    /// Bytes.
    pub(super) size: i64,
    /// Nanoseconds since the epoch.
    pub(super) mtime: i64,
}

/// What was found below a folder, or a part of it.
#[derive(Debug, Default)]
pub(super) struct Walk {
    pub(super) files: Vec<FoundFile>,
    pub(super) failed: Vec<Failure>,
    pub(super) warnings: Vec<String>,
    /// Paths of which nobody can say what lies at or below them now.
    pub(super) unreadable: Vec<String>,
    /// Whether the walk came to its end.
    pub(super) is_complete: bool,
}

impl Walk {
    pub(super) fn join(&mut self, other: Self) {
        self.files.extend(other.files);
        self.failed.extend(other.failed);
        self.warnings.extend(other.warnings);
        self.unreadable.extend(other.unreadable);
        self.is_complete |= other.is_complete;
    }

    fn fail(&mut self, path: &Path, reason: impl Into<String>) {
        self.failed.push(Failure { path: path.display().to_string(), reason: reason.into() });
        self.unreadable.extend(path.to_str().map(str::to_owned));
    }
}

/// Walks `root` on a blocking thread; the parts come as they are found.
pub(super) fn spawn(root: &str, stop: &StopFlag) -> Receiver<Walk> {
    let (sender, receiver) = channel(4);
    let (root, stop) = (root.to_owned(), stop.clone());
    tokio::task::spawn_blocking(move || walk(&root, &stop, &sender));
    receiver
}

fn walk(root: &str, stop: &StopFlag, sender: &Sender<Walk>) {
    let mut part = Walk::default();
    let entries = WalkDir::new(root).follow_links(true).sort_by_file_name().into_iter();
    for entry in entries.filter_entry(|entry| entry.depth() == 0 || !is_skipped(entry)) {
        if stop.is_stopped() {
            break;
        }
        match entry {
            Ok(entry) => look_at(&entry, &mut part),
            Err(error) => explain(&error, root, &mut part),
        }
        if part.files.len() >= CHUNK && sender.blocking_send(std::mem::take(&mut part)).is_err() {
            // Nobody waits for the answer any more.
            return;
        }
    }
    part.is_complete = !stop.is_stopped();
    // A failed send means that nobody waits; there is nobody to tell, either.
    let _ = sender.blocking_send(part);
}

fn is_skipped(entry: &DirEntry) -> bool {
    let name = entry.file_name().to_string_lossy();
    name.starts_with('.') || SKIPPED.iter().any(|skipped| skipped.eq_ignore_ascii_case(&name))
}

fn look_at(entry: &DirEntry, part: &mut Walk) {
    let path = entry.path();
    if entry.depth() == 0 || !is_audio_file(path) {
        return;
    }
    if entry.file_type().is_dir() {
        // Its files are found like any others; it must not shield a track whose file it replaced.
        let reason = "is a folder with the name of an audio file";
        part.failed.push(Failure { path: path.display().to_string(), reason: reason.into() });
        return;
    }
    if !entry.file_type().is_file() {
        return part.fail(path, "is no regular file");
    }
    let Some(text) = path.to_str() else {
        return part.fail(path, "the name is no UTF-8: rename the file, then scan again");
    };
    if text.chars().count() > bounds::PATH_CHARS {
        return part.fail(path, format!("the path has more than {} characters", bounds::PATH_CHARS));
    }
    match entry.metadata() {
        Ok(metadata) => {
            let size = i64::try_from(metadata.len()).unwrap_or(i64::MAX);
            part.files.push(FoundFile { path: text.to_owned(), size, mtime: mtime(&metadata) });
        }
        Err(error) => explain(&error, text, part),
    }
}

/// Nanoseconds since the epoch, negative before it; 0 where the file system keeps no times.
fn mtime(metadata: &Metadata) -> i64 {
    let Ok(modified) = metadata.modified() else { return 0 };
    match modified.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanoseconds| -nanoseconds),
    }
}

fn explain(error: &walkdir::Error, fallback: &str, part: &mut Walk) {
    let path = error.path().unwrap_or(Path::new(fallback));
    if let Some(ancestor) = error.loop_ancestor() {
        let warning = format!("{} links back to {} and was not followed.", path.display(), ancestor.display());
        return part.warnings.push(warning);
    }
    let is_missing = error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::NotFound);
    match path.symlink_metadata() {
        // Deleted between being listed and being looked at: as good as never seen.
        Err(now) if is_missing && now.kind() == io::ErrorKind::NotFound => {}
        Ok(metadata) if is_missing && metadata.is_symlink() => part.fail(path, "the link leads nowhere"),
        _ => {
            let reason = error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
            part.fail(path, format!("cannot be read: {reason}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::is_audio_file;

    #[test]
    fn audio_is_known_by_its_extension() {
        for name in ["a.mp3", "a.FLAC", "a.b.Opus", "x.aifc"] {
            assert!(is_audio_file(Path::new(name)), "{name}");
        }
        for name in ["a", "mp3", "a.mp3.txt", "cover.jpg", ".mp3"] {
            assert!(!is_audio_file(Path::new(name)), "{name}");
        }
    }
}
