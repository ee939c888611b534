//! Properties of what crosses a process.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test fails by panicking")]

mod fuzz;

use proptest::prelude::*;
use serde_json::{Map, Value};
use soniquebay_domain::{
    ContentHash, Features, Identity, MetadataHash, Mode, PitchClass, Space, Timestamp, Track, TrackFields, TrackId,
    Vector, VectorWrite,
};
use soniquebay_wire::{FilterInput, TrackView, VectorInput, VectorOutput, parse_track, read_track};

const NAMES: [&str; 20] = [
    "id",
    "title",
    "artist_name",
    "genre",
    "genre_tags",
    "tags",
    "year",
    "duration",
    "bpm",
    "key",
    "camelot_key",
    "mode",
    "energy",
    "mood_relaxed",
    "loudness",
    "bitrate",
    "path",
    "file_mtime",
    "extra",
    "isrc",
];

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-200.0..3000.0f64).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        "[0-9A-Ga-gmd#b♯♭ é.:-]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((".{0,8}", inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn any_object() -> impl Strategy<Value = Map<String, Value>> {
    let name = prop_oneof![prop::sample::select(&NAMES[..]).prop_map(str::to_owned), ".{0,8}"];
    prop::collection::vec((name, any_json()), 0..12).prop_map(|fields| fields.into_iter().collect())
}

/// Texts as parsing leaves them, which is how they are stored.
fn text() -> impl Strategy<Value = Option<String>> {
    ".{0,30}".prop_map(|raw| match parse_track(Map::from_iter([("title".to_owned(), Value::from(raw))])) {
        Ok(record) => match record.patch.title {
            soniquebay_domain::Change::Set(text) => Some(text),
            _ => None,
        },
        Err(_) => None,
    })
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    prop::collection::btree_set(text(), 0..5).prop_map(|texts| texts.into_iter().flatten().collect())
}

fn share() -> impl Strategy<Value = Option<f64>> {
    prop::option::of(0.0..=1.0f64)
}

prop_compose! {
    fn features()(
        bpm in prop::option::of(20.0..=999.0f64),
        key in prop::option::of((0..12i64).prop_map(PitchClass::from_semitones)),
        mode in prop::option::of(prop_oneof![Just(Mode::Major), Just(Mode::Minor)]),
        danceability in share(), energy in share(), valence in share(), acousticness in share(),
        instrumentalness in share(), loudness in prop::option::of(-100.0..=20.0f64),
    ) -> Features {
        Features { bpm, key, mode, danceability, energy, valence, acousticness, instrumentalness, loudness }
    }
}

prop_compose! {
    fn identity()(
        path in prop::option::of("/[^\0]{0,20}"),
        file_size in prop::option::of(0..i64::MAX),
        file_mtime in prop::option::of(any::<i64>()),
        musicbrainz_id in prop::option::of("[1-9a-f]{8}-[0-9a-f]{4}"),
        isrc in prop::option::of("[A-Z]{5}[1-9]{7}"),
    ) -> Identity {
        Identity { path, file_size, file_mtime, musicbrainz_id, isrc }
    }
}

prop_compose! {
    fn fields()(
        title in text(), artist in text(), album in text(), album_artist in text(), genre in text(),
        lists in (texts(), texts(), texts()),
        year in prop::option::of(1000..=2200i32),
        duration in prop::option::of(0.0..=86_400.0f64),
        bitrate in prop::option::of(1..=40_000i64),
        features in features(), identity in identity(),
    ) -> TrackFields {
        let (genre_tags, mood_tags, tags) = lists;
        let title = Some(title.unwrap_or_else(|| "untitled".into()));
        let extra = Map::from_iter([("rating".to_owned(), Value::from(5))]);
        TrackFields {
            title, artist, album, album_artist, genre, genre_tags, mood_tags, tags, year, duration, features,
            bitrate, identity, extra,
        }
    }
}

proptest! {
    #[test]
    fn any_object_is_read_or_refused(object in any_object()) {
        if let Err(errors) = parse_track(object) {
            prop_assert!(!errors.is_empty());
        }
    }

    #[test]
    fn any_filter_and_vector_is_read_or_refused(object in any_object(), embedding in any_json()) {
        if let Ok(filter) = serde_json::from_value::<FilterInput>(Value::Object(object.clone())) {
            let _ = filter.check();
        }
        let vector = Map::from_iter([
            ("track_id".to_owned(), Value::from(1)),
            ("embedding".to_owned(), embedding),
            ("metadata".to_owned(), Value::Object(object)),
        ]);
        if let Ok(vector) = serde_json::from_value::<VectorInput>(Value::Object(vector)) {
            let _ = vector.check();
        }
    }

    #[test]
    fn what_was_got_can_be_put_back(fields in fields()) {
        let track = Track {
            id: TrackId::new(7).unwrap(),
            version: 3,
            analysis: None,
            content_hash: ContentHash::of(&fields),
            metadata_hash: MetadataHash::of(&fields),
            created_at: Timestamp(0),
            updated_at: Timestamp(1_640_995_200_000),
            fields,
        };
        let text = serde_json::to_string(&TrackView::from(&track)).unwrap();
        let record = parse_track(serde_json::from_str(&text).unwrap()).unwrap();
        prop_assert_eq!(record.id, Some(track.id));
        prop_assert_eq!(&record.patch.apply(&track.fields).unwrap(), &track.fields, "merged");
        prop_assert_eq!(&record.patch.apply(&TrackFields::default()).unwrap(), &track.fields, "replaced");
        prop_assert_eq!(&read_track(serde_json::from_str(&text).unwrap()).unwrap(), &track, "copied");
    }

    #[test]
    fn a_vector_arrives_as_it_was_sent(
        fields in fields(),
        extra in any_object(),
        numbers in prop::collection::vec(-1e30..1e30f32, 4),
        version in prop::option::of(0..i64::MAX),
    ) {
        let mut fields = fields;
        fields.extra.extend(extra.into_iter().filter(|(_, value)| !value.is_null()));
        let Ok(vector) = Vector::new(numbers) else { return Ok(()) };
        let write = VectorWrite {
            track_id: TrackId::new(7).unwrap(),
            space: Space::parse("mine/4/a-1").unwrap(),
            vector,
            content_hash: Some(ContentHash::of(&fields)),
            version,
            told: Some(fields.into()),
        };
        let sent = serde_json::to_string(&VectorOutput::from(&write)).unwrap();
        let record = serde_json::from_str::<VectorInput>(&sent).unwrap().check().unwrap();
        let told = record.metadata.unwrap().into_fields().unwrap();
        prop_assert_eq!(&ContentHash::of(&told), write.content_hash.as_ref().unwrap());
        prop_assert_eq!(MetadataHash::of(&told), MetadataHash::of(write.told.as_ref().unwrap()));
        prop_assert_eq!(&told, &**write.told.as_ref().unwrap());
        let read = (record.track_id, record.space, record.vector, record.content_hash, record.version);
        prop_assert_eq!(read, (write.track_id, write.space, write.vector, write.content_hash, write.version));
    }
}
