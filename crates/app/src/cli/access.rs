//! Who is answered, and where from.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::http::{HeaderValue, Uri};
use clap::{Args, Subcommand};
use ipnet::IpNet;
use soniquebay_api::{AccessSettings, Limits, Rate};
use soniquebay_domain::{KeyHash, Keys, Scope};

use crate::exit::End;

/// Shorter ones can be guessed.
const SHORT_KEY: usize = 16;

/// Seconds' worth of requests that may come at once.
const BURST: u32 = 10;

/// Who is answered, and where from.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Access")]
pub(crate) struct AccessArgs {
    /// Let everybody in, without a key and under any name, at an address that other machines can reach too. THERE IS THEN NO
    /// ACCESS CONTROL: whoever reaches it can read, change and delete everything.
    #[arg(long)]
    pub(crate) insecure: bool,

    /// Networks whose callers need no key and may do everything, with commas between: 172.16.0.0/12. For programs that cannot
    /// send one.
    #[arg(long, value_name = "NETWORKS", env = "TRUSTED_NETWORKS")]
    trusted_networks: Option<String>,

    /// Addresses or networks of reverse proxies that are believed about whom they ask for (X-Forwarded-For).
    #[arg(long, value_name = "NETWORKS", env = "TRUSTED_PROXIES")]
    trusted_proxies: Option<String>,

    /// Names beside localhost and addresses under which this is asked without a key, with commas between.
    #[arg(long, value_name = "NAMES", env = "ALLOWED_HOSTS")]
    allowed_hosts: Option<String>,

    /// Pages of other sites that may ask from a browser, as scheme and host, with commas between.
    #[arg(long, value_name = "ORIGINS", env = "CORS_ORIGINS")]
    cors_origins: Option<String>,

    /// Requests a second that one key or address may make, on and on; ten times as many at once. 0 for no limit. This machine
    /// and trusted networks have none.
    #[arg(long, value_name = "N", default_value_t = 200, env = "RATE_LIMIT", value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    rate_limit: u32,

    /// Connections that each listener holds at one time, of one address at most half of them. Where more come, those give way
    /// that have asked nothing for longest.
    #[arg(long, value_name = "N", default_value_t = 400, env = "HTTP_CONNECTIONS", value_parser = clap::value_parser!(u16).range(16..=10_000))]
    connections: u16,

    /// Path below which a reverse proxy shows this: /soniquebay.
    #[arg(long, value_name = "PATH", env = "SONIQUEBAY_BASE_PATH")]
    base_path: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key. It is printed once, and kept nowhere.
    Create {
        /// What to call it: letters, digits, and any of . _ -
        #[arg(value_name = "NAME", value_parser = key_name)]
        name: String,

        /// What it allows: read (to ask), write (to change tracks and vectors too) or admin (everything).
        #[arg(long, value_name = "SCOPE", default_value = "read", value_parser = scope)]
        scope: Scope,

        /// Write name, scope and key as JSON.
        #[arg(long)]
        json: bool,
    },
    /// List the keys by name: what each allows, never the key itself.
    List {
        /// Write the list as JSON on standard output.
        #[arg(long)]
        json: bool,
    },
    /// Make a key worthless, within a second and without a restart.
    Revoke {
        /// Its name, as `list` shows it.
        #[arg(value_name = "NAME")]
        name: String,
    },
}

fn key_name(name: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    match (1..=64).contains(&name.len()) && name.chars().all(is_plain) {
        true => Ok(name.to_owned()),
        false => Err("1 to 64 letters, digits, and any of . _ -".to_owned()),
    }
}

fn scope(name: &str) -> Result<Scope, String> {
    Scope::parse(name).ok_or_else(|| "one of read, write, admin".to_owned())
}

impl AccessArgs {
    /// How much a listener takes on.
    pub(crate) fn limits(&self) -> Limits {
        Limits { connections: usize::from(self.connections), ..Limits::default() }
    }

