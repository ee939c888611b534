use std::fmt;

/// The space that a vector lies in: vectors of different spaces are never compared. The metric is always cosine.
///
/// Written `model/dims/revision`, for example `all-MiniLM-L6-v2/396/parts-1`, or `external/396` for vectors that a
/// client made. The revision names all that decides what a vector means beside the model: template, centring, mapping, weights.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Space {
    model: String,
    dims: usize,
    revision: String,
}

/// What stands for a model in the sound space's name.
const SOUND: &str = "sound";

/// Why a text names no space.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpaceError {
    /// Not `model/dims` or `model/dims/revision`.
    #[error("{0:?} is not a space: write model/dims/revision, for example all-MiniLM-L6-v2/396/parts-1")]
    Malformed(String),
    /// More dimensions than are served, or none.
    #[error("{0} dimensions: a space has 1 to {max}", max = Space::MAX_DIMS)]
    Dims(usize),
}

impl Space {
    /// The longest vector that is stored.
    pub const MAX_DIMS: usize = 4096;

    /// A space, checked.
    pub fn new(model: &str, dims: usize, revision: &str) -> Result<Self, SpaceError> {
        let space = Self { model: model.into(), dims, revision: revision.into() };
        let plain = |part: &str| {
            part.len() <= 64
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'+'))
        };
        if model.is_empty() || !plain(model) || !plain(revision) {
            return Err(SpaceError::Malformed(space.to_string()));
        }
        if dims == 0 || dims > Self::MAX_DIMS {
            return Err(SpaceError::Dims(dims));
        }
        Ok(space)
    }

    /// The space of what tracks sound like, as this revision of the analysis hears it: `sound/<dims>/<revision>`.
    ///
    /// # Errors
    /// Where length or revision name no space.
    pub fn sound(dims: usize, revision: &str) -> Result<Self, SpaceError> {
        Self::new(SOUND, dims, revision)
    }

    /// Whether its vectors are made of files rather than of what tracks say.
    pub fn is_sound(&self) -> bool {
        self.model == SOUND
    }

    /// The space of vectors that a client made and did not name.
    pub fn external(dims: usize) -> Result<Self, SpaceError> {
        Self::new("external", dims, "")
    }

    /// Reads what [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Result<Self, SpaceError> {
        let malformed = || SpaceError::Malformed(text.chars().take(100).collect());
        let mut parts = text.split('/');
        let (model, dims) = parts.next().zip(parts.next()).ok_or_else(malformed)?;
        let revision = parts.next().unwrap_or("");
        if parts.next().is_some() {
            return Err(malformed());
        }
        Self::new(model, dims.parse().map_err(|_| malformed())?, revision)
    }

    /// Name of the model.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Length of its vectors.
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// What the vectors were made by beside the model.
    pub fn revision(&self) -> &str {
        &self.revision
    }
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.model, self.dims)?;
        if !self.revision.is_empty() {
            write!(f, "/{}", self.revision)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Space, SpaceError};

    #[test]
    fn names_are_read_back() {
        for name in ["all-MiniLM-L6-v2/396/parts-1", "external/396"] {
            assert_eq!(Space::parse(name).unwrap().to_string(), name);
        }
    }

    #[test]
    fn hostile_names_are_refused() {
        for name in ["", "a", "/3", "a/b", "a/3/b/c", "a'; DROP TABLE tracks;--/3", "a/3/é"] {
            assert!(matches!(Space::parse(name), Err(SpaceError::Malformed(_))), "{name}");
        }
        assert_eq!(Space::parse("a/0"), Err(SpaceError::Dims(0)));
        assert_eq!(Space::parse("a/5000"), Err(SpaceError::Dims(5000)));
    }
}
