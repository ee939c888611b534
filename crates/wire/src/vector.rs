use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use soniquebay_domain::{ContentHash, FieldError, Space, StoredVector, TrackId, Vector};
use utoipa::ToSchema;

use crate::{TrackRecord, parse_track, rfc3339};

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
        let track_id = crate::track::read_id(&self.track_id).map_err(|r| keep(FieldError::new("track_id", r))).ok();
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
                Ok(VectorRecord { track_id, space, vector, content_hash, metadata })
            }
            _ => Err(errors),
        }
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

    use super::VectorInput;

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
            "track_id": -1, "embedding": [0, 0], "space": "x", "content_hash": "zz", "metadata": {"bpm": 5},
        });
        let mut fields = check(wrong).unwrap_err();
        fields.sort();
        assert_eq!(fields, ["content_hash", "embedding", "metadata.bpm", "space", "track_id"]);
        for embedding in [json!([]), json!([1e300, 1]), json!(vec![1; 4097])] {
            assert_eq!(check(json!({"track_id": 1, "embedding": embedding})).unwrap_err(), ["embedding"]);
        }
        let other_length = json!({"track_id": 1, "embedding": [1, 2], "space": "mine/3"});
        assert_eq!(check(other_length).unwrap_err(), ["embedding"]);
    }
}
