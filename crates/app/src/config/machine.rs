//! What this process may use of the machine: its own share, where it runs in a container.

use std::path::{Path, PathBuf};

/// Cores and memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    /// In bytes; `None` where nobody tells.
    pub(crate) memory: Option<u64>,
}

impl Machine {
    pub(crate) fn look() -> Self {
        Self { cores: std::thread::available_parallelism().map_or(1, usize::from), memory: memory() }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} core{}", self.cores, if self.cores == 1 { "" } else { "s" })?;
        match self.memory {
            Some(bytes) => write!(f, ", {:.1} GB", bytes as f64 / (1 << 30) as f64),
            None => Ok(()),
        }
    }
}

fn memory() -> Option<u64> {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
        Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
    });
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    limit_files(&groups).into_iter().filter_map(|path| number(&path)).chain(machine).min()
}

/// Where limits of memory may stand: those of each group that this process is in, and of all groups above it. In a container
/// the group's own folder is where the root would be.
fn limit_files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        // number:controllers:/path, with no controllers in version 2.
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (root, name) = match controllers {
            "" => (Path::new("/sys/fs/cgroup"), "memory.max"),
            _ if controllers.split(',').any(|controller| controller == "memory") => {
                (Path::new("/sys/fs/cgroup/memory"), "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let below = Path::new(path.trim_start_matches('/'));
        files.extend(below.ancestors().map(|group| root.join(group).join(name)));
    }
    files
}

/// "max", where there is no limit, is no number; nor is what version 1 says there, which is more than any machine has.
fn number(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::limit_files;

    #[test]
    fn limits_are_looked_for_in_every_group_above() {
        let files = limit_files("4:memory:/a/b\n3:cpuset:/\n0::/c\nnonsense\n");
        let expected = [
            "/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/a/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/c/memory.max",
            "/sys/fs/cgroup/memory.max",
        ];
        assert_eq!(files, expected.map(PathBuf::from));
    }
}
