//! Where a service is.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hyper::Uri;

/// The base address of a service, such as `http://127.0.0.1:8001`.
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl {
    scheme: &'static str,
    host: String,
    port: u16,
    /// Empty, or with a slash at its start and none at its end.
    path: String,
}

/// Why a text is no address of a service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no address of a server: {reason}; write host, host:port or http://host:port")]
pub struct BaseUrlError {
    /// The text, or as much of it as may be shown.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl BaseUrl {
    /// Reads nothing, `host`, `host:port`, `:port`, `[v6]:port`, with or without `http://` or `https://` before and a path
    /// behind. Without a scheme the port is `default_port`. An address to listen on, such as `0.0.0.0`, means this machine.
    ///
    /// # Errors
    /// Where the text is none of these.
    pub fn parse(text: &str, default_port: u16) -> Result<Self, BaseUrlError> {
        let refuse = |reason| BaseUrlError { text: without_secrets(text).chars().take(100).collect(), reason };
        let plain = text.trim().trim_matches(['"', '\'']).trim();
        let (scheme, default_port, rest) = match plain.split_once("://") {
            None => ("http", default_port, plain),
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
        let url = Self { scheme, host, port, path: String::new() }.with_path(path);
        match url.to_string().parse::<Uri>() {
            Ok(uri) if uri.host().is_some_and(|host| !host.is_empty()) => Ok(url),
            _ => Err(refuse("the host is not written as one")),
        }
    }

    /// The path that all others lie below: empty, or with a slash at its start and none at its end.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The same server with another base path.
    pub fn with_path(self, path: &str) -> Self {
        let path = path.trim_matches('/');
        let path = if path.is_empty() { String::new() } else { format!("/{path}") };
        Self { path, ..self }
    }

    /// The path and query, below the base path, that a `Location` of this service's own leads to; `None` where it leads
    /// to another service.
    pub fn below(&self, location: &str) -> Option<String> {
        let uri: Uri = location.parse().ok()?;
        if let Some(host) = uri.host() {
            let scheme = uri.scheme_str().unwrap_or(self.scheme);
            let port = uri.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
            if (scheme, port) != (self.scheme, self.port) || !host.eq_ignore_ascii_case(&self.host) {
                return None;
            }
        }
        let below = uri.path_and_query()?.as_str().strip_prefix(&*self.path)?;
        below.starts_with('/').then(|| below.to_owned())
    }
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

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}{}", self.scheme, self.host, self.port, self.path)
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::BaseUrl;

    fn read(text: &str) -> String {
        BaseUrl::parse(text, 8001).unwrap().to_string()
    }

    #[test]
    fn an_address_is_read_in_every_spelling() {
        for (text, url) in [
            ("", "http://127.0.0.1:8001"),
            ("library", "http://library:8001"),
            (":1", "http://127.0.0.1:1"),
            ("http://library:8001/", "http://library:8001"),
            ("https://music.lan/bay/", "https://music.lan:443/bay"),
            ("[::]:2", "http://[::1]:2"),
        ] {
            assert_eq!(read(text), url, "{text:?}");
        }
    }

    #[test]
    fn passwords_are_not_repeated() {
        for text in
            ["http://user:secret@host:1", "user:secret@host", "http://host/?key=secret", "ftp://user:secret@host"]
        {
            let refused = BaseUrl::parse(text, 1).unwrap_err().to_string();
            assert!(!refused.contains("secret") && refused.contains("host"), "{refused}");
        }
    }

    #[test]
    fn only_its_own_redirects_lead_somewhere() {
        let url = BaseUrl::parse("http://music.lan/bay", 8001).unwrap();
        for (location, below) in [
            ("http://music.lan/bay/api/tracks/?a=1", Some("/api/tracks/?a=1")),
            ("http://MUSIC.lan:80/bay/x", Some("/x")),
            ("/bay/api/tracks/", Some("/api/tracks/")),
            ("https://music.lan/bay/x", None),
            ("http://music.lan:81/bay/x", None),
            ("http://other.lan/bay/x", None),
            ("//other.lan/bay/x", None),
            ("/elsewhere", None),
            ("/bayou/x", None),
            ("x y", None),
        ] {
            assert_eq!(url.below(location).as_deref(), below, "{location}");
        }
    }
}
