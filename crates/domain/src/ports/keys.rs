//! Where keys are kept.

use async_trait::async_trait;

use crate::{KeyHash, Scope, StoreError, StoredKey};

/// The keys that callers show.
#[async_trait]
pub trait Keys: Send + Sync {
    /// All keys by name, those that were revoked too.
    async fn keys(&self) -> Result<Vec<StoredKey>, StoreError>;

    /// Keeps a key under a name that no valid key has; whether it did. One that was revoked gives its name up.
    async fn add_key(&self, name: &str, hash: KeyHash, scope: Scope) -> Result<bool, StoreError>;

    /// Makes a key worthless; whether there was such a valid key.
    async fn revoke_key(&self, name: &str) -> Result<bool, StoreError>;
}
