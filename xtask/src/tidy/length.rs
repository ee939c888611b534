//! Files that nobody reads to the end.

use super::Complaints;
use crate::repository::Repository;

/// Lines of a source file. Look twice long before.
const LINES: usize = 500;

pub(super) fn check(repository: &Repository, files: &[String]) -> anyhow::Result<Complaints> {
    let mut complaints = Complaints::new();
    for file in files.iter().filter(|file| file.ends_with(".rs")) {
        let lines = repository.read(file)?.lines().count();
        if lines > LINES {
            complaints.push(format!("{file}: {lines} lines are more than {LINES}; cut it along its duties"));
        }
    }
    Ok(complaints)
}
