use std::error::Error;
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    AUTHORIZATION, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, RANGE, RETRY_AFTER,
    USER_AGENT,
};
use hyper::{Method, Request, Response, StatusCode};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{HttpConnector, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Serialize;
use tokio::time::timeout;

use crate::{ApiKey, BaseUrl, HttpError, HttpErrorKind};

/// Connections that nobody uses are closed after so long: before most servers close them from their side.
const IDLE: Duration = Duration::from_secs(30);

/// What is read of an answer that is no success.
const ERROR_BYTES: usize = 64 * 1024;

/// A line of a streamed answer.
const LINE_BYTES: usize = 64 * 1024;

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What it says of itself.
    pub status: StatusCode,
    /// Whether it says that it is JSON.
    pub json: bool,
    /// How long the server asks to be left alone.
    pub retry_after: Option<Duration>,
    /// Where else to ask, as the server wrote it.
    pub location: Option<String>,
    /// Which part of the whole it is, as the server wrote it.
    pub range: Option<String>,
    /// Empty where an answer that is no success has no end.
    pub body: Bytes,
}

/// A part of something, as it was answered.
#[derive(Clone, Debug)]
pub struct Part {
    /// The answer: 206 where it is a part.
    pub answer: Answer,
    /// Bytes of the whole, where the server says it.
    pub length: Option<u64>,
}

/// One server, and how it is asked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it is.
    pub server: BaseUrl,
    /// Sent with each request, where there is one.
    pub api_key: Option<ApiKey>,
    /// Until a connection stands.
    pub connect: Duration,
    /// Connections that are kept while nobody uses them.
    pub idle_connections: usize,
}

/// The bounds of one request.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// From connecting to the last byte.
    pub within: Duration,
    /// Bytes of a successful answer.
    pub bytes: usize,
}

/// Asks one server.
pub struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    server: BaseUrl,
    headers: HeaderMap,
}