    /// What these say for a process that listens at these addresses; `own_key` is what our services send each other.
    ///
    /// # Errors
    /// Where a setting means nothing; it is named.
    pub(crate) fn settings(
        &self,
        addresses: &[SocketAddr],
        own_key: Option<&str>,
        keys: Option<Arc<dyn Keys>>,
    ) -> Result<AccessSettings, End> {
        if own_key.is_some_and(|key| key.len() < SHORT_KEY) {
            tracing::warn!(
                "SONIQUEBAY_API_KEY is short enough to be guessed: `openssl rand -hex 32` makes a better one"
            );
        }
        let burst = self.rate_limit.saturating_mul(BURST);
        Ok(AccessSettings {
            keys,
            own_key: own_key.map(KeyHash::of),
            reachable: addresses.iter().any(|address| !address.ip().is_loopback()),
            insecure: self.insecure,
            trusted_networks: each("TRUSTED_NETWORKS", &self.trusted_networks, network)?,
            trusted_proxies: each("TRUSTED_PROXIES", &self.trusted_proxies, network)?,
            hosts: each("ALLOWED_HOSTS", &self.allowed_hosts, host)?,
            cors_origins: each("CORS_ORIGINS", &self.cors_origins, origin)?,
            rate: (self.rate_limit > 0).then_some(Rate { per_second: self.rate_limit, burst }),
            base_path: base_path(self.base_path.as_deref().unwrap_or_default())?,
        })
    }
}

/// The parts of a setting that commas separate, each as `read` reads it; `Err` says what is allowed.
fn each<T>(
    setting: &str,
    text: &Option<String>,
    read: impl Fn(&str) -> Result<T, &'static str>,
) -> Result<Vec<T>, End> {
    let parts = text.as_deref().unwrap_or_default().split(',').map(str::trim).filter(|part| !part.is_empty());
    let wrong = |part: &str, allowed: &str| End::Usage(format!("{setting}: {part:?} is wrong: {allowed}"));
    parts.map(|part| read(part).map_err(|allowed| wrong(part, allowed))).collect()
}

/// An address, or a network as `172.16.0.0/12`.
fn network(text: &str) -> Result<IpNet, &'static str> {
    let address = || text.parse::<std::net::IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| address()).map_err(|_| "write addresses or networks, such as 192.168.1.7 or 172.16.0.0/12")
}

fn host(text: &str) -> Result<String, &'static str> {
    let is_name = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    is_name.then(|| text.to_owned()).ok_or("write names without scheme, port and *, such as music.example")
}

/// What a browser sends as `Origin`.
fn origin(text: &str) -> Result<HeaderValue, &'static str> {
    let wrong = "write each as scheme://host, with a port where it is not the usual one; * is not allowed";
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or(wrong)?;
    let is_plain = !rest.contains(['*', '/', '?', '#', '@']) && text.parse::<Uri>().is_ok();
    let value = is_plain.then(|| HeaderValue::from_str(&text.to_ascii_lowercase()).ok()).flatten();
    value.ok_or(wrong)
}

fn base_path(text: &str) -> Result<String, End> {
    let path = text.trim().trim_end_matches('/');
    let is_plain = path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-._~".contains(&b));
    match path.is_empty() || (path.starts_with('/') && !path.starts_with("//") && is_plain) {
        true => Ok(path.to_owned()),
        false => Err(End::Usage(format!("SONIQUEBAY_BASE_PATH: {path:?} is wrong: write a path such as /soniquebay"))),
    }
}

#[cfg(test)]
mod tests {
    use super::{base_path, each, host, network, origin};

    #[test]
    fn settings_that_mean_nothing_are_named() {
        let networks = Some("10.0.0.0/8, ::1 ,".to_owned());
        assert_eq!(each("X", &networks, network).unwrap().len(), 2);
        let wrong = each("TRUSTED_NETWORKS", &Some("10.0.0.0/8,home".into()), network).unwrap_err().to_string();
        assert!(
            wrong.contains("TRUSTED_NETWORKS") && wrong.contains("\"home\"") && wrong.contains("172.16"),
            "{wrong}"
        );
        assert!(origin("https://music.example").is_ok() && origin("http://localhost:5173").is_ok());
        for wrong in ["*", "https://*.example", "music.example", "https://music.example/", "null", "ftp://x"] {
            assert!(origin(wrong).is_err(), "{wrong}");
        }
        assert!(host("music.example").is_ok() && host("http://music.example").is_err() && host("*").is_err());
        assert_eq!(base_path("/a/b/").unwrap(), "/a/b");
        assert_eq!(base_path("").unwrap(), "");
        assert!(base_path("a").is_err() && base_path("//evil.example").is_err() && base_path("/a b").is_err());
    }
}
