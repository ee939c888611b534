//! Which requests a browser may bring here. Whoever is let in without a key could be any page that is open in a browser:
//! it could write (a form or a `fetch` needs nobody's leave to send) and, by pointing a name of its own at this machine,
//! read and delete as well. A key no foreign page knows.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use crate::error::{ApiError, Code};

const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Refuses what only a foreign page would send. `hosts` are names as good as localhost, and pages of `origins` may write.
pub(super) fn check(
    request: &Parts,
    any_host: bool,
    hosts: &[String],
    origins: &[HeaderValue],
) -> Result<(), ApiError> {
    let headers = &request.headers;
    if !any_host {
        let named = request.uri.authority().map(|authority| authority.as_str().as_bytes());
        let said = headers.get_all(header::HOST).iter().map(|host| host.as_bytes());
        // Nothing said is no browser, which always says it.
        if let Some(host) = named.into_iter().chain(said).find(|host| !is_ours(host, hosts)) {
            return Err(forbidden_host(host));
        }
    }
    let is_read = matches!(request.method, Method::GET | Method::HEAD | Method::OPTIONS);
    let mut said = headers.get_all(header::ORIGIN).iter();
    match said.find(|origin| !is_read && !origins.contains(origin) && !is_same(origin.as_bytes(), headers)) {
        Some(origin) => Err(forbidden_origin(origin.as_bytes())),
        None => Ok(()),
    }
}

/// Whether this is an address, the machine itself, a name of these, or one without a dot, as containers have: no name that
/// its owner could point here.
fn is_ours(host: &[u8], hosts: &[String]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    if let Some((address, port)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address.parse::<Ipv6Addr>().is_ok() && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    let name = match host.rsplit_once(':') {
        Some((name, port)) if is_port(port) => name,
        Some(_) => return false,
        None => host,
    };
    let name = name.to_ascii_lowercase();
    let is_here = name.ends_with(".localhost") || name.parse::<Ipv4Addr>().is_ok();
    let is_local = !name.contains('.') && name.starts_with(|c: char| c.is_ascii_alphabetic());
    is_here || is_local || hosts.iter().any(|ours| ours.eq_ignore_ascii_case(&name))
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

/// Whether a page of ours sends this. A proxy that changes the Host tells the page's own; a foreign page cannot say so,
/// as a browser asks before it sends such a header elsewhere, and nobody here gives leave.
fn is_same(origin: &[u8], headers: &HeaderMap) -> bool {
    let Some(scheme) = origin.windows(3).position(|part| part == b"://") else { return false };
    let host = &origin[scheme + 3..];
    let hosts = [header::HOST, FORWARDED_HOST].map(|name| headers.get(name));
    hosts.into_iter().flatten().any(|ours| ours.as_bytes().eq_ignore_ascii_case(host))
}

fn forbidden_host(host: &[u8]) -> ApiError {
    let detail = format!(
        "{} is neither an address nor localhost, and any page could have such a name point here. Behind a reverse proxy, \
         name the host that it passes on with --allowed-hosts, or let callers show a key.",
        shown(host)
    );
    ApiError::new(Code::ForbiddenHost, detail)
}

fn forbidden_origin(origin: &[u8]) -> ApiError {
    let detail = format!(
        "A page of {} may not write here: the Host that was asked is another. Behind a reverse proxy, let the proxy pass \
         the page's host on as X-Forwarded-Host; pages of other sites are let in by --cors-origins.",
        shown(origin)
    );
    ApiError::new(Code::ForbiddenOrigin, detail)
}

fn shown(value: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(value).chars().take(100).collect();
    format!("{text:?}")
}

#[cfg(test)]
mod tests {
    use super::is_ours;

    #[test]
    fn only_addresses_and_this_machine_are_ours() {
        for host in [
            "localhost",
            "LocalHost:8001",
            "a.localhost:1",
            "127.0.0.1",
            "192.168.1.7:8001",
            "[::1]",
            "[::1]:80",
            "library_service:8001",
        ] {
            assert!(is_ours(host.as_bytes(), &[]), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:8001",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "[evil.example]",
            "[::1]evil.example",
            "localhost@evil.example",
            "localhost:evil.example",
            "evil.example:80:127.0.0.1",
            "2130706433",
        ] {
            assert!(!is_ours(host.as_bytes(), &[]), "{host}");
        }
        assert!(!is_ours(b"\xff", &[]));
        let named = ["Music.example".to_owned()];
        assert!(is_ours(b"music.example:443", &named) && !is_ours(b"evil.music.example", &named));
    }
}
