//! Where a server is: every spelling of `OLLAMA_HOST`, and full URLs.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use hyper::Uri;

/// Where Ollama listens when nobody says otherwise.
const OLLAMA_PORT: u16 = 11434;

/// The base address of an embedding server, such as `http://127.0.0.1:11434`.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl {
    scheme: &'static str,
    authority: String,
    /// Empty, or with a slash at its start and none at its end.
    path: String,
}

/// What may be shown of an address: passwords and keys are not.
fn without_secrets(text: &str) -> String {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, place))) => format!("{scheme}://…@{place}"),
        (None, Some((_, place))) => format!("…@{place}"),
        (_, None) => text.to_owned(),
    }
}

/// Why a text is no address of a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no address of an embedding server: {reason}; write host, host:port or http://host:port")]
pub struct ServerUrlError {
    text: String,
    reason: &'static str,
}

impl FromStr for ServerUrl {
    type Err = ServerUrlError;

    /// Reads what Ollama accepts as `OLLAMA_HOST`: nothing, `host`, `host:port`, `:port`, `[v6]:port`, with or without
    /// `http://` or `https://` before and a path behind. Without a scheme the port is 11434. An address to listen on,
    /// such as `0.0.0.0`, means this machine. The `/v1` that OpenAI-style base addresses end with may be there or not.
    fn from_str(text: &str) -> Result<Self, ServerUrlError> {
        let refuse = |reason| ServerUrlError { text: without_secrets(text).chars().take(100).collect(), reason };
        let plain = text.trim().trim_matches(['"', '\'']).trim();
        let (scheme, default_port, rest) = match plain.split_once("://") {
            None => ("http", OLLAMA_PORT, plain),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => ("http", 80, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => ("https", 443, rest),
            Some(_) => return Err(refuse("only http and https are spoken")),
        };
        let (place, path) = rest.split_once('/').unwrap_or((rest, ""));
        if place.contains('@') {
            return Err(refuse("no user name or password belongs in it"));
        }
        if path.contains(['?', '#']) || place.contains(['?', '#']) {
            return Err(refuse("it has a query or a fragment"));
        }
        let (host, port) = host_and_port(place, default_port).ok_or_else(|| refuse("the port is not a number"))?;
        let path = path.trim_matches('/');
        let path = path.strip_suffix("v1").filter(|before| before.is_empty() || before.ends_with('/')).unwrap_or(path);
        let path = path.trim_matches('/');
        let path = if path.is_empty() { String::new() } else { format!("/{path}") };
        let url = Self { scheme, authority: format!("{host}:{port}"), path };
        match url.to_string().parse::<Uri>() {
            Ok(uri) if uri.host().is_some_and(|host| !host.is_empty()) => Ok(url),
            _ => Err(refuse("the host is not written as one")),
        }
    }
}

/// Host and port, of which either may be left out; `None` where the port is no port.
fn host_and_port(place: &str, default_port: u16) -> Option<(String, u16)> {
    let bare = place.trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Some((reachable(ip), default_port));
    }
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (place, default_port),
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let host = match bare.parse::<IpAddr>() {
        Ok(ip) => reachable(ip),
        Err(_) if host.is_empty() => Ipv4Addr::LOCALHOST.to_string(),
        Err(_) => host.to_owned(),
    };
    Some((host, port))
}

/// An address as it is connected to: where a server listens everywhere, it listens on loopback too.
fn reachable(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.to_string(),
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) if ip.is_unspecified() => format!("[{}]", Ipv6Addr::LOCALHOST),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.path)
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::ServerUrl;

    fn read(text: &str) -> String {
        text.parse::<ServerUrl>().unwrap().to_string()
    }

    #[test]
    fn passwords_are_not_repeated() {
        for text in
            ["http://user:secret@host:1", "user:secret@host", "http://host/?key=secret", "ftp://user:secret@host"]
        {
            let refused = text.parse::<ServerUrl>().unwrap_err().to_string();
            assert!(!refused.contains("secret") && refused.contains("host"), "{refused}");
        }
    }

    #[test]
    fn every_spelling_of_ollama_host_is_read() {
        for (text, url) in [
            ("", "http://127.0.0.1:11434"),
            ("music.lan", "http://music.lan:11434"),
            ("music.lan:1234", "http://music.lan:1234"),
            (":1234", "http://127.0.0.1:1234"),
            ("0.0.0.0", "http://127.0.0.1:11434"),
            ("0.0.0.0:1234", "http://127.0.0.1:1234"),
            ("::1", "http://[::1]:11434"),
            ("[::1]", "http://[::1]:11434"),
            ("[::]:1234", "http://[::1]:1234"),
            ("http://music.lan", "http://music.lan:80"),
            ("HTTPS://music.lan", "https://music.lan:443"),
            ("https://music.lan:8443/ollama/", "https://music.lan:8443/ollama"),
            ("http://music.lan:8080/v1", "http://music.lan:8080"),
            ("http://music.lan:8080/api/v1/", "http://music.lan:8080/api"),
            (" \"music.lan\" ", "http://music.lan:11434"),
        ] {
            assert_eq!(read(text), url, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = "x".repeat(100_000) + ":y";
        for text in
            ["ftp://host", "host:port", "host:99999", "user:word@host", "http://host/?x", "a b", "http://ho st", &long]
        {
            let error = text.parse::<ServerUrl>().unwrap_err().to_string();
            assert!(error.contains("embedding server") && error.len() < 400, "{error}");
        }
    }
}
