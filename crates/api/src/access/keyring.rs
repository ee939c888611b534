//! The keys that are valid now.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderValue, header};
use soniquebay_domain::{KeyHash, Keys, Scope, StoredKey};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::Caller;
use crate::error::ApiError;

/// How long what was read of the database counts: a key that is revoked opens nothing any more after so long.
const FRESH: Duration = Duration::from_millis(500);

/// How long a database that does not answer is waited for before the keys that were known go on counting.
const PATIENCE: Duration = Duration::from_secs(2);

/// The keys of the database, read again when they are asked for and were read a while ago.
pub(super) struct KeyRing {
    kept: Option<Arc<dyn Keys>>,
    own: Option<KeyHash>,
    known: Mutex<Option<Known>>,
    /// Held while they are read: one of all that wait does it.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Known {
    keys: Arc<[StoredKey]>,
    read: Instant,
}

impl KeyRing {
    pub(super) fn new(kept: Option<Arc<dyn Keys>>, own: Option<KeyHash>) -> Self {
        Self { kept, own, known: Mutex::default(), reading: tokio::sync::Mutex::default() }
    }

    /// All keys, those that were revoked too.
    pub(super) async fn known(&self) -> Result<Arc<[StoredKey]>, ApiError> {
        let Some(kept) = &self.kept else { return Ok(Arc::new([])) };
        if let Some(known) = self.fresh() {
            return Ok(known);
        }
        let _reading = self.reading.lock().await;
        if let Some(known) = self.fresh() {
            return Ok(known);
        }
        let read = Instant::now();
        let found = match tokio::time::timeout(PATIENCE, kept.keys()).await {
            Ok(found) => found.map_err(ApiError::from),
            Err(_) => Err(ApiError::unavailable(&"no answer in time", "The keys cannot be looked up now.")),
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match (found, &mut *known) {
            (Ok(keys), known) => {
                let keys: Arc<[StoredKey]> = keys.into();
                *known = Some(Known { keys: Arc::clone(&keys), read });
                Ok(keys)
            }
            // While nobody can read the database, nobody can revoke a key in it either.
            (Err(_), Some(known)) => {
                known.read = Instant::now();
                Ok(Arc::clone(&known.keys))
            }
            (Err(error), None) => Err(error),
        }
    }

    fn fresh(&self) -> Option<Arc<[StoredKey]>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|known| known.read.elapsed() < FRESH).map(|known| Arc::clone(&known.keys))
    }

    /// Whether there never was a key. One that was revoked still has keys asked for: the last one's end must not open
    /// what it closed.
    pub(super) fn asks_nobody(&self, known: &[StoredKey]) -> bool {
        self.own.is_none() && known.is_empty()
    }

    /// Whose key this is and what it allows. Takes as long whether it is there or not, and wherever.
    pub(super) fn find(&self, known: &[StoredKey], key: &[u8]) -> Option<(Caller, Scope)> {
        let shown = KeyHash::of_bytes(key);
        let valid = known.iter().filter(|key| key.revoked_at.is_none());
        let hashes = self.own.iter().chain(valid.clone().map(|key| &key.hash));
        let mut place = 0_u32;
        for (hash, number) in hashes.zip(1..) {
            let same: Choice = hash.0.ct_eq(&shown.0);
            place.conditional_assign(&number, same);
        }
        let place = usize::try_from(place).ok()?.checked_sub(1)?;
        match (&self.own, place) {
            (Some(_), 0) => Some((Caller::Role, Scope::Admin)),
            (own, place) => {
                let key = valid.clone().nth(place - usize::from(own.is_some()))?;
                Some((Caller::Key(key.name.as_str().into()), key.scope))
            }
        }
    }
}

/// The key that a request shows.
pub(super) fn shown_key(headers: &HeaderMap) -> Option<&[u8]> {
    let mut authorization = headers.get_all(header::AUTHORIZATION).iter();
    let key = authorization.find_map(bearer).or_else(|| headers.get("x-api-key").map(HeaderValue::as_bytes));
    key.map(<[u8]>::trim_ascii)
}

/// What stands behind `Bearer`; other schemes are between a proxy and its users.
fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, key) = value.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(key)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue};
    use soniquebay_domain::{KeyHash, Scope, StoredKey, Timestamp};

    use super::{Caller, KeyRing, shown_key};

    fn stored(name: &str, key: &str, scope: Scope, revoked: bool) -> StoredKey {
        StoredKey {
            name: name.into(),
            hash: KeyHash::of(key),
            scope,
            created_at: Timestamp(0),
            revoked_at: revoked.then_some(Timestamp(1)),
        }
    }

    #[test]
    fn a_key_is_found_wherever_it_lies_and_revoked_ones_nowhere() {
        let keys = [
            stored("a", "one", Scope::Read, false),
            stored("b", "two", Scope::Admin, true),
            stored("c", "three", Scope::Write, false),
        ];
        for own in [None, Some(KeyHash::of("own"))] {
            let ring = KeyRing::new(None, own);
            let found = |key: &str| ring.find(&keys, key.as_bytes());
            assert_eq!(found("one"), Some((Caller::Key("a".into()), Scope::Read)));
            assert_eq!(found("three"), Some((Caller::Key("c".into()), Scope::Write)));
            assert_eq!((found("two"), found(""), found("One")), (None, None, None));
            assert_eq!(found("own"), own.map(|_| (Caller::Role, Scope::Admin)));
            assert!(!ring.asks_nobody(&keys[1..2]), "revoked, and still asked for");
            assert_eq!(ring.asks_nobody(&[]), own.is_none());
        }
    }

    #[test]
    fn keys_are_shown_in_either_header() {
        let shown = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            shown_key(&headers).map(|key| String::from_utf8(key.to_vec()).unwrap())
        };
        assert_eq!(shown("authorization", "Bearer k1").as_deref(), Some("k1"));
        assert_eq!(shown("authorization", "bearer  k1 ").as_deref(), Some("k1"));
        assert_eq!(shown("x-api-key", "k1").as_deref(), Some("k1"));
        for (name, other) in [("authorization", "Basic dTpw"), ("authorization", "Bearer"), ("cookie", "k1")] {
            assert_eq!(shown(name, other), None, "{other}");
        }
    }
}
