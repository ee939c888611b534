use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::{Receiver, channel};

use super::compare::ToRead;
use super::tags::{Tags, read_tags};
use crate::StopFlag;

/// A file with what its tags say, or why they say nothing.
pub(super) struct Read {
    pub(super) file: ToRead,
    pub(super) tags: Result<Tags, String>,
}

/// Reads tags on `readers` blocking threads. The channel is short: a slow catalogue slows the reading.
pub(super) fn spawn(files: Vec<ToRead>, readers: usize, stop: &StopFlag) -> Receiver<Read> {
    let readers = readers.clamp(1, 16).min(files.len());
    let (sender, receiver) = channel(64);
    let files = Arc::new(Mutex::new(files.into_iter()));
    for _ in 0..readers {
        let (files, sender, stop) = (Arc::clone(&files), sender.clone(), stop.clone());
        tokio::task::spawn_blocking(move || {
            while !stop.is_stopped() {
                // Held only for the step to the next file.
                let next = files.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some(file) = next else { return };
                let tags = read_tags(Path::new(&file.file.path));
                if sender.blocking_send(Read { file, tags }).is_err() {
                    return;
                }
            }
        });
    }
    receiver
}
