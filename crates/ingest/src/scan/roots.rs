use std::path::{Path, PathBuf};

use super::ScanError;

/// The folders in full, without those that lie below another.
pub(super) fn resolve(given: &[PathBuf]) -> Result<Vec<String>, ScanError> {
    if given.is_empty() {
        return Err(ScanError::NoRoot);
    }
    let mut roots = given.iter().map(|path| resolve_one(path)).collect::<Result<Vec<PathBuf>, _>>()?;
    roots.sort();
    // Sorted component by component, a folder comes before everything below it.
    roots.dedup_by(|later, earlier| later.starts_with(earlier));
    roots.iter().map(|root| text(root)).collect()
}

fn resolve_one(path: &Path) -> Result<PathBuf, ScanError> {
    let wrong = |reason: String| ScanError::Root { path: path.display().to_string(), reason };
    let full = path.canonicalize().map_err(|error| wrong(error.to_string()))?;
    if !full.is_dir() {
        return Err(wrong("it is no folder".into()));
    }
    Ok(full)
}

fn text(root: &Path) -> Result<String, ScanError> {
    let wrong = || ScanError::Root { path: root.display().to_string(), reason: "its name is no UTF-8".into() };
    root.to_str().map(str::to_owned).ok_or_else(wrong)
}
