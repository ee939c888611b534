//! Typed search keeps finding what it finds, over the queries and the catalogue that ship.

use serde_json::Value;

use crate::program::Data;

/// Below what docs/quality.md tells, so that another processor's rounding fails nothing, and far above chance.
const FLOORS: [(&str, f64); 6] =
    [("title", 1.0), ("typo", 0.9), ("artist", 0.95), ("album", 0.9), ("genre_era", 0.9), ("mood", 0.8)];

#[test]
fn typed_queries_find_what_they_should() {
    let data = Data::with_model();
    let report = data.run(&["eval", "--search", "--json"]).expect(0).json();
    let each: Vec<&Value> = report["each"].as_array().unwrap().iter().collect();
    assert!(each.len() >= 60, "{}", each.len());
    for (kind, floor) in FLOORS {
        let of_kind: Vec<&&Value> = each.iter().filter(|query| query["kind"] == kind).collect();
        let missed: Vec<&str> = of_kind
            .iter()
            .filter(|query| query["fused"].is_null())
            .map(|query| query["query"].as_str().unwrap())
            .collect();
        let success = 1.0 - missed.len() as f64 / of_kind.len() as f64;
        assert!(of_kind.len() >= 10 && success >= floor, "{kind}: {success:.2} below {floor}; missed: {missed:?}");
    }
    assert!(!data.path().join("soniquebay.db").exists(), "the library is not touched");
}

#[test]
fn queries_that_nothing_answers_are_refused() {
    let data = Data::with_model();
    let file = data.beside("queries.jsonl");
    let query = r#"{"query": "x", "kind": "title", "expect": {"title": "There Is No Such Song"}}"#;
    std::fs::write(&file, query).unwrap();
    let path = file.to_str().unwrap();
    assert!(data.run(&["eval", "--search", "--queries", path]).expect(1).err.contains("no track of the library"));
    assert!(data.run(&["eval", "--queries", path]).expect(2).err.contains("--search"));
    assert!(data.run(&["eval"]).expect(2).err.contains("FILE.jsonl"));
}
