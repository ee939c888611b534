//! The catalogue that the demo loads: plausible facts, and a demo that works.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;
use soniquebay_domain::{Key, fold};

use crate::program::Data;

pub(crate) const CATALOGUE: &str = include_str!("../../../../data/demo-tracks.jsonl");

#[test]
fn the_catalogue_is_plausible() {
    let tracks: Vec<Value> = CATALOGUE.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(tracks.len() >= 300);
    let (mut names, mut genres) = (HashSet::new(), BTreeMap::<&str, usize>::new());
    for track in &tracks {
        let text = |field: &str| track[field].as_str().unwrap_or_else(|| panic!("{field} of {track}"));
        for field in ["title", "artist", "album", "genre"] {
            assert_eq!(text(field), text(field).trim(), "{track}");
            assert!(!text(field).is_empty() && text(field).chars().count() < 120, "{track}");
        }
        assert!(names.insert((fold(text("artist")), fold(text("title")))), "twice: {track}");
        assert!((1900..=2026).contains(&track["year"].as_i64().unwrap()), "{track}");
        *genres.entry(text("genre")).or_default() += 1;
        if let Some(bpm) = track["bpm"].as_f64() {
            assert!((40.0..=220.0).contains(&bpm), "{track}");
        }
        if !track["key"].is_null() {
            assert!(Key::parse(text("key")).is_some() && ["major", "minor"].contains(&text("mode")), "{track}");
        }
    }
    assert!(genres.len() >= 20 && genres.values().all(|count| *count >= 5), "{genres:?}");
}

#[test]
fn the_demo_shows_neighbours_of_a_kind() {
    let data = Data::with_model();
    let ran = data.run(&["demo"]).expect(0);
    assert!(ran.out.contains("like Daft Punk – One More Time (House, 2000)"), "{}", ran.out);
    assert!(ran.out.matches("same genre").count() >= 8, "most neighbours are of the same genre: {}", ran.out);
    let tracks = CATALOGUE.lines().count();
    assert!(ran.err.contains(&format!("{tracks} tracks have their vectors")), "{}", ran.err);
    // Its library is a folder of its own, which the other commands open.
    let demo = data.path().join("demo");
    let searched = std::process::Command::new(crate::program::BINARY)
        .arg("--data")
        .arg(&demo)
        .args(["search", "bilie jean", "--json"])
        .output()
        .unwrap();
    let answer: Value = serde_json::from_slice(&searched.stdout).unwrap();
    assert_eq!(answer["items"][0]["track"]["title"], "Billie Jean");
    assert!(data.run(&["similar", "Billie Jean"]).expect(3).err.contains("is empty"));
}
