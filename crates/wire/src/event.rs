//! Events on the bus, as the Python SoniqueBay publishes and reads them.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Value, json};
use soniquebay_domain::{Change, Happening, Priority, Progress, Timestamp, TrackEvent, TrackFields};
use utoipa::ToSchema;

use crate::{parse_track, write_fields};

/// The longest message that is read, in bytes.
pub const MAX_EVENT_BYTES: usize = 256 * 1024;

/// Why a message is no event of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Not a JSON object, or too long.
    #[error("no event: {0}")]
    Malformed(String),
    /// An event of another program, or of a newer version of this one.
    #[error("an event of type {0:?}, which nobody here knows")]
    UnknownType(String),
}

/// The event that says what happened to a track.
pub fn write_track_event(event: &TrackEvent, now: Timestamp) -> String {
    let kind = match event.happening {
        Happening::Created => "track_created",
        Happening::Updated => "track_updated",
        Happening::Deleted => "track_deleted",
    };
    let mut members = json!({ "type": kind, "track_id": event.track_id.get(), "timestamp": now.seconds() });
    if let Some(told) = &event.told {
        members["metadata"] = Value::Object(write_fields(told));
        members["priority"] = json!(event.priority.level());
    }
    members.to_string()
}

/// Reads an event about a track. Its fields lie in `metadata`, or beside `track_id` as older publishers send them.
/// Fields that cannot be read are left out: the event is a hint, and whoever can reads the track itself.
///
/// # Errors
/// Where this is no JSON object with a known `type` and a `track_id`.
pub fn read_track_event(message: &str) -> Result<TrackEvent, EventError> {
    let malformed = |reason: String| EventError::Malformed(reason);
    if message.len() > MAX_EVENT_BYTES {
        return Err(malformed(format!("{} bytes, at most {MAX_EVENT_BYTES} are read", message.len())));
    }
    let value: Value = serde_json::from_str(message).map_err(|error| malformed(error.to_string()))?;
    let Value::Object(mut members) = value else { return Err(malformed("not a JSON object".into())) };
    let happening = match members.remove("type") {
        Some(Value::String(kind)) => match kind.as_str() {
            "track_created" => Happening::Created,
            "track_updated" => Happening::Updated,
            "track_deleted" => Happening::Deleted,
            _ => return Err(EventError::UnknownType(kind.chars().take(60).collect())),
        },
        _ => return Err(malformed("no type".into())),
    };
    let track_id = members.remove("track_id").ok_or_else(|| malformed("no track_id".into()))?;
    let track_id = crate::track::read_id(&track_id).map_err(|reason| malformed(format!("track_id {reason}")))?;
    let priority = members.remove("priority").and_then(|level| Priority::at(level.as_i64()?));
    members.remove("timestamp");
    let told = match members.remove("metadata") {
        Some(Value::Object(metadata)) => metadata,
        Some(_) => Map::new(),
        None => members,
    };
    let told = if happening == Happening::Deleted { None } else { read_fields(told).map(Box::new) };
    Ok(TrackEvent { happening, track_id, priority: priority.unwrap_or(Priority::Normal), told })
}

/// What a message says of a track, as far as it can be read; nothing where it says nothing. A message need not name the
/// track, so that even the title may be unknown.
pub fn read_fields(mut metadata: Map<String, Value>) -> Option<TrackFields> {
    metadata.retain(|name, _| name != "id" && name != "track_id");
    // One field that is wrong must not cost the others: it is taken out, and the rest read again.
    let record = parse_track(metadata.clone()).or_else(|errors| {
        metadata.retain(|name, _| errors.iter().all(|error| error.field != *name));
        parse_track(metadata)
    });
    let mut patch = record.ok()?.patch;
    let has_title = matches!(patch.title, Change::Set(_));
    if !has_title {
        // A catalogue's track has one.
        patch.title = Change::Set("-".into());
    }
    let mut told = patch.apply(&TrackFields::default()).ok()?;
    told.title = told.title.filter(|_| has_title);
    (told != TrackFields::default()).then_some(told)
}

/// How far a long operation is.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ProgressView {
    /// "progress".
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Which operation.
    pub task_id: Cow<'static, str>,
    /// "vectorization", "scan".
    pub step: Cow<'static, str>,
    /// Items done.
    pub current: u64,
    /// Items in all.
    pub total: u64,
    /// 0 to 100.
    pub percent: f64,
    /// Items a second lately.
    pub per_second: f64,
    /// How long it will take at this speed; null where that cannot be said.
    pub seconds_left: Option<f64>,
}

impl From<Progress> for ProgressView {
    fn from(progress: Progress) -> Self {
        let Progress { step, done, total, per_second } = progress;
        let percent = if total == 0 { 100.0 } else { (done as f64 / total as f64 * 100.0).min(100.0) };
        let left = total.saturating_sub(done) as f64;
        let seconds_left = match left == 0.0 {
            true => Some(0.0),
            false => Some(left / per_second).filter(|seconds| seconds.is_finite() && *seconds >= 0.0),
        };
        Self { kind: "progress", task_id: step.clone(), step, current: done, total, percent, per_second, seconds_left }
    }
}

