//! What this process holds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use soniquebay_domain::{Job, LeaseToken, Timestamp};

use super::super::message::Message;

/// A message that this process works on.
#[derive(Clone, Debug)]
pub(in super::super) struct Claim {
    /// Names it in `unacked`.
    pub(in super::super) tag: Vec<u8>,
    pub(in super::super) token: LeaseToken,
    pub(in super::super) message: Arc<Message>,
    pub(in super::super) job: Job,
    /// Claims before that ended without a word.
    pub(in super::super) lost: u32,
    pub(in super::super) since: Timestamp,
    pub(in super::super) expires_at: Timestamp,
}

/// The claims by their tokens. Bounded by what the worker claims together.
#[derive(Default)]
pub(in super::super) struct Claims(Mutex<HashMap<i64, Claim>>);

impl Claims {
    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Claim>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in super::super) fn insert(&self, claim: Claim) {
        self.lock().insert(claim.token.0, claim);
    }

    pub(in super::super) fn get(&self, token: LeaseToken) -> Option<Claim> {
        self.lock().get(&token.0).cloned()
    }

    pub(in super::super) fn remove(&self, token: LeaseToken) -> Option<Claim> {
        self.lock().remove(&token.0)
    }

    pub(in super::super) fn extend(&self, token: LeaseToken, expires_at: Timestamp) {
        if let Some(claim) = self.lock().get_mut(&token.0) {
            claim.expires_at = expires_at;
        }
    }

    /// All of them, oldest first.
    pub(in super::super) fn all(&self) -> Vec<Claim> {
        let mut claims: Vec<Claim> = self.lock().values().cloned().collect();
        claims.sort_by_key(|claim| claim.token.0);
        claims
    }

    pub(in super::super) fn of_task(&self, id: &str) -> Option<Claim> {
        self.lock().values().find(|claim| &*claim.message.id == id).cloned()
    }
}
