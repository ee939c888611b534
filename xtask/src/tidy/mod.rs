//! What no compiler checks. Each check gives its complaints; all are printed before the task fails.

mod documents;
mod edges;
mod length;
mod words;

use anyhow::bail;

use crate::repository::Repository;

/// What is wrong, where, and what to do about it: one line.
type Complaints = Vec<String>;

/// Runs all checks.
pub(crate) fn run(repository: &Repository) -> anyhow::Result<()> {
    let files = repository.files()?;
    let mut complaints = edges::check(repository)?;
    complaints.extend(length::check(repository, &files)?);
    complaints.extend(documents::check(repository, &files)?);
    complaints.extend(words::check(repository, &files)?);
    for complaint in &complaints {
        println!("{complaint}");
    }
    match complaints.len() {
        0 => Ok(()),
        1 => bail!("tidy found a fault"),
        faults => bail!("tidy found {faults} faults"),
    }
}
