//! Nothing that comes over a wire panics, and what is accepted is within its bounds.

use serde_json::{Map, Value};
use soniquebay_domain::bounds;
use soniquebay_testkit::mutate::{cases, inputs};
use soniquebay_wire::{
    FilterInput, VectorInput, parse_track, read_fields, read_progress, read_track, read_track_event,
};

const EVENTS: [&str; 4] = [
    r#"{"type":"track_created","track_id":123,"metadata":{"title":"Jóga","artist":"Björk","genre":"Rock","bpm":120,"key":"C","duration":180},"timestamp":1640995200.0}"#,
    r#"{"type":"track_updated","track_id":"7","artist":"X","genres":["a","b"],"moods":"calm; warm","bpm":"99.5","duration":1e2}"#,
    r#"{"type":"track_deleted","track_id":9007199254740991,"priority":0}"#,
    r#"{"type":"progress","task_id":"scan","step":"scan","current":3,"total":9,"percent":33.3,"seconds_left":1.5}"#,
];

const TRACKS: [&str; 4] = [
    r#"{"title":"Jóga","artist_name":"Björk","album_title":"Homogenic","genre_main":"Electronic","year":"1997-09-15","duration":305.2,"bpm":"86","key":"F# minor","tags":["strings","slow"],"path":"/m/a.flac"}"#,
    r#"{"id":5,"title":"A","genre_tags":"x, y; z","mood_tags":["warm"],"mode":"minor","scale":"major","camelot_key":"11A","danceability":0.5,"energy":1.02,"valence":0,"loudness":-12.5,"bitrate":320000}"#,
    r#"{"title":"B","mood_happy":0.4,"mood_aggressive":0.1,"mood_party":0.9,"mood_relaxed":0.2,"acoustic":0.7,"instrumental":"0.1","musicbrainz_id":"c0ffee","isrc":"GBAYE0000001","extra":{"label":"x"}}"#,
    r#"{"id":3,"version":2,"title":"C","content_hash":"00","metadata_hash":"11","created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z","features":{"energy":0.5}}"#,
];

const FILTERS: [&str; 3] = [
    r#"{"genre":["rock","jazz"],"include_subgenres":true,"tags":["calm"],"year_range":{"min":1990,"max":1999},"bpm_range":[80,120],"bpm_octaves":true,"key":"11A"}"#,
    r#"{"genre":"rock","duration_range":{"min":60},"exclude_artists":["X"],"exclude_track_ids":[1,2,3],"exclude_same_artist":true,"max_per_artist":2,"path_prefix":"/music"}"#,
    r#"{}"#,
];

const VECTORS: [&str; 3] = [
    r#"{"track_id":123,"embedding":[0.1,-0.2,0.3],"space":"external/3","content_hash":"0011223344556677889900112233445566778899001122334455667788990011","version":3,"metadata":{"title":"A","genre":"Rock","year":1999}}"#,
    r#"{"track_id":"7","embedding":[1e-30,1,2,3,4,5,6,7]}"#,
    r#"{"track_id":1,"embedding":[0,0,0]}"#,
];

/// How many inputs were accepted, of how many; some must be, or nothing behind the parser was asked.
fn run(name: &str, corpus: &[&str], accepts: impl Fn(&[u8]) -> bool) {
    let count = cases(5_000);
    let accepted = inputs(corpus, count).filter(|input| accepts(input)).count();
    println!("{name}: {count} cases, {accepted} accepted, no panic");
    assert!(accepted * 50 > count && accepted < count, "{name}: {accepted} of {count} were accepted");
}

fn object(bytes: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(bytes).ok()
}

#[test]
fn fuzz_events() {
    run("events", &EVENTS, |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return false };
        let progress = read_progress(text).is_some();
        if let Some(fields) = object(bytes) {
            let _ = read_fields(fields);
        }
        read_track_event(text).is_ok_and(|event| event.track_id.get() > 0) || progress
    });
}

#[test]
fn fuzz_tracks() {
    run("tracks", &TRACKS, |bytes| {
        let Some(fields) = object(bytes) else { return false };
        let _ = read_track(fields.clone());
        parse_track(fields).is_ok_and(|record| {
            let title = match record.patch.title {
                soniquebay_domain::Change::Set(title) => title,
                _ => String::new(),
            };
            assert!(title.chars().count() <= bounds::TEXT_CHARS);
            true
        })
    });
}

#[test]
fn fuzz_filters() {
    run("filters", &FILTERS, |bytes| {
        serde_json::from_slice::<FilterInput>(bytes).is_ok_and(|input| input.check().is_ok())
    });
}

#[test]
fn fuzz_vectors() {
    run("vectors", &VECTORS, |bytes| {
        serde_json::from_slice::<VectorInput>(bytes).is_ok_and(|input| {
            input.check().is_ok_and(|record| {
                let length: f64 = record.vector.as_slice().iter().map(|x| f64::from(*x).powi(2)).sum();
                assert!(length.is_finite() && length > 0.0, "no zero, NaN or infinite vector passes");
                true
            })
        })
    });
}
