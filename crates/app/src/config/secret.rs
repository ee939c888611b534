//! What must not be shown.

use std::borrow::Cow;

const MASK: &str = "***";

/// Ends of names that stand for secrets.
const SECRETS: [&str; 4] = ["_KEY", "_TOKEN", "_SECRET", "_PASSWORD"];

/// The value of a setting without what opens doors: keys, and passwords inside addresses.
pub(crate) fn masked<'a>(env: &str, value: &'a str) -> Cow<'a, str> {
    if SECRETS.iter().any(|end| env.ends_with(end)) && !value.is_empty() {
        return MASK.into();
    }
    let Some((scheme, rest)) = value.split_once("://") else { return value.into() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    // A password may hold @ itself: the host begins behind the last one.
    let (authority, path) = rest.split_at(end);
    let mut shown = format!("{scheme}://");
    match authority.rsplit_once('@') {
        Some((user, host)) => {
            let user = user.split_once(':').map_or(user, |(user, _)| user);
            shown.push_str(&format!("{user}:{MASK}@{host}"));
        }
        // One that was not written as an address asks: the rest may hold the password.
        None if path.contains('@') => return format!("{scheme}://{MASK}").into(),
        None => shown.push_str(authority),
    }
    match path.split_once("password=") {
        Some((before, after)) => {
            let after = after.split_once('&').map(|(_, more)| format!("&{more}")).unwrap_or_default();
            shown.push_str(&format!("{before}password={MASK}{after}"));
        }
        None => shown.push_str(path),
    }
    shown.into()
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn no_password_is_shown() {
        for (value, shown) in [
            ("redis://host:6379/0", "redis://host:6379/0"),
            ("redis://:secret@host:6379/0", "redis://:***@host:6379/0"),
            ("postgres://user:secret@host/name", "postgres://user:***@host/name"),
            ("postgres://user:sec@ret@host/name", "postgres://user:***@host/name"),
            ("postgres://user:sec/ret@host/name", "postgres://***"),
            ("postgres://host/name?user=me&password=secret&x=1", "postgres://host/name?user=me&password=***&x=1"),
            ("sqlite:///path/to/file", "sqlite:///path/to/file"),
            ("127.0.0.1:8001", "127.0.0.1:8001"),
        ] {
            assert_eq!(masked("ANY_URL", value), shown);
        }
        assert_eq!(masked("SONIQUEBAY_API_KEY", "secret"), "***");
        assert_eq!(masked("SONIQUEBAY_API_KEY", ""), "");
    }
}
