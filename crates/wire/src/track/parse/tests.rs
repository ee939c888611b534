use serde_json::{Map, Value, json};
use soniquebay_domain::{Change, FieldError, Mode, TrackPatch};

use super::{TrackRecord, parse_track};

fn parse(value: Value) -> Result<TrackRecord, Vec<FieldError>> {
    let Value::Object(fields) = value else { panic!("{value} is an object") };
    parse_track(fields)
}

fn patch(value: Value) -> TrackPatch {
    let shown = value.to_string();
    parse(value).unwrap_or_else(|errors| panic!("{shown}: {errors:?}")).patch
}

fn set<T>(value: T) -> Change<T> {
    Change::Set(value)
}

fn list(entries: &[&str]) -> Change<Vec<String>> {
    Change::Set(entries.iter().map(|entry| (*entry).to_owned()).collect())
}

#[test]
fn aliases_mean_their_field() {
    for (alias, canonical) in [
        (json!({"artist_name": "Björk"}), json!({"artist": "Björk"})),
        (json!({"track_artist": "Björk"}), json!({"artist": "Björk"})),
        (json!({"album_title": "Post"}), json!({"album": "Post"})),
        (json!({"genre_main": "pop"}), json!({"genre": "pop"})),
        (json!({"genres": ["a", "b"]}), json!({"genre_tags": "a;b"})),
        (json!({"moods": "calm, warm"}), json!({"mood_tags": ["calm", "warm"]})),
        (json!({"mood": "calm"}), json!({"mood_tags": ["calm"]})),
        (json!({"synthetic_tags": ["calm"]}), json!({"mood_tags": ["calm"]})),
        (json!({"tempo": "120.5"}), json!({"bpm": 120.5})),
        (json!({"scale": "Minor"}), json!({"mode": "minor"})),
        (json!({"mood_happy": 0.5}), json!({"valence": 0.5})),
        (json!({"acoustic": 0.5}), json!({"acousticness": 0.5})),
        (json!({"instrumental": 0.5}), json!({"instrumentalness": 0.5})),
        (json!({"camelot_key": "11A"}), json!({"key": "F#", "mode": "minor"})),
        (json!({"key": 6, "mode": 0}), json!({"key": "F# minor"})),
        (json!({"key": "4m"}), json!({"key": "F#", "mode": "minor"})),
        (json!({"mbid": "A-1"}), json!({"musicbrainz_id": "a-1"})),
        (json!({"year": "1999-05-01"}), json!({"year": 1999})),
        (json!({"year": " 1999 "}), json!({"year": 1999.0})),
        (json!({"isrc": "us-rc1-76-07839"}), json!({"isrc": "USRC17607839"})),
        (json!({"bitrate": 320_000}), json!({"bitrate": 320})),
        (json!({"file_mtime": 1.5}), json!({"file_mtime": 1_500_000_000})),
        (json!({"genre": ["a", "b", "c"], "genre_tags": ["c", "d"]}), json!({"genre": "a", "genres": "b;c;d"})),
        (json!({"energy": null, "mood_party": 1, "mood_relaxed": 1}), json!({"energy": 0.5})),
        (json!({"mood_aggressive": 0.9, "energy": 0.2}), json!({"energy": 0.2})),
        (json!({"artist": "A", "artist_name": "B"}), json!({"artist": "A"})),
        (json!({"artist": null, "artist_name": "B"}), json!({"artist": "B"})),
        (json!({"key": "C", "camelot_key": "11A"}), json!({"key": "C"})),
        (json!({"key": "C minor", "mode": "major"}), json!({"key": "C major"})),
        (json!({"title": " Jo\u{301}ga\t\u{0} "}), json!({"title": "Jóga"})),
    ] {
        assert_eq!(patch(alias.clone()), patch(canonical), "{alias}");
    }
}

#[test]
fn absent_is_kept_and_null_is_cleared() {
    assert_eq!(patch(json!({})), TrackPatch::default());
    for unknown in [json!(null), json!(""), json!("  ")] {
        let cleared = patch(json!({"artist": unknown, "bpm": unknown, "year": unknown, "key": unknown}));
        let all = (cleared.artist, cleared.bpm, cleared.year, cleared.key);
        assert_eq!(all, (Change::Clear, Change::Clear, Change::Clear, Change::Clear), "{unknown}");
    }
    assert_eq!(patch(json!({"bpm": 0})).bpm, Change::Clear);
    assert_eq!(patch(json!({"tags": []})).tags, Change::Clear);
    assert_eq!(patch(json!({"key": -1})).key, Change::Clear);
    for placeholder in ["unknown", "N/A", "00000000-0000-0000-0000-000000000000"] {
        assert_eq!(patch(json!({"musicbrainz_id": placeholder})).musicbrainz_id, Change::Clear);
    }
}

#[test]
fn ids_are_numbers_or_digits() {
    for given in [json!({"id": 7}), json!({"track_id": "7"}), json!({"id": "7", "track_id": 9})] {
        assert_eq!(parse(given).unwrap().id.map(|id| id.get()), Some(7));
    }
    assert_eq!(parse(json!({"title": "A"})).unwrap().id, None);
}

