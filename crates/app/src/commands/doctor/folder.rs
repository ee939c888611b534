//! The data folder, the disk below it, and the file of settings.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::finding::{Finding, Question};
use crate::cli::Cli;
use crate::config::Settings;
use crate::data_folder::DataFolder;

/// Less room fails soon; a little more is worth a word.
const LITTLE_ROOM: [u64; 2] = [100 << 20, 1 << 30];

pub(super) async fn look(cli: &Cli, settings: &Settings) -> Vec<Finding> {
    let (data, file) = (cli.data.clone(), settings.file.clone());
    let looked = tokio::task::spawn_blocking(move || {
        let folder = match data.map_or_else(DataFolder::usual, Ok) {
            Ok(folder) => folder,
            Err(error) => return vec![Finding::fail("data folder", error.to_string(), "--data DIR")],
        };
        let mut findings = vec![data_folder(&folder)];
        findings.extend(disk(&folder));
        findings.extend(file.as_deref().map(settings_file));
        findings
    });
    looked.await.unwrap_or_default()
}

fn data_folder(folder: &Path) -> Finding {
    let (check, shown) = ("data folder", folder.display());
    let questions = [Question::NothingIsVectorized, Question::CalculationFails];
    let Ok(metadata) = folder.metadata() else {
        return Finding::fail(check, format!("{shown} is not there, or cannot be seen"), format!("mkdir -p {shown}"))
            .answering(&questions);
    };
    if !metadata.is_dir() {
        return Finding::fail(check, format!("{shown} is no folder"), "choose another one with --data")
            .answering(&questions);
    }
    let (owner, us) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if let Err(error) = tempfile::NamedTempFile::new_in(folder) {
        let fix = match error.kind() {
            std::io::ErrorKind::PermissionDenied => format!("chown -R {us} {shown}"),
            std::io::ErrorKind::StorageFull => "free some space".to_owned(),
            _ => "mount it writable, or choose another one with --data".to_owned(),
        };
        let found = format!("{shown} cannot be written by user {us}; it belongs to user {owner}: {}", error.kind());
        return Finding::fail(check, found, fix).answering(&questions);
    }
    match owner == us || us == 0 {
        true => Finding::ok(check, format!("{shown} can be written")),
        false => Finding::ok(check, format!("{shown} can be written, and belongs to user {owner}")),
    }
}

fn disk(folder: &Path) -> Option<Finding> {
    // Where the folder is still to be made, what lies above it tells.
    let there = folder.ancestors().find(|folder| folder.exists())?;
    let disk = rustix::fs::statvfs(there).ok()?;
    let (free, all) = (disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize);
    let found = format!("{} of {} MB are free", free >> 20, all >> 20);
    let fix = format!("free some space: du -xh {} | sort -h | tail", there.display());
    Some(match free {
        free if free < LITTLE_ROOM[0] => {
            Finding::fail("disk", found, fix).answering(&[Question::NothingIsVectorized, Question::CalculationFails])
        }
        free if free < LITTLE_ROOM[1] => Finding::warn("disk", found, fix),
        _ => Finding::ok("disk", found),
    })
}

/// That it means something was found when it was read.
fn settings_file(path: &Path) -> Finding {
    let shown = path.display();
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let holds_secrets = ["_key", "://"]
        .iter()
        .any(|sign| text.lines().map(str::trim).any(|line| !line.starts_with('#') && line.contains(sign)));
    match path.metadata() {
        Ok(metadata) if holds_secrets && metadata.mode() & 0o004 != 0 => Finding::warn(
            "settings",
            format!("{shown} names addresses or keys, and every user of this machine can read it"),
            format!("chmod o= {shown}"),
        ),
        _ => Finding::ok("settings", format!("{shown}")),
    }
}
