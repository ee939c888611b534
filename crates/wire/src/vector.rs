use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use soniquebay_domain::{ContentHash, FieldError, MetadataHash, Space, StoredVector, TrackId, Vector, VectorWrite};
use utoipa::ToSchema;

use crate::track::{moment, read_id};
use crate::{TrackRecord, parse_track, rfc3339, write_fields};

/// A stored vector as it is answered.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct VectorView {
    /// Whose.
    pub track_id: i64,
    /// In which space: `model/dims/revision`.
    pub space: String,
    /// The numbers.
    pub embedding: Vec<f32>,
    /// Fingerprint of what it was made from.
    pub content_hash: String,
    /// When it was made, RFC 3339.
    pub updated_at: String,
}

impl From<&StoredVector> for VectorView {
    fn from(stored: &StoredVector) -> Self {
        Self {
            track_id: stored.track_id.get(),
            space: stored.space.to_string(),
            embedding: stored.vector.as_slice().to_vec(),
            content_hash: stored.content_hash.to_string(),
            updated_at: rfc3339(stored.updated_at),
        }
    }
}

/// A vector that a client sends, before it is checked.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct VectorInput {
    /// Whose: a number, or a text of digits.
    #[schema(value_type = i64)]
    pub track_id: Value,
    /// The numbers, 1 to 4096.
    pub embedding: Vec<f64>,
    /// The space, `model/dims/revision`; without one it is `external/<dims>`.
    #[serde(default)]
    pub space: Option<String>,
    /// Fingerprint of what it was made from; without one, the track as it stands.
    #[serde(default)]
    pub content_hash: Option<String>,
    /// The track's version when it was made, 0 or more; for a recommender that keeps copies of a library's tracks.
    #[serde(default)]
    #[schema(minimum = 0)]
    pub version: Option<i64>,
    /// What filters need of the track, with the names of a track's fields.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Map<String, Value>>,
}

/// A vector that a client sent, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorRecord {
    /// Whose.
    pub track_id: TrackId,
    /// In which space. The vector has its length.
    pub space: Space,
    /// The numbers.
    pub vector: Vector,
    /// What it was made from.
    pub content_hash: Option<ContentHash>,
    /// The track's version then.
    pub version: Option<i64>,
    /// What the client says of the track.
    pub metadata: Option<TrackRecord>,
}

impl VectorInput {
    /// Checks everything.
    ///
    /// # Errors
    /// One for every field that is wrong.
    pub fn check(self) -> Result<VectorRecord, Vec<FieldError>> {
        let mut errors = Vec::new();
        let mut keep = |error: FieldError| errors.push(error);
        let track_id = read_id(&self.track_id).map_err(|r| keep(FieldError::new("track_id", r))).ok();
        let content_hash = match self.content_hash.as_deref().map(|text| (text, ContentHash::parse(text))) {
            Some((text, None)) => {
                let shown: String = text.chars().take(40).collect();
                keep(FieldError::new("content_hash", format!("{shown:?} is no hash: 32 hexadecimal digits")));
                None
            }
            Some((_, hash)) => hash,
            None => None,
        };
        let vector = read_embedding(&self.embedding).map_err(&mut keep).ok();
        let space = match &self.space {
            Some(name) => Space::parse(name),
            None => Space::external(self.embedding.len()),
        };
        // An impossible length has been reported as the embedding's fault already.
        let space = match space {
            Err(error) if self.space.is_some() => {
                keep(FieldError::new("space", error.to_string()));
                None
            }
            other => other.ok(),
        };
        if let (Some(space), Some(vector)) = (&space, &vector) {
            let (expected, found) = (space.dims(), vector.as_slice().len());
            if expected != found {
                keep(FieldError::new("embedding", format!("{found} numbers where {space} has {expected}")));
            }
        }
        if let Some(version) = self.version.filter(|version| *version < 0) {
            keep(FieldError::new("version", format!("{version} is negative: a version is 0 or more")));
        }
        let metadata = match self.metadata.map(parse_track) {
            Some(Err(found)) => {
                found.into_iter().for_each(|e| keep(FieldError::new(&format!("metadata.{}", e.field), e.reason)));
                None
            }
            Some(Ok(record)) => Some(record),
            None => None,
        };
        match (track_id, space, vector) {
            (Some(track_id), Some(space), Some(vector)) if errors.is_empty() => {
                Ok(VectorRecord { track_id, space, vector, content_hash, version: self.version, metadata })
            }
            _ => Err(errors),
        }
    }
}

/// A vector as it is sent to a recommender; [`VectorInput`] reads it there.
#[derive(Clone, Debug, Serialize)]
pub struct VectorOutput<'a> {
    track_id: i64,
    space: String,
    embedding: &'a [f32],
    #[serde(skip_serializing_if = "Option::is_none")]
    content_hash: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Map<String, Value>>,
}

impl<'a> From<&'a VectorWrite> for VectorOutput<'a> {
    fn from(write: &'a VectorWrite) -> Self {
        Self {
            track_id: write.track_id.get(),
            space: write.space.to_string(),
            embedding: write.vector.as_slice(),
            content_hash: write.content_hash.as_ref().map(ContentHash::as_str),
            version: write.version,
            metadata: write.told.as_deref().map(write_fields),
        }
    }
}