#[test]
fn limits_are_inclusive() {
    assert_eq!(patch(json!({"title": "é".repeat(1024)})).title, set("é".repeat(1024)));
    assert_eq!(patch(json!({"duration": 86_400, "energy": 1, "valence": 0})).duration, set(86_400.0));
    assert_eq!(patch(json!({"loudness": -100, "bpm": 999, "year": 2200})).year, set(2200));
    let tags: Vec<String> = (0..64).map(|n| n.to_string()).collect();
    assert_eq!(patch(json!({"tags": tags})).tags, set(tags));
    assert_eq!(patch(json!({"tags": "a; b ;;a"})).tags, list(&["a", "b"]), "blanks and repeats are dropped");
    assert_eq!(patch(json!({"tags": ["Earth, Wind", "Fire"]})).tags, list(&["Earth, Wind", "Fire"]));
    assert_eq!(patch(json!({"path": " /a b/e\u{301}.mp3 "})).path, set(" /a b/e\u{301}.mp3 ".into()));
    assert_eq!(patch(json!({"camelot_key": "8B"})).mode, set(Mode::Major));
}

#[test]
fn what_is_wrong_is_said() {
    for (given, field, said) in [
        (json!({"title": 5}), "title", "5 is no text"),
        (json!({"title": ["a"]}), "title", "a list is no text"),
        (json!({"title": "x".repeat(1025)}), "title", "1025 characters; at most 1024"),
        (json!({"title": "x".repeat(1_000_000)}), "title", "1000000 characters"),
        (json!({"artist_name": {"name": "x"}}), "artist_name", "an object is no text"),
        (json!({"bpm": 5}), "bpm", "20 to 999"),
        (json!({"tags": (0..65).map(|n| n.to_string()).collect::<Vec<_>>()}), "tags", "more than 64"),
        (json!({"tags": ["a", 5]}), "tags", "entry 2: 5 is no text"),
        (json!({"genre": [true]}), "genre", "entry 1"),
        (json!({"year": 999}), "year", "999 is no year from 1000 to 2200"),
        (json!({"year": 1999.5}), "year", "1999.5 is no year"),
        (json!({"year": "May 1999"}), "year", "is no number"),
        (json!({"duration": 215_000_000}), "duration", "seconds, not milliseconds"),
        (json!({"duration": -1}), "duration", "negative"),
        (json!({"duration": "3:35"}), "duration", "\"3:35\" is no number"),
        (json!({"tempo": 1000}), "tempo", "20 to 999"),
        (json!({"bpm": "fast"}), "bpm", "\"fast\" is no number"),
        (json!({"bpm": "NaN"}), "bpm", "is no number"),
        (json!({"energy": 85}), "energy", "85 is out of range: 0 to 1"),
        (json!({"mood_party": -1}), "mood_party", "0 to 1"),
        (json!({"loudness": 21}), "loudness", "-100 to 20 dB"),
        (json!({"key": "Z"}), "key", "\"Z\" is no key"),
        (json!({"key": 12}), "key", "12 is no key"),
        (json!({"mode": "dorian"}), "mode", "\"dorian\" is no mode"),
        (json!({"id": 0}), "id", "above 0"),
        (json!({"track_id": "seven"}), "track_id", "no whole number"),
        (json!({"file_size": 1.5}), "file_size", "no whole number"),
        (json!({"path": "/a\u{0}b"}), "path", "NUL"),
        (json!({"path": "x".repeat(4097)}), "path", "at most 4096"),
        (json!({"extra": 5}), "extra", "5 is no object"),
        (json!({"blob": "x".repeat(17_000)}), "extra", "bytes of fields"),
    ] {
        let errors = parse(given.clone()).unwrap_err();
        let [error] = errors.as_slice() else { panic!("one error: {errors:?}") };
        assert_eq!(error.field, field);
        assert!(error.reason.contains(said), "{error}");
        assert!(error.reason.len() < 200, "a message is no echo of the input");
    }
}

#[test]
fn all_errors_come_at_once() {
    let errors = parse(json!({"title": 1, "bpm": 5, "energy": 2, "genre": 7, "key": [], "id": -1})).unwrap_err();
    let mut fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["bpm", "energy", "genre", "id", "key", "title"]);
}

#[test]
fn unknown_fields_go_to_extra_and_ours_are_dropped() {
    let extra = patch(json!({
        "label": "rock", "tonal": 1, "extra": {"rating": 5, "label": "old"}, "version": 3, "content_hash": "x",
        "metadata_hash": "x", "created_at": "x", "updated_at": "x", "state": {}, "camelot": "8A", "gone": null,
    }))
    .extra;
    assert_eq!(Value::Object(extra), json!({"label": "rock", "tonal": 1, "rating": 5, "gone": null}));
}

#[test]
fn deep_values_are_refused() {
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!([deep]);
    }
    let mut fields = Map::new();
    fields.insert("blob".into(), deep);
    assert_eq!(parse_track(fields).unwrap_err()[0].field, "blob");
}

#[test]
fn numbers_a_little_out_of_range_are_clamped_and_told() {
    let record =
        parse(json!({"title": "A", "energy": 1.02, "mood_happy": -0.01, "loudness": -140, "acousticness": 0.5}))
            .unwrap();
    let patch = record.patch;
    assert_eq!((patch.energy, patch.valence, patch.loudness), (set(1.0), set(0.0), set(-100.0)));
    assert_eq!(patch.acousticness, set(0.5));
    let mut told: Vec<String> = record.clamped.iter().map(|moved| moved.to_string()).collect();
    told.sort();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].contains("energy") && told[0].contains("1.02") && told[0].contains("0 to 1"), "{told:?}");
    assert!(parse(json!({"title": "A", "energy": 85})).is_err(), "a percentage is another unit");
    assert!(parse(json!({"title": "A", "loudness": 500})).is_err());
}
