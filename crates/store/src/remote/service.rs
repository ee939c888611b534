//! One server: how it is asked, and what is said when it does not answer as it should.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use soniquebay_domain::{StoreError, TrackId};
use soniquebay_http::{Answer, ApiKey, BaseUrl, Bounds, Bytes, Http, Method, Settings, StatusCode};

/// Requests of one call that are in flight together.
pub(super) const AT_ONCE: usize = 4;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Until a connection stands.
    pub connect: Duration,
    /// A request, from connecting to the last byte of its answer.
    pub request: Duration,
    /// Tries of a request that the server is too busy for.
    pub tries: u32,
    /// The first wait between two tries, where the server does not say how long; each further one is twice as long.
    pub first_wait: Duration,
    /// A server that asks for more is left alone.
    pub longest_wait: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            request: Duration::from_secs(30),
            tries: 4,
            first_wait: Duration::from_millis(250),
            longest_wait: Duration::from_secs(10),
        }
    }
}

pub(super) struct Service {
    http: Http,
    /// What it is called in messages.
    name: &'static str,
    patience: Patience,
}

/// What a problem of ours says, as far as anything follows from it; another program's says nothing of it.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Problem {
    pub(super) code: Option<String>,
    pub(super) index: Option<usize>,
    pub(super) track_id: Option<i64>,
    detail: Value,
}

impl Problem {
    pub(super) fn of(answer: &Answer) -> Self {
        serde_json::from_slice(&answer.body).unwrap_or_default()
    }

    /// Whether a 404 is about what was sent and not about the path: of a path, FastAPI says these two words and no others.
    pub(super) fn is_authors(&self) -> bool {
        self.code.is_none() && self.detail.as_str().is_some_and(|detail| detail != "Not Found")
    }

    /// The track that is to blame, where it is told or is the only one.
    pub(super) fn track(&self, sent: &[TrackId]) -> Option<TrackId> {
        let told = self.track_id.and_then(TrackId::new);
        told.or_else(|| sent.get(self.index.unwrap_or(0)).copied().filter(|_| self.index.is_some() || sent.len() == 1))
    }
}

impl Service {
    pub(super) fn new(name: &'static str, server: BaseUrl, api_key: Option<ApiKey>, patience: Patience) -> Self {
        let http = Http::new(Settings { server, api_key, connect: patience.connect, idle_connections: 2 * AT_ONCE });
        Self { http, name, patience }
    }

    pub(super) async fn get(&self, path: &str, bytes: usize) -> Result<Answer, StoreError> {
        self.ask(Method::GET, path, Bytes::new(), bytes).await
    }

    /// An answer from which something follows: no fault of the server's, and nothing that would go away by waiting.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        bytes: usize,
    ) -> Result<Answer, StoreError> {
        let bounds = Bounds { within: self.patience.request, bytes };
        let mut path = path.to_owned();
        let (mut tries, mut redirected) = (0, false);
        loop {
            let answer = self.http.send(method.clone(), &path, body.clone(), bounds).await;
            let answer = answer.map_err(|error| self.fault(&error.told))?;
            match answer.status {
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                    tries += 1;
                    let wait =
                        answer.retry_after.unwrap_or_else(|| self.patience.first_wait * (1 << (tries - 1).min(8)));
                    if tries >= self.patience.tries || wait > self.patience.longest_wait {
                        return Err(self.answered(&path, &answer));
                    }
                    // Clients that were refused together must not come back together.
                    tokio::time::sleep(wait + self.patience.first_wait.mul_f64(fastrand::f64())).await;
                }
                StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT if !redirected => {
                    // A slash too many or too few.
                    let location = answer.location.as_deref().and_then(|location| self.http.server().below(location));
                    path = location.ok_or_else(|| self.answered(&path, &answer))?;
                    redirected = true;
                }
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(self.answered(&path, &answer)),
                status if status.is_server_error() || status.is_redirection() => {
                    return Err(self.answered(&path, &answer));
                }
                _ => return Ok(answer),
            }
        }
    }

    pub(super) fn read<T: DeserializeOwned>(&self, path: &str, answer: &Answer) -> Result<T, StoreError> {
        serde_json::from_slice(&answer.body).map_err(|error| {
            let told = format!("{} is answered with what cannot be read: {error}", without_query(path));
            self.fault(&told)
        })
    }

    /// What the server answered is no use.
    pub(super) fn answered(&self, path: &str, answer: &Answer) -> StoreError {
        let said = match Problem::of(answer).detail {
            Value::Null => String::from_utf8_lossy(&answer.body).into_owned(),
            Value::String(detail) => detail,
            other => other.to_string(),
        };
        let line: String = said.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(200).collect();
        let line = if line.is_empty() { "nothing" } else { &line };
        self.fault(&format!("{} was answered {}: {line}", without_query(path), answer.status.as_u16()))
    }

    pub(super) fn fault(&self, told: &str) -> StoreError {
        let server = self.http.server().to_string();
        let told = told.strip_prefix(&server).map_or(told, |told| told.trim_start_matches(": "));
        StoreError::Unavailable(format!("the {} at {server}: {told}", self.name))
    }

    /// The server does not know something that makes this quick.
    pub(super) fn make_do(&self, without: &str) {
        tracing::info!(server = %self.http.server(), without, "The {} is asked in a slower way", self.name);
    }
}

fn without_query(path: &str) -> &str {
    path.split('?').next().unwrap_or_default()
}

/// Ids as a parameter takes them.
pub(super) fn joined(ids: &[TrackId]) -> String {
    ids.iter().map(TrackId::to_string).collect::<Vec<_>>().join(",")
}

/// A value as it stands in a query.
pub(super) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::encoded;

    #[test]
    fn a_value_does_not_end_its_parameter() {
        assert_eq!(encoded("a b&c=é+#/1"), "a%20b%26c%3D%C3%A9%2B%23/1");
    }
}