impl Http {
    /// Nothing is sent before the first request.
    pub fn new(settings: Settings) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(settings.connect));
        connector.set_nodelay(true);
        connector.enforce_http(false);
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_webpki_roots()
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(settings.idle_connections)
            .build(connector);
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static("soniquebay"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(key) = &settings.api_key {
            headers.insert(AUTHORIZATION, key.authorization());
        }
        Self { client, server: settings.server, headers }
    }

    /// Where it is.
    pub fn server(&self) -> &BaseUrl {
        &self.server
    }

    /// Asks for what lies at a path below the server's address.
    ///
    /// # Errors
    /// Where there is no whole answer within the bounds; an answer of any status is one.
    pub async fn get(&self, path: &str, bounds: Bounds) -> Result<Answer, HttpError> {
        self.send(Method::GET, path, Bytes::new(), bounds).await
    }

    /// Asks for at most `length` bytes from `at` on of what lies at a path.
    ///
    /// # Errors
    /// As [`Http::get`].
    pub async fn get_part(&self, path: &str, at: u64, length: u64, bounds: Bounds) -> Result<Part, HttpError> {
        let mut request = self.request(Method::GET, path, Bytes::new())?;
        let range = format!("bytes={at}-{}", at.saturating_add(length.max(1) - 1));
        let range = HeaderValue::from_str(&range)
            .map_err(|error| HttpError::new(HttpErrorKind::BadRequest, format!("{path}: {error}")))?;
        request.headers_mut().insert(RANGE, range);
        let answer = self.call(request, bounds).await?;
        // "bytes 0-99/1234"
        let length = answer.range.as_deref().and_then(|range| range.rsplit('/').next()?.trim().parse().ok());
        Ok(Part { answer, length })
    }

    /// Sends something as JSON.
    ///
    /// # Errors
    /// As [`Http::get`], and for what JSON cannot say.
    pub async fn post(&self, path: &str, body: &impl Serialize, bounds: Bounds) -> Result<Answer, HttpError> {
        self.send(Method::POST, path, to_json(body)?, bounds).await
    }

    /// Sends a request whose body, if any, is JSON already.
    ///
    /// # Errors
    /// As [`Http::get`].
    pub async fn send(&self, method: Method, path: &str, body: Bytes, bounds: Bounds) -> Result<Answer, HttpError> {
        self.call(self.request(method, path, body)?, bounds).await
    }

    /// Sends a request whose answer comes in lines, as JSON each; `on_line` hears them. `silence` bounds the time between two
    /// pieces of the answer.
    ///
    /// # Errors
    /// As [`Http::get`], for a line without end, and what `on_line` says.
    pub async fn post_for_lines<E: From<HttpError>>(
        &self,
        path: &str,
        body: &impl Serialize,
        silence: Duration,
        mut on_line: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<StatusCode, E> {
        let quiet =
            || HttpError::new(HttpErrorKind::Timeout, format!("{}{path}: silent for {silence:.1?}", self.server));
        let response = timeout(silence, self.client.request(self.request(Method::POST, path, to_json(body)?)?)).await;
        let response = response.map_err(|_| quiet())?.map_err(|error| self.broken(&error))?;
        let status = response.status();
        let mut body = response.into_body();
        let mut line = Vec::new();
        while let Some(frame) = timeout(silence, body.frame()).await.map_err(|_| quiet())? {
            let frame = frame.map_err(|error| self.broken(&error))?;
            for byte in frame.data_ref().into_iter().flatten() {
                match byte {
                    b'\n' => on_line(&std::mem::take(&mut line))?,
                    _ if line.len() >= LINE_BYTES => {
                        let told = format!("{path} answers in endless lines");
                        return Err(HttpError::new(HttpErrorKind::BadAnswer, told).into());
                    }
                    byte => line.push(*byte),
                }
            }
        }
        if !line.is_empty() {
            on_line(&line)?;
        }
        Ok(status)
    }

    fn request(&self, method: Method, path: &str, body: Bytes) -> Result<Request<Full<Bytes>>, HttpError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = format!("{}{path}", self.server)
            .parse()
            .map_err(|error| HttpError::new(HttpErrorKind::BadRequest, format!("{}{path}: {error}", self.server)))?;
        *request.headers_mut() = self.headers.clone();
        Ok(request)
    }

    async fn call(&self, mut request: Request<Full<Bytes>>, bounds: Bounds) -> Result<Answer, HttpError> {
        let connection = capture_connection(&mut request);
        let path = request.uri().path().to_owned();
        let exchange = async {
            let response = self.client.request(request).await.map_err(|error| self.broken(&error))?;
            if response.status().is_server_error()
                && let Some(connection) = &*connection.connection_metadata()
            {
                // Whatever stands between us and the engine: the next try takes another way.
                connection.poison();
            }
            self.read(response, bounds.bytes).await
        };
        // Where time runs out, the exchange is dropped, and its connection with it.
        match timeout(bounds.within, exchange).await {
            Ok(answer) => answer,
            Err(_) => {
                let told = format!("{}{path}: no answer within {:.1?}", self.server, bounds.within);
                Err(HttpError::new(HttpErrorKind::Timeout, told))
            }
        }
    }

    async fn read(&self, response: Response<Incoming>, at_most: usize) -> Result<Answer, HttpError> {
        let (head, body) = response.into_parts();
        let header = |name: HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok());
        let json = header(CONTENT_TYPE).is_some_and(|kind| kind.to_ascii_lowercase().starts_with("application/json"));
        let retry_after = header(RETRY_AFTER).and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        let bytes = if head.status.is_success() { at_most } else { ERROR_BYTES };
        let body = match Limited::new(body, bytes).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() && head.status.is_success() => {
                let told = format!("the server answers more than {at_most} bytes, which is more than was asked for");
                return Err(HttpError::new(HttpErrorKind::BadAnswer, told));
            }
            // A page without end: its status is enough.
            Err(error) if error.is::<LengthLimitError>() => Bytes::new(),
            Err(error) => return Err(self.broken(&*error)),
        };
        let [location, range] = [LOCATION, CONTENT_RANGE].map(|name| header(name).map(str::to_owned));
        Ok(Answer { status: head.status, json, retry_after, location, range, body })
    }

    fn broken(&self, error: &(dyn Error + 'static)) -> HttpError {
        let mut told = format!("{}: {error}", self.server);
        let mut source = error.source();
        while let Some(cause) = source {
            told = format!("{told}: {cause}");
            source = cause.source();
        }
        HttpError::new(HttpErrorKind::Connection, told)
    }
}

fn to_json(body: &impl Serialize) -> Result<Bytes, HttpError> {
    let bytes = serde_json::to_vec(body);
    bytes.map(Bytes::from).map_err(|error| HttpError::new(HttpErrorKind::BadRequest, error.to_string()))
}
