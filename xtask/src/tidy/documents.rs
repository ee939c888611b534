//! What the documents name must be there: files in backticks, targets of links, and the tests that hold an invariant.
//!
//! In ARCHITECTURE.md, "Held by" and a backtick start a list of test functions, which goes to the end of the sentence.

use std::collections::HashSet;
use std::path::Path;

use super::Complaints;
use crate::repository::Repository;

const README: &str = "README.md";
const ARCHITECTURE: &str = "ARCHITECTURE.md";

/// A word in backticks that starts so is a path in this repository.
const FOLDERS: [&str; 9] = ["bench/", "contrib/", "crates/", "data/", "docs/", "scripts/", "tools/", "xtask/", ".ci/"];

/// From the first of these on, a path stands for several or for any.
const WILD: [char; 7] = ['*', '?', '{', '[', '<', '$', '…'];

/// In lower case. With its backtick, as a lock may be held by a process.
const HELD_BY: &str = "held by `";

pub(super) fn check(repository: &Repository, files: &[String]) -> anyhow::Result<Complaints> {
    let mut complaints = Complaints::new();
    for needed in [README, ARCHITECTURE] {
        if !files.iter().any(|file| file == needed) {
            complaints.push(format!("{needed}: there is none"));
        }
    }
    let functions = functions(repository, files)?;
    for file in files.iter().filter(|file| is_document(file)) {
        let folder = Path::new(file).parent().unwrap_or(Path::new(""));
        for Paragraph { line, text } in paragraphs(&repository.read(file)?) {
            let paths = paths(&text).into_iter().map(|path| (Path::new(path).to_owned(), path));
            let links = links(&text).into_iter().map(|link| (folder.join(link), link));
            for (path, name) in paths.chain(links) {
                if !repository.root().join(path).exists() {
                    complaints.push(format!("{file}:{line}: {name} is not there"));
                }
            }
            if file == ARCHITECTURE {
                let faults = unheld(&text, &functions);
                complaints.extend(faults.into_iter().map(|fault| format!("{file}:{line}: {fault}")));
            }
        }
    }
    Ok(complaints)
}

fn is_document(file: &str) -> bool {
    file == README || file == ARCHITECTURE || (file.starts_with("docs/") && file.ends_with(".md"))
}

/// Lines of prose that belong together, or one entry of a list.
#[derive(Debug, PartialEq)]
struct Paragraph {
    /// Where it starts, from 1.
    line: usize,
    text: String,
}

/// The prose of a document: what stands between fences is left out.
fn paragraphs(document: &str) -> Vec<Paragraph> {
    let mut paragraphs: Vec<Paragraph> = Vec::new();
    let (mut fenced, mut open) = (false, false);
    for (line, text) in (1..).zip(document.lines().map(str::trim)) {
        let fence = text.starts_with("```") || text.starts_with("~~~");
        fenced ^= fence;
        if fenced || fence || text.is_empty() {
            open = false;
            continue;
        }
        let entry = text.starts_with(['-', '*', '+', '#', '|']) || is_numbered(text);
        match paragraphs.last_mut() {
            Some(last) if open && !entry => {
                last.text.push(' ');
                last.text.push_str(text);
            }
            _ => paragraphs.push(Paragraph { line, text: text.to_owned() }),
        }
        open = true;
    }
    paragraphs
}

/// `1. An entry of a list`
fn is_numbered(text: &str) -> bool {
    text.split_once(". ").is_some_and(|(number, _)| number.parse::<u32>().is_ok())
}

/// Prose and code in turn, prose first.
fn prose_and_code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split('`').enumerate()
}

fn code(text: &str) -> impl Iterator<Item = &str> {
    prose_and_code(text).filter(|(turn, _)| turn % 2 == 1).map(|(_, code)| code)
}

/// The paths in backticks, each as far as it can be looked up.
fn paths(text: &str) -> Vec<&str> {
    code(text)
        .flat_map(str::split_whitespace)
        .map(|word| word.trim_start_matches(['"', '\'', '(']).trim_start_matches("./"))
        .filter(|word| FOLDERS.iter().any(|folder| word.starts_with(folder)))
        .map(certain)
        .map(|path| path.trim_end_matches(['"', '\'', '(', ')', ',', ';', '.', '/']))
        .collect()
}

/// A path without line number or function, up to the last folder before anything wild.
fn certain(path: &str) -> &str {
    let path = path.find([':', '#']).map_or(path, |end| &path[..end]);
    match path.find(WILD) {
        Some(wild) => path[..wild].rfind('/').map_or("", |end| &path[..end]),
        None => path,
    }
}

