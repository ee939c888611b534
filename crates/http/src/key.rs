use std::fmt;

use hyper::header::HeaderValue;

/// A key that a server asks for, sent as `Authorization: Bearer`. Never written to a log.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(HeaderValue);

/// Why a text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the API key is empty or holds characters that no key has")]
pub struct ApiKeyError;

impl ApiKey {
    /// A key, if it can stand in a header.
    ///
    /// # Errors
    /// Where it holds line breaks or other control characters, or nothing.
    pub fn new(key: &str) -> Result<Self, ApiKeyError> {
        let key = key.trim();
        if key.is_empty() {
            return Err(ApiKeyError);
        }
        let mut value = HeaderValue::from_str(&format!("Bearer {key}")).map_err(|_| ApiKeyError)?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    pub(crate) fn authorization(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::{ApiKey, ApiKeyError};

    #[test]
    fn keys_are_never_shown() {
        let key = ApiKey::new(" secret-1 ").unwrap();
        assert_eq!(key.authorization().to_str().unwrap(), "Bearer secret-1");
        assert!(!format!("{key:?} {:?}", key.authorization()).contains("secret"));
        assert_eq!(ApiKey::new("a\nb"), Err(ApiKeyError));
        assert_eq!(ApiKey::new(" "), Err(ApiKeyError));
    }
}
