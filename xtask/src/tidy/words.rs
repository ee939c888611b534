//! Words that tell of one machine and mean nothing on others.

use std::fs;

use super::Complaints;
use crate::repository::Repository;

/// What may not be there, and what it is. In parts, as this file is searched too.
const FORBIDDEN: [(&str, &str); 7] = [
    (concat!("/wo", "rk/"), "an absolute path of the machine this was written on"),
    (concat!("py", "pi.org"), "the host of a package registry"),
    (concat!("python", "hosted.org"), "the host of a package registry"),
    (concat!("crates", ".io"), "the host of a package registry"),
    (concat!("npm", "js.org"), "the host of a package registry"),
    (concat!("npm", "js.com"), "the host of a package registry"),
    (concat!("debian", ".org"), "the host of a package registry"),
];

/// Cargo writes the registry of every package into it.
const EXEMPT: &str = "Cargo.lock";

pub(super) fn check(repository: &Repository, files: &[String]) -> anyhow::Result<Complaints> {
    let mut complaints = Complaints::new();
    for file in files.iter().filter(|file| *file != EXEMPT) {
        // What is no text holds no words.
        let Ok(text) = String::from_utf8(fs::read(repository.root().join(file))?) else { continue };
        for (number, line) in (1..).zip(text.lines()) {
            for (word, what) in FORBIDDEN.iter().filter(|(word, _)| stands_in(line, word)) {
                complaints.push(format!("{file}:{number}: \"{word}\" is {what}"));
            }
        }
    }
    Ok(complaints)
}

/// Whether a word stands in a line by itself: `not/there/` is another word than the path `/there/`.
fn stands_in(line: &str, word: &str) -> bool {
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(|before: char| before.is_alphanumeric() || "_-".contains(before)))
}

#[cfg(test)]
mod tests {
    use super::stands_in;

    #[test]
    fn only_whole_words_count() {
        assert!(stands_in("see /there/file", "/there/"));
        assert!(stands_in("https://host.example/", "host.example"));
        assert!(stands_in("files.host.example", "host.example"));
        assert!(!stands_in("not/there/file", "/there/"));
        assert!(!stands_in("ghost.example", "host.example"));
    }
}