/// Targets of links to other files.
fn links(text: &str) -> Vec<&str> {
    text.match_indices("](")
        .filter_map(|(at, opening)| text[at + opening.len()..].split([')', '#', ' ']).next())
        .filter(|target| !target.is_empty() && !target.contains(':'))
        .collect()
}

/// What is wrong with the tests that a paragraph names.
fn unheld(text: &str, functions: &HashSet<String>) -> Complaints {
    // Bytes stay where they are, so that what is found in the one is cut from the other.
    let lower = text.to_ascii_lowercase();
    lower
        .match_indices(HELD_BY)
        .flat_map(|(at, _)| tests(&text[at..]))
        .filter(|test| !functions.contains(*test))
        .map(|test| format!("an invariant is held by {test}, but there is no such function in the crates"))
        .collect()
}

/// Names in backticks up to the end of the sentence, without the modules before them. Paths are checked elsewhere.
fn tests(sentence: &str) -> Vec<&str> {
    prose_and_code(sentence)
        .take_while(|(turn, part)| turn % 2 == 1 || !(part.contains(". ") || part.contains(';')))
        .filter(|(turn, part)| turn % 2 == 1 && !part.contains('/'))
        .map(|(_, code)| code.rsplit("::").next().unwrap_or(code).trim_end_matches("()"))
        .collect()
}

/// Names of all functions of the crates, tests among them.
fn functions(repository: &Repository, files: &[String]) -> anyhow::Result<HashSet<String>> {
    let mut functions = HashSet::new();
    for file in files.iter().filter(|file| file.starts_with("crates/") && file.ends_with(".rs")) {
        functions.extend(functions_in(&repository.read(file)?).map(str::to_owned));
    }
    Ok(functions)
}

fn functions_in(source: &str) -> impl Iterator<Item = &str> {
    let code = source.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    code.filter_map(|line| {
        let (before, after) = line.split_once("fn ")?;
        let word = before.is_empty() || before.ends_with(' ');
        word.then(|| after.split(|next: char| next != '_' && !next.is_alphanumeric()).next().unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{functions_in, links, paragraphs, paths, unheld};

    #[test]
    fn paragraphs_are_prose_with_the_line_they_start_in() {
        let document = "# Title\nOne\ntwo.\n\n```sh\nscan data/mine\n```\n- first\n  goes on\n- second\n1. third\n";
        let found: Vec<(usize, String)> = paragraphs(document).into_iter().map(|p| (p.line, p.text)).collect();
        let expected = [(1, "# Title One two."), (8, "- first goes on"), (10, "- second"), (11, "1. third")];
        assert_eq!(found, expected.map(|(line, text)| (line, text.to_owned())));
    }

    #[test]
    fn paths_are_words_in_backticks_as_far_as_they_are_certain() {
        let text = "crates/prose `crates/a/src/b.rs:12`, `python3 tools/x.py > data/y.jsonl`, `crates/*/src`, \
                    `crates/a/mean-{b,c}.f32`, `docs/`, `./scripts/p.sh`, `audio/docs/x` and `a = 1`";
        let expected =
            ["crates/a/src/b.rs", "tools/x.py", "data/y.jsonl", "crates", "crates/a", "docs", "scripts/p.sh"];
        assert_eq!(paths(text), expected);
    }

    #[test]
    fn links_are_those_to_files() {
        let text = "[a](docs/a.md), [b](../b.md#part), [c](#here), [d](https://example.org/x) and ![e](e.png \"E\")";
        assert_eq!(links(text), ["docs/a.md", "../b.md", "e.png"]);
    }

    #[test]
    fn tests_that_hold_an_invariant_must_be_there() {
        let functions: HashSet<String> = ["one_holds", "two_holds"].map(str::to_owned).into();
        let faults = |text| unheld(text, &functions).len();
        assert_eq!(faults("It is so. Held by `one_holds` and `store::jobs::two_holds()`. See `other`."), 0);
        assert_eq!(faults("It is so; held by `one_holds` in `crates/store/tests/it/jobs.rs`."), 0);
        assert_eq!(faults("It is so (held by `gone`, `one_holds`, `away`)."), 2);
        assert_eq!(faults("The lock `soniquebay.lock` is held by the process, `this` one."), 0);
        assert_eq!(faults("Nothing is promised of `this`."), 0);
    }

    #[test]
    fn functions_are_found_by_their_names() {
        let source =
            "#[test]\nfn plain() {}\n    pub(crate) async fn with_more<T>(x: T) {\n// fn told() {}\nlet f: fn(u8);";
        assert_eq!(functions_in(source).collect::<Vec<_>>(), ["plain", "with_more"]);
    }
}