/// A vector as a recommender answers it: ours, or one that knows neither spaces nor hashes.
#[derive(Clone, Debug, Deserialize)]
pub struct VectorAnswer {
    track_id: Value,
    embedding: Vec<f32>,
    #[serde(default)]
    space: Option<String>,
    #[serde(default)]
    content_hash: Option<String>,
    #[serde(default)]
    metadata_hash: Option<String>,
    #[serde(default)]
    updated_at: Option<String>,
}

/// A hash that no track has.
const NO_HASH: &str = "00000000000000000000000000000000";

impl VectorAnswer {
    /// Whether it tells its space and what it was made from, as ours do.
    pub fn says_all(&self) -> bool {
        self.space.is_some() && self.content_hash.is_some()
    }

    /// The vector, if it is one of `space`. One that names no space is of the space that was asked for; one that does not
    /// say what it was made from was made from nothing that is known, and so is stale.
    ///
    /// # Errors
    /// Names what is wrong with it.
    pub fn check(self, space: &Space) -> Result<StoredVector, FieldError> {
        let track_id = read_id(&self.track_id).map_err(|reason| FieldError::new("track_id", reason))?;
        if let Some(other) = self.space.filter(|name| *name != space.to_string()) {
            return Err(FieldError::new("space", format!("{other:?} is not {space}")));
        }
        let vector = Vector::with_dims(self.embedding, space.dims());
        let hash = |text: Option<String>| text.unwrap_or_else(|| NO_HASH.to_owned());
        let malformed = |name| FieldError::new(name, "is no hash: 32 hexadecimal digits");
        Ok(StoredVector {
            track_id,
            space: space.clone(),
            vector: vector.map_err(|error| FieldError::new("embedding", error.to_string()))?,
            content_hash: ContentHash::parse(&hash(self.content_hash)).ok_or_else(|| malformed("content_hash"))?,
            metadata_hash: MetadataHash::parse(&hash(self.metadata_hash)).ok_or_else(|| malformed("metadata_hash"))?,
            updated_at: moment(self.updated_at.as_deref()),
        })
    }
}

/// Makes a vector of the numbers that JSON gave.
///
/// # Errors
/// Names `embedding` where the numbers are none, too many, all zero, or too large for single precision.
pub fn read_embedding(numbers: &[f64]) -> Result<Vector, FieldError> {
    // Cut, so that a long list is not copied only to be refused; one number too many is enough for the message to be
    // made of the length that came.
    if numbers.len() > Space::MAX_DIMS {
        let reason = format!("{} numbers: a vector has 1 to {}", numbers.len(), Space::MAX_DIMS);
        return Err(FieldError::new("embedding", reason));
    }
    let narrowed = numbers.iter().map(|number| *number as f32).collect();
    Vector::new(narrowed).map_err(|error| FieldError::new("embedding", error.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use soniquebay_domain::Space;

    use super::{VectorAnswer, VectorInput};

    fn check(value: Value) -> Result<String, Vec<String>> {
        let input: VectorInput = serde_json::from_value(value).unwrap();
        let record = input.check().map_err(|errors| errors.iter().map(|e| e.field.clone()).collect::<Vec<_>>())?;
        Ok(format!("{} {}", record.track_id, record.space))
    }

    #[test]
    fn a_vector_without_a_space_is_external() {
        assert_eq!(check(json!({"track_id": "7", "embedding": [1, 0.5]})).unwrap(), "7 external/2");
        let named = json!({"track_id": 7, "embedding": [1, 0.5], "space": "mine/2/a", "metadata": {"genre": "rock"}});
        assert_eq!(check(named).unwrap(), "7 mine/2/a");
    }

    #[test]
    fn everything_wrong_is_named_at_once() {
        let wrong = json!({
            "track_id": -1, "embedding": [0, 0], "space": "x", "content_hash": "zz", "metadata": {"bpm": 5}, "version": -1,
        });
        let mut fields = check(wrong).unwrap_err();
        fields.sort();
        assert_eq!(fields, ["content_hash", "embedding", "metadata.bpm", "space", "track_id", "version"]);
        for embedding in [json!([]), json!([1e300, 1]), json!(vec![1; 4097])] {
            assert_eq!(check(json!({"track_id": 1, "embedding": embedding})).unwrap_err(), ["embedding"]);
        }
        let other_length = json!({"track_id": 1, "embedding": [1, 2], "space": "mine/3"});
        assert_eq!(check(other_length).unwrap_err(), ["embedding"]);
    }

    #[test]
    fn a_recommender_without_spaces_or_hashes_is_read() {
        let space = Space::external(2).unwrap();
        let read = |value: Value| serde_json::from_value::<VectorAnswer>(value).unwrap().check(&space);
        let plain = read(json!({"track_id": 7, "embedding": [1, 0.5], "id": 1})).unwrap();
        assert_eq!((plain.track_id.get(), plain.space), (7, space.clone()));
        assert!(plain.content_hash.as_str().bytes().all(|digit| digit == b'0'), "stale, whatever the track is");
        for (wrong, field) in [
            (json!({"track_id": 0, "embedding": [1, 0]}), "track_id"),
            (json!({"track_id": 1, "embedding": [1, 0, 0]}), "embedding"),
            (json!({"track_id": 1, "embedding": [0, 0]}), "embedding"),
            (json!({"track_id": 1, "embedding": [1, 0], "space": "mine/2"}), "space"),
            (json!({"track_id": 1, "embedding": [1, 0], "content_hash": "x"}), "content_hash"),
        ] {
            assert_eq!(read(wrong).unwrap_err().field, field);
        }
    }
}
