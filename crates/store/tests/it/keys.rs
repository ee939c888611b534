//! The keys that callers show, asked what the port promises.

use std::time::Duration;

use soniquebay_domain::{KeyHash, Scope};

use crate::{Fixture, on_each_store};

on_each_store!(keys_are_kept_hashed_and_revoked_for_good);

async fn keys_are_kept_hashed_and_revoked_for_good(fixture: Fixture) {
    let store = &fixture.store;
    assert!(store.keys().await.unwrap().is_empty());
    assert!(store.add_key("phone", KeyHash::of("secret"), Scope::Read).await.unwrap());
    assert!(store.add_key("boss", KeyHash::of("other"), Scope::Admin).await.unwrap());
    assert!(!store.add_key("phone", KeyHash::of("third"), Scope::Admin).await.unwrap(), "its name is taken");
    assert!(!store.add_key("twice", KeyHash::of("secret"), Scope::Admin).await.unwrap(), "one key has one name");
    let keys = store.keys().await.unwrap();
    let seen: Vec<_> = keys.iter().map(|key| (key.name.as_str(), key.scope, key.revoked_at)).collect();
    assert_eq!(seen, [("boss", Scope::Admin, None), ("phone", Scope::Read, None)]);
    assert!(keys[1].hash == KeyHash::of("secret") && keys[1].created_at.0 > 0);

    fixture.clock.advance(Duration::from_secs(1));
    assert!(store.revoke_key("phone").await.unwrap());
    assert!(!store.revoke_key("phone").await.unwrap() && !store.revoke_key("nobody").await.unwrap());
    assert!(store.keys().await.unwrap()[1].revoked_at > Some(keys[1].created_at));
    assert!(store.add_key("phone", KeyHash::of("new"), Scope::Write).await.unwrap(), "its name is free again");
    let keys = store.keys().await.unwrap();
    assert_eq!((keys.len(), keys[1].scope, keys[1].revoked_at), (2, Scope::Write, None));
}
