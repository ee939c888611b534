//! Which crate may use which. A new edge is the most reviewed change: it is made here first.

use anyhow::{Context, ensure};
use serde_json::Value;

use super::Complaints;
use crate::repository::Repository;

/// Each crate and those of our crates that it may use. Tests may use any.
const ALLOWED: [(&str, &[&str]); 15] = [
    ("soniquebay-domain", &[]),
    ("soniquebay-wire", &["domain"]),
    ("soniquebay-http", &[]),
    ("soniquebay-ingest", &["domain", "wire"]),
    ("soniquebay-audio", &["domain"]),
    ("soniquebay-broker", &["domain", "wire"]),
    ("soniquebay-embed", &["domain", "http"]),
    ("soniquebay-store", &["domain", "http", "wire"]),
    ("soniquebay-analysis", &["audio", "domain", "http"]),
    ("soniquebay-pipeline", &["domain"]),
    ("soniquebay-search", &["domain"]),
    ("soniquebay-api", &["domain", "search", "wire"]),
    (
        "soniquebay",
        &["analysis", "api", "broker", "domain", "embed", "http", "ingest", "pipeline", "search", "store", "wire"],
    ),
    ("soniquebay-testkit", &["domain"]),
    ("xtask", &["domain", "embed", "wire"]),
];

const TABLE: &str = "xtask/src/tidy/edges.rs";

pub(super) fn check(repository: &Repository) -> anyhow::Result<Complaints> {
    let answer = repository.cargo().args(["metadata", "--no-deps", "--format-version", "1"]).output()?;
    ensure!(answer.status.success(), "cargo metadata failed: {}", String::from_utf8_lossy(&answer.stderr).trim());
    complaints(&serde_json::from_slice(&answer.stdout)?)
}

fn complaints(metadata: &Value) -> anyhow::Result<Complaints> {
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let names: Vec<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
    let mut complaints = Complaints::new();
    for (package, name) in packages.iter().zip(&names) {
        let Some((_, allowed)) = ALLOWED.iter().find(|(known, _)| known == name) else {
            complaints.push(format!("{name}: a new crate; say in {TABLE} which of our crates it may use"));
            continue;
        };
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        for dependency in dependencies.filter(|dependency| dependency["kind"] != "dev") {
            let used = dependency["name"].as_str().unwrap_or_default();
            let short = used.strip_prefix("soniquebay-").unwrap_or(used);
            if names.contains(&used) && !allowed.contains(&short) {
                complaints.push(format!("{name}: it may not use {used}; the allowed edges are in {TABLE}"));
            }
        }
    }
    Ok(complaints)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::complaints;

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Value {
        let dependencies: Vec<Value> =
            dependencies.iter().map(|(name, kind)| json!({ "name": name, "kind": kind })).collect();
        json!({ "name": name, "dependencies": dependencies })
    }

    fn check(packages: &[Value]) -> Vec<String> {
        complaints(&json!({ "packages": packages })).unwrap()
    }

    #[test]
    fn allowed_edges_pass_and_so_does_what_only_tests_use() {
        let domain = package("soniquebay-domain", &[("serde_json", None)]);
        let store = package("soniquebay-store", &[("soniquebay-domain", None), ("soniquebay-search", Some("dev"))]);
        let search = package("soniquebay-search", &[("soniquebay-domain", None)]);
        assert!(check(&[domain, store, search]).is_empty());
    }

    #[test]
    fn other_edges_and_unknown_crates_are_told() {
        let store = package("soniquebay-store", &[]);
        let api = package("soniquebay-api", &[("soniquebay-store", None)]);
        let domain = package("soniquebay-domain", &[("soniquebay-store", Some("build"))]);
        let told = check(&[store, api, domain, package("soniquebay-new", &[])]);
        assert_eq!(told.len(), 3);
        assert!(told[0].starts_with("soniquebay-api: it may not use soniquebay-store"));
        assert!(told[1].starts_with("soniquebay-domain: it may not use soniquebay-store"));
        assert!(told[2].starts_with("soniquebay-new: a new crate"));
    }
}
