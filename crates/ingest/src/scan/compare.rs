use std::collections::HashMap;

use soniquebay_domain::{FileState, TrackId};

use super::walk::FoundFile;

/// A file whose tags are to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ToRead {
    pub(super) file: FoundFile,
    /// The track it held when it was last read.
    pub(super) known: Option<TrackId>,
}

/// How what lies on disk differs from what the catalogue knows.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub(super) unchanged: u64,
    pub(super) to_read: Vec<ToRead>,
    /// Known files that are not there, where the walk could see that.
    pub(super) vanished: Vec<FileState>,
}

impl Comparison {
    pub(super) fn join(&mut self, other: Self) {
        self.unchanged += other.unchanged;
        self.to_read.extend(other.to_read);
        self.vanished.extend(other.vanished);
    }
}

/// `unreadable` are paths of which nobody can say what lies at or below them.
pub(super) fn compare(found: Vec<FoundFile>, known: Vec<FileState>, unreadable: &[String]) -> Comparison {
    let mut known: HashMap<String, FileState> = known.into_iter().map(|file| (file.path.clone(), file)).collect();
    let mut comparison = Comparison::default();
    for file in found {
        match known.remove(&file.path) {
            Some(state) if state.size == Some(file.size) && state.mtime == Some(file.mtime) => {
                comparison.unchanged += 1;
            }
            state => comparison.to_read.push(ToRead { file, known: state.map(|state| state.id) }),
        }
    }
    comparison.vanished = known.into_values().filter(|file| !is_hidden_by(unreadable, &file.path)).collect();
    comparison.vanished.sort_by(|a, b| a.path.cmp(&b.path));
    comparison
}

fn is_hidden_by(unreadable: &[String], path: &str) -> bool {
    unreadable.iter().any(|folder| {
        path.strip_prefix(folder.trim_end_matches('/')).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

#[cfg(test)]
mod tests {
    use soniquebay_domain::{FileState, TrackId};

    use super::{FoundFile, compare};

    fn known(id: i64, path: &str, size: i64, mtime: i64) -> FileState {
        FileState { id: TrackId::new(id).unwrap(), path: path.into(), size: Some(size), mtime: Some(mtime) }
    }

    fn found(path: &str, size: i64, mtime: i64) -> FoundFile {
        FoundFile { path: path.into(), size, mtime }
    }

    #[test]
    fn only_what_differs_is_read() {
        let files = vec![found("/m/same", 1, 1), found("/m/touched", 1, 2), found("/m/new", 1, 1)];
        let states = vec![known(1, "/m/same", 1, 1), known(2, "/m/touched", 1, 1), known(3, "/m/gone", 1, 1)];
        let comparison = compare(files, states, &[]);
        assert_eq!(comparison.unchanged, 1);
        let to_read: Vec<_> = comparison.to_read.iter().map(|r| (r.file.path.as_str(), r.known)).collect();
        assert_eq!(to_read, [("/m/touched", TrackId::new(2)), ("/m/new", None)]);
        assert_eq!(comparison.vanished.len(), 1);
    }

    #[test]
    fn what_cannot_be_seen_has_not_vanished() {
        let states = vec![known(1, "/m/a/x", 1, 1), known(2, "/m/ab/x", 1, 1), known(3, "/m/b.mp3", 1, 1)];
        let comparison = compare(Vec::new(), states, &["/m/a".into(), "/m/b.mp3".into()]);
        let vanished: Vec<_> = comparison.vanished.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(vanished, ["/m/ab/x"]);
    }
}
