//! `soniquebay keys`: who may ask over HTTP.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Serialize;
use soniquebay_domain::{KeyHash, Scope, StoredKey};
use soniquebay_wire::rfc3339;

use crate::cli::{Cli, KeysCommand};
use crate::exit::End;
use crate::library;
use crate::output;

/// Tells a key of ours from other texts, as those look for that search code and logs for secrets.
const PREFIX: &str = "sb_";

pub(crate) async fn run(cli: &Cli, command: &KeysCommand) -> anyhow::Result<()> {
    let store = library::database(cli).await?;
    match command {
        KeysCommand::Create { name, scope, json } => {
            let key = new_key()?;
            if !store.add_key(name, KeyHash::of(&key), *scope).await? {
                let message = format!("there is a key {name} already: choose another name, or revoke that one first");
                return Err(End::Usage(message).into());
            }
            if *json {
                return output::json(&Created { name, scope: scope.name(), key: &key });
            }
            output::line(&key)?;
            output::note(&format!(
                "key {name} allows to {}; it is shown this once. From now on every caller must show a key.",
                allowed(*scope)
            ));
            Ok(())
        }
        KeysCommand::List { json } => {
            let keys = store.keys().await?;
            if *json {
                return output::json(&keys.iter().map(Listed::from).collect::<Vec<_>>());
            }
            let row = |key: &StoredKey| {
                let state = key.revoked_at.map(|at| format!("revoked {}", rfc3339(at))).unwrap_or_default();
                vec![key.name.clone(), key.scope.name().to_owned(), rfc3339(key.created_at), state]
            };
            output::table(&["key", "scope", "made", ""], &[], keys.iter().map(row))
        }
        KeysCommand::Revoke { name } => {
            if !store.revoke_key(name).await? {
                let message =
                    format!("there is no valid key {name}: `soniquebay keys list` shows which ones there are");
                return Err(End::NotFound(message).into());
            }
            output::line(&format!("key {name} opens nothing any more"))?;
            if store.keys().await?.iter().all(|key| key.revoked_at.is_some()) {
                output::note(
                    "No key is left, and keys are asked for all the same: make another one with `keys create`.",
                );
            }
            Ok(())
        }
    }
}

/// 256 random bits of the operating system's.
fn new_key() -> anyhow::Result<String> {
    let mut bits = [0; 32];
    getrandom::fill(&mut bits)?;
    Ok(format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bits)))
}

fn allowed(scope: Scope) -> &'static str {
    match scope {
        Scope::Read => "ask",
        Scope::Write => "ask, and to change tracks and vectors",
        Scope::Admin => "do everything",
    }
}

#[derive(Serialize)]
struct Created<'a> {
    name: &'a str,
    scope: &'static str,
    key: &'a str,
}

#[derive(Serialize)]
struct Listed<'a> {
    name: &'a str,
    scope: &'static str,
    created_at: String,
    revoked_at: Option<String>,
}

impl<'a> From<&'a StoredKey> for Listed<'a> {
    fn from(key: &'a StoredKey) -> Self {
        let revoked_at = key.revoked_at.map(rfc3339);
        Self { name: &key.name, scope: key.scope.name(), created_at: rfc3339(key.created_at), revoked_at }
    }
}
