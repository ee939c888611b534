use serde_json::{Map, Value};
use soniquebay_domain::{Change, ContentHash, FieldError, MetadataHash, Timestamp, Track, TrackFields};

use super::analysis::read_analysis;
use super::parse::{TrackRecord, parse_track};

/// What a track is called that nobody gave a title.
const UNTITLED: &str = "(untitled)";

impl TrackRecord {
    /// The whole track, where this is all that is known of it. One without a title is "(untitled)": whoever keeps a copy
    /// of somebody else's track has nobody to send it back to.
    ///
    /// # Errors
    /// Where there are more unknown fields than are kept.
    pub fn into_fields(mut self) -> Result<TrackFields, FieldError> {
        if !matches!(self.patch.title, Change::Set(_)) {
            self.patch.title = Change::Set(UNTITLED.to_owned());
        }
        self.patch.apply(&TrackFields::default())
    }
}

/// A track of which nothing is known but that there is one.
pub fn untitled() -> TrackFields {
    TrackFields { title: Some(UNTITLED.to_owned()), ..TrackFields::default() }
}

/// Reads a track as a library answers it. Ours says version and hashes too; of a track from elsewhere the version is 0, and
/// the hashes are taken of what it says.
///
/// # Errors
/// One for every field that is wrong, and where it bears no id.
pub fn read_track(fields: Map<String, Value>) -> Result<Track, Vec<FieldError>> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let version = fields.get("version").and_then(Value::as_i64).filter(|version| *version >= 0).unwrap_or(0);
    let content_hash = text("content_hash").and_then(ContentHash::parse);
    let metadata_hash = text("metadata_hash").and_then(MetadataHash::parse);
    let (created_at, updated_at) = (moment(text("created_at")), moment(text("updated_at")));
    let analysis = read_analysis(&fields);
    let record = parse_track(fields)?;
    let id = record.id.ok_or_else(|| vec![FieldError::new("id", "missing: a number above 0")])?;
    let fields = record.into_fields().map_err(|error| vec![error])?;
    Ok(Track {
        id,
        version,
        content_hash: content_hash.unwrap_or_else(|| ContentHash::of(&fields)),
        metadata_hash: metadata_hash.unwrap_or_else(|| MetadataHash::of(&fields)),
        created_at,
        updated_at,
        analysis,
        fields,
    })
}

/// Nothing depends on it: what cannot be read is the epoch.
pub(crate) fn moment(text: Option<&str>) -> Timestamp {
    let read = text.and_then(|text| text.parse::<jiff::Timestamp>().ok());
    Timestamp(read.map_or(0, jiff::Timestamp::as_millisecond))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use soniquebay_domain::{
        Analysis, Aspect, AudioHash, ContentHash, FieldError, Measure, Measured, Timestamp, Track,
    };

    use super::read_track;
    use crate::TrackView;

    fn read(value: Value) -> Result<Track, Vec<FieldError>> {
        let Value::Object(fields) = value else { panic!("{value} is an object") };
        read_track(fields)
    }

    #[test]
    fn a_track_of_another_program_is_hashed_here() {
        let track =
            read(json!({"id": 7, "title": null, "artist_name": "Björk", "bpm": 0, "state": "done", "rating": 5}))
                .unwrap();
        assert_eq!((track.id.get(), track.version, track.updated_at), (7, 0, Timestamp(0)));
        assert_eq!(track.fields.title.as_deref(), Some("(untitled)"));
        assert_eq!(track.content_hash, ContentHash::of(&track.fields));
        assert_eq!(read(json!({"title": "x"})).unwrap_err()[0].field, "id");
        assert_eq!(read(json!({"id": 1, "bpm": "fast"})).unwrap_err()[0].field, "bpm");
    }

    #[test]
    fn a_track_of_ours_is_read_as_it_was() {
        let mut track =
            read(json!({"id": 7, "title": "Jóga", "year": 1997, "path": "/a", "extra": {"title": 1}})).unwrap();
        track.version = 3;
        // Made by an older version of the hash: what the library says counts.
        track.content_hash = ContentHash::parse(&"a".repeat(32)).unwrap();
        track.updated_at = Timestamp(1_640_995_200_500);
        let mut measured = Measured::default();
        measured.set(Aspect::Tempo, Measure { value: 93.25, confidence: 0.9 });
        measured.set(Aspect::Key, Measure { value: 21.0, confidence: 0.75 });
        track.analysis = Some(Analysis {
            audio: AudioHash::parse(&"ab".repeat(16)).unwrap(),
            revision: "1".into(),
            file: ContentHash::of_file(&track.fields.identity).unwrap(),
            measured,
        });
        let view = serde_json::to_value(TrackView::from(&track)).unwrap();
        assert_eq!(view["measured"]["key"], json!({"value": "A minor", "confidence": 0.75}));
        assert_eq!(read(serde_json::to_value(TrackView::from(&track)).unwrap()).unwrap(), track);
    }
}