/// Reads what a [`ProgressView`] looks like on the wire; `None` where it is something else.
pub fn read_progress(message: &str) -> Option<Progress> {
    if message.len() > MAX_EVENT_BYTES {
        return None;
    }
    let value: Value = serde_json::from_str(message).ok()?;
    let number = |name: &str| value.get(name).and_then(Value::as_u64);
    let step: String = value.get("step")?.as_str()?.chars().take(100).collect();
    let per_second = value.get("per_second").and_then(Value::as_f64).filter(|rate| rate.is_finite()).unwrap_or(0.0);
    Some(Progress { step: step.into(), done: number("current")?, total: number("total")?, per_second })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use soniquebay_domain::{ContentHash, Happening, MetadataHash, Priority, Progress, Timestamp, TrackFields};

    use super::{
        EventError, MAX_EVENT_BYTES, ProgressView, read_fields, read_progress, read_track_event, write_track_event,
    };

    #[test]
    fn both_shapes_are_read() {
        let nested = json!({
            "type": "track_created", "track_id": 123, "timestamp": 1640995200.0,
            "metadata": {"title": "T", "artist": "A", "genre": "Rock", "bpm": 120, "key": "C", "duration": 180},
        });
        let event = read_track_event(&nested.to_string()).unwrap();
        assert_eq!(
            (event.happening, event.track_id.get(), event.priority),
            (Happening::Created, 123, Priority::Normal)
        );
        let told = event.told.unwrap();
        assert_eq!((told.title.as_deref(), told.features.bpm, told.duration), (Some("T"), Some(120.0), Some(180.0)));
        let flat = json!({
            "type": "track_updated", "track_id": "7", "artist": "A", "genres": ["Rock", "Pop"], "moods": ["calm"],
            "bpm": 90, "duration": 60, "priority": 6,
        });
        let event = read_track_event(&flat.to_string()).unwrap();
        assert_eq!((event.happening, event.track_id.get(), event.priority), (Happening::Updated, 7, Priority::Bulk));
        let told = event.told.unwrap();
        assert_eq!((told.artist.as_deref(), &told.mood_tags), (Some("A"), &vec!["calm".to_owned()]));
        let deleted = read_track_event(r#"{"type":"track_deleted","track_id":9}"#).unwrap();
        assert_eq!((deleted.happening, deleted.told), (Happening::Deleted, None));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let all = json!({
            "title": "Sól", "artist": "A", "album": "B", "album_artist": "C", "genre": "Jazz", "genre_tags": ["Bop"],
            "mood_tags": ["calm"], "tags": ["x"], "year": 1999, "duration": 61.5, "bpm": 127.99, "key": "F#",
            "mode": "minor", "danceability": 0.1, "energy": 0.2, "valence": 0.3, "acousticness": 0.4,
            "instrumentalness": 0.5, "loudness": -9.25, "bitrate": 320, "path": "/m/a.flac", "file_size": 5,
            "file_mtime": 1700000000123456789i64, "musicbrainz_id": "12345678-1234-1234-1234-123456789012",
            "isrc": "USRC17607839", "mood_sad": 0.5,
        });
        let serde_json::Value::Object(members) = all else { unreachable!() };
        let fields = read_fields(members).unwrap();
        let event = soniquebay_domain::TrackEvent {
            happening: Happening::Updated,
            track_id: soniquebay_domain::TrackId::new(5).unwrap(),
            priority: Priority::Interactive,
            told: Some(Box::new(fields.clone())),
        };
        let read = read_track_event(&write_track_event(&event, Timestamp(1_640_995_200_500))).unwrap();
        assert_eq!(read, event);
        let told = read.told.unwrap();
        assert_eq!(ContentHash::of(&told), ContentHash::of(&fields));
        assert_eq!(MetadataHash::of(&told), MetadataHash::of(&fields));
        let bare = TrackFields { title: Some("only a title".into()), ..TrackFields::default() };
        assert_eq!(read_fields(crate::write_fields(&bare)), Some(bare));
    }

    #[test]
    fn one_wrong_field_costs_no_other() {
        let event =
            r#"{"type":"track_created","track_id":1,"metadata":{"title":"T","bpm":"fast","year":1e99,"genre":"Rock"}}"#;
        let told = read_track_event(event).unwrap().told.unwrap();
        assert_eq!((told.title.as_deref(), told.genre.as_deref(), told.features.bpm), (Some("T"), Some("Rock"), None));
        let nameless = read_track_event(r#"{"type":"track_created","track_id":1,"metadata":{"title":5}}"#).unwrap();
        assert_eq!(nameless.told, None, "nothing is said of it");
    }

    #[test]
    fn what_is_no_event_is_refused() {
        for message in ["", "x", "[]", "{}", r#"{"type":"track_created"}"#, r#"{"type":"track_created","track_id":0}"#]
        {
            assert!(matches!(read_track_event(message), Err(EventError::Malformed(_))), "{message}");
        }
        let unknown = read_track_event(r#"{"type":"artist_created","artist_id":1}"#);
        assert_eq!(unknown, Err(EventError::UnknownType("artist_created".into())));
        let long = format!(r#"{{"type":"track_created","track_id":1,"title":"{}"}}"#, "x".repeat(MAX_EVENT_BYTES));
        assert!(matches!(read_track_event(&long), Err(EventError::Malformed(_))));
    }

    #[test]
    fn progress_is_read_back() {
        let progress = Progress { step: "scan".into(), done: 30, total: 40, per_second: 5.0 };
        let message = serde_json::to_string(&ProgressView::from(progress.clone())).unwrap();
        assert!(message.contains(r#""percent":75.0"#) && message.contains(r#""seconds_left":2.0"#), "{message}");
        assert_eq!(read_progress(&message), Some(progress));
        assert_eq!(read_progress("{}"), None);
    }
}
