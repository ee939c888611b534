//! Where a track's file is: on this machine, or at the library.

use std::fs::File;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use soniquebay_domain::{MakeError, Subject, audio_type};
use soniquebay_http::{Bounds, Http, StatusCode};

/// Bytes that are fetched together.
const PART: u64 = 4 << 20;

/// How long one part may take.
const WITHIN: Duration = Duration::from_secs(60);

/// Tries of one part.
const TRIES: u32 = 3;

/// The longest file that is fetched.
const MOST: u64 = 16 << 30;

/// Opens tracks' files.
pub struct Files {
    library: Option<Http>,
    /// Where a fetched file lies, without a name, until it was heard.
    folder: PathBuf,
}

impl Files {
    /// Files of this machine; those that are not here are fetched from `library`, where there is one, into `folder`.
    pub fn new(library: Option<Http>, folder: PathBuf) -> Self {
        Self { library, folder }
    }

    /// The subject's file, and its extension.
    ///
    /// # Errors
    /// Where it is not there, is no audio file, or the library does not give it.
    pub(crate) async fn open(&self, subject: &Subject) -> Result<(File, Option<String>), MakeError> {
        let path = subject.fields.identity.path.clone();
        let path = PathBuf::from(path.ok_or_else(|| MakeError::Refused("the track has no file".into()))?);
        let extension = path.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
        let opened = tokio::task::spawn_blocking(move || open_here(&path)).await;
        let opened = opened.map_err(|error| MakeError::Failed(error.to_string()))?;
        let file = match (opened, &self.library) {
            (Err(MakeError::Failed(_)), Some(library)) => self.fetch(library, subject).await?,
            (opened, _) => opened?,
        };
        Ok((file, extension))
    }

    async fn fetch(&self, library: &Http, subject: &Subject) -> Result<File, MakeError> {
        let failed = |error: std::io::Error| MakeError::Failed(format!("a fetched file cannot be kept: {error}"));
        let mut file = tempfile::tempfile_in(&self.folder).map_err(failed)?;
        let path = format!("/api/tracks/{}/audio", subject.track_id);
        let mut at = 0;
        loop {
            let (part, length) = self.part(library, &path, at).await?;
            if length > MOST {
                return Err(MakeError::Refused(format!("the file has {length} bytes: more than {MOST}")));
            }
            at += part.len() as u64;
            let is_end = at >= length || part.is_empty();
            file = tokio::task::spawn_blocking(move || file.write_all(&part).map(|()| file))
                .await
                .map_err(|error| MakeError::Failed(error.to_string()))?
                .map_err(failed)?;
            if is_end {
                break;
            }
        }
        file.rewind().map_err(failed)?;
        Ok(file)
    }

    /// The part of the file from `at` on, and how long the whole is.
    async fn part(&self, library: &Http, path: &str, at: u64) -> Result<(soniquebay_http::Bytes, u64), MakeError> {
        let bounds = Bounds { within: WITHIN, bytes: PART as usize };
        let mut told = String::new();
        for tried in 0..TRIES {
            if tried > 0 {
                tokio::time::sleep(Duration::from_millis(500 << tried)).await;
            }
            let answer = match library.get_part(path, at, PART, bounds).await {
                Ok(answer) => answer,
                Err(error) => {
                    told = error.told;
                    continue;
                }
            };
            match (answer.answer.status, answer.length) {
                (StatusCode::PARTIAL_CONTENT, Some(length)) => return Ok((answer.answer.body, length)),
                // A file of no bytes has no parts.
                (StatusCode::RANGE_NOT_SATISFIABLE, _) => return Ok((answer.answer.body.slice(..0), 0)),
                (StatusCode::NOT_FOUND, _) => {
                    return Err(MakeError::Failed("its file is neither on this machine nor at the library".into()));
                }
                (status, _) if status.is_server_error() => {
                    told = format!("the library answered {status} for the file");
                }
                (status, _) => {
                    return Err(MakeError::Failed(format!("the library gives no part of the file: {status}")));
                }
            }
        }
        Err(MakeError::Away(told))
    }
}

/// Whoever writes tracks must not have other files read: it is an audio file under its own name and under that of what a link
/// leads to.
fn open_here(path: &Path) -> Result<File, MakeError> {
    let refused = || MakeError::Refused(format!("{} is no audio file", path.display()));
    if !path.is_absolute() || audio_type(path).is_none() {
        return Err(refused());
    }
    let gone = |error: std::io::Error| MakeError::Failed(format!("{} cannot be read: {error}", path.display()));
    let real = path.canonicalize().map_err(gone)?;
    // A pipe would be waited for, a device read without end.
    if audio_type(&real).is_none() || !real.metadata().map_err(gone)?.is_file() {
        return Err(refused());
    }
    File::open(&real).map_err(gone)
}

#[cfg(test)]
mod tests {
    use soniquebay_domain::MakeError;

    use super::open_here;

    #[test]
    fn only_audio_files_are_opened_under_whatever_name() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("song.flac"), "x").unwrap();
        std::fs::write(at("secret.txt"), "x").unwrap();
        std::fs::create_dir(at("folder.mp3")).unwrap();
        std::os::unix::fs::symlink(at("secret.txt"), at("link.mp3")).unwrap();
        std::os::unix::fs::symlink(at("song.flac"), at("other.flac")).unwrap();
        assert!(open_here(&at("song.flac")).is_ok() && open_here(&at("other.flac")).is_ok());
        for wrong in ["secret.txt", "link.mp3", "folder.mp3"] {
            assert!(matches!(open_here(&at(wrong)), Err(MakeError::Refused(_))), "{wrong}");
        }
        assert!(matches!(open_here("song.flac".as_ref()), Err(MakeError::Refused(_))), "relative to what?");
        assert!(matches!(open_here(&at("gone.flac")), Err(MakeError::Failed(_))), "it may come back");
    }
}
