//! Where a server is: every spelling of `OLLAMA_HOST`, and full URLs.

use std::fmt;
use std::str::FromStr;

use soniquebay_http::{BaseUrl, BaseUrlError};

/// Where Ollama listens when nobody says otherwise.
const OLLAMA_PORT: u16 = 11434;

/// The base address of an embedding server, such as `http://127.0.0.1:11434`.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl(BaseUrl);

/// Why a text is no address of a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no address of an embedding server: {reason}; write host, host:port or http://host:port")]
pub struct ServerUrlError {
    text: String,
    reason: &'static str,
}

impl ServerUrl {
    pub(super) fn base(&self) -> &BaseUrl {
        &self.0
    }
}

impl FromStr for ServerUrl {
    type Err = ServerUrlError;

    /// Reads what Ollama accepts as `OLLAMA_HOST`, with port 11434 where there is no scheme. The `/v1` that OpenAI-style
    /// base addresses end with may be there or not.
    fn from_str(text: &str) -> Result<Self, ServerUrlError> {
        let refuse = |BaseUrlError { text, reason }| ServerUrlError { text, reason };
        let url = BaseUrl::parse(text, OLLAMA_PORT).map_err(refuse)?;
        match url.path().strip_suffix("/v1").map(str::to_owned) {
            Some(before) => Ok(Self(url.with_path(&before))),
            None => Ok(Self(url)),
        }
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::ServerUrl;

    fn read(text: &str) -> String {
        text.parse::<ServerUrl>().unwrap().to_string()
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
