//! What Prometheus reads.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::program::Data;

/// A family of samples: its kind, and for each sample its full name, its labels and its value.
#[derive(Default)]
struct Family {
    kind: String,
    samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

/// Reads Prometheus' text format strictly.
fn families(text: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let (mut helped, mut current) = (BTreeSet::new(), String::new());
    let mut seen = BTreeSet::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, what) = rest.split_once(' ').unwrap();
            assert!(!what.is_empty() && helped.insert(name.to_owned()), "{line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            let family = Family { kind: kind.to_owned(), ..Family::default() };
            assert!(families.insert(name.to_owned(), family).is_none(), "{name} comes twice");
            current = name.to_owned();
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            assert!(seen.insert(series.to_owned()), "{series} comes twice");
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            let labels = labels.strip_suffix('}').unwrap().split("\",").filter(|label| !label.is_empty());
            let label = |label: &str| {
                let (name, value) = label.split_once("=\"").unwrap();
                (name.to_owned(), value.trim_end_matches('"').to_owned())
            };
            let family = families.get_mut(&current).unwrap_or_else(|| panic!("{line} belongs to nothing"));
            let rest = name.strip_prefix(&current).unwrap_or_else(|| panic!("{line} stands among {current}"));
            let parts: &[&str] = if family.kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(parts.contains(&rest), "{line}");
            family.samples.push((name.to_owned(), labels.map(label).collect(), value.parse().unwrap()));
        }
    }
    for (name, family) in &families {
        assert!(helped.contains(name), "{name} has no HELP");
        assert_eq!(name.ends_with("_total"), family.kind == "counter", "{name}");
    }
    families
}

/// Buckets grow, and the last one holds all.
fn check_histogram(name: &str, family: &Family) {
    let mut series: HashMap<String, Vec<(f64, f64)>> = HashMap::new();
    let mut counts = HashMap::new();
    for (full, labels, value) in &family.samples {
        let mut labels = labels.clone();
        let bound = labels.remove("le").map(|le| le.parse::<f64>().unwrap());
        let key = format!("{labels:?}");
        match bound {
            Some(bound) => series.entry(key).or_default().push((bound, *value)),
            None if full.ends_with("_count") => drop(counts.insert(key, *value)),
            None => assert!(*value >= 0.0, "{name}"),
        }
    }
    assert_eq!(series.len(), counts.len(), "{name}");
    for (key, buckets) in series {
        assert!(buckets.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1), "{name} {key}");
        let (bound, all) = buckets[buckets.len() - 1];
        assert!(bound.is_infinite() && Some(&all) == counts.get(&key), "{name} {key}");
    }
}

#[test]
fn what_prometheus_reads_is_well_formed_and_documented() {
    let data = Data::with_model();
    let server = data.serve();
    for title in ["One", "Two", "Three"] {
        server.post("/api/tracks", &format!(r#"{{"title": "{title}", "artist": "Somebody"}}"#));
    }
    server.wait_until_vectorized();
    assert_eq!(server.get("/api/tracks/1/similar").0, 200);
    assert_eq!(server.get("/api/search?q=two").0, 200);
    assert_eq!(server.get("/nothing/here").0, 404);
    // No client would send this one.
    let mut stream = std::net::TcpStream::connect(&server.address).unwrap();
    stream.write_all(b"BREW /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
    let text = server.get("/metrics").1.as_str().unwrap().to_owned();
    let families = families(&text);

    let value = |name: &str, labels: &[(&str, &str)]| {
        let samples = families.values().flat_map(|family| &family.samples);
        let mut found = samples.filter(|(full, has, _)| {
            full == name && labels.iter().all(|(label, value)| has.get(*label).map(String::as_str) == Some(*value))
        });
        found.next().unwrap_or_else(|| panic!("no {name} {labels:?} in\n{text}")).2
    };
    assert_eq!(value("soniquebay_tracks", &[]), 3.0);
    assert_eq!(value("soniquebay_vectors", &[("state", "ready")]), 3.0);
    assert_eq!(value("soniquebay_vectors", &[("state", "missing")]), 0.0);
    assert_eq!(value("soniquebay_vectors_made_total", &[]), 3.0);
    assert!(value("soniquebay_embedding_duration_seconds_count", &[]) >= 1.0);
    assert!(value("soniquebay_embedding_cache_misses_total", &[]) >= 4.0);
    let requests = "soniquebay_http_request_duration_seconds_count";
    assert_eq!(value(requests, &[("route", "/api/tracks/{id}/similar"), ("status", "200")]), 1.0);
    assert_eq!(value(requests, &[("route", "/api/tracks"), ("method", "POST"), ("status", "201")]), 3.0);
    assert_eq!(value(requests, &[("route", "other"), ("status", "404")]), 1.0);
    assert_eq!(value(requests, &[("method", "other")]), 1.0);
    assert_eq!(value("soniquebay_reconciler_repairs_total", &[]), 0.0);
    assert_eq!(value("soniquebay_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), 1.0);
    assert!(value("process_resident_memory_bytes", &[]) > 1e6);

    let document =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md")).unwrap();
    for (name, family) in &families {
        let row = document.lines().find(|line| line.starts_with(&format!("| `{name}` | {} |", family.kind)));
        let row = row.unwrap_or_else(|| panic!("{name}, a {}, is not in docs/metrics.md", family.kind));
        let documented: BTreeSet<&str> =
            row.split('|').nth(3).unwrap().split(',').map(str::trim).filter(|label| !label.is_empty()).collect();
        for (_, labels, _) in &family.samples {
            let labels: BTreeSet<&str> = labels.keys().map(String::as_str).filter(|label| *label != "le").collect();
            assert_eq!(labels, documented, "{name}");
        }
        if family.kind == "histogram" {
            check_histogram(name, family);
        }
    }
    check_with_promtool(&text);
}

/// Prometheus' own word on it, where its tool is at hand.
fn check_with_promtool(text: &str) {
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = promtool.spawn() else {
        println!("promtool is not there: the format was checked by the test alone");
        return;
    };
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let said = child.wait_with_output().unwrap();
    assert!(
        said.status.success(),
        "{}{}",
        String::from_utf8_lossy(&said.stdout),
        String::from_utf8_lossy(&said.stderr)
    );
}
