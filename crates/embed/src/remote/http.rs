//! Requests over HTTP: each bounded in time and size, over connections that are kept.

use std::error::Error;
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{HttpConnector, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Serialize;
use tokio::time::timeout;

use super::config::RemoteConfig;
use super::fault::{Fault, FaultKind};

/// Connections that nobody uses are closed after so long: before most servers close them from their side.
const IDLE: Duration = Duration::from_secs(30);

/// What is read of an answer that is no success.
const ERROR_BYTES: usize = 64 * 1024;

/// A line of a streamed answer.
const LINE_BYTES: usize = 64 * 1024;

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) json: bool,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Bytes,
}

/// One server.
pub(crate) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    server: String,
    headers: HeaderMap,
}

/// The bounds of one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// From connecting to the last byte.
    pub(crate) within: Duration,
    /// Bytes of a successful answer.
    pub(crate) bytes: usize,
}

impl Http {
    pub(crate) fn new(config: &RemoteConfig) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(config.patience.connect));
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
            .pool_max_idle_per_host(config.limits.in_flight + 1)
            .build(connector);
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, hyper::header::HeaderValue::from_static("soniquebay"));
        headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
        if let Some(key) = &config.api_key {
            headers.insert(AUTHORIZATION, key.authorization());
        }
        Self { client, server: config.server.to_string(), headers }
    }

    pub(crate) async fn get(&self, path: &str, bounds: Bounds) -> Result<Answer, Fault> {
        self.call(self.request(Method::GET, path, Bytes::new())?, bounds).await
    }

    pub(crate) async fn post(&self, path: &str, body: &impl Serialize, bounds: Bounds) -> Result<Answer, Fault> {
        self.call(self.post_request(path, body)?, bounds).await
    }

    /// Sends a request whose answer comes in lines, as JSON each; `on_line` hears them. `silence` bounds the time between two
    /// pieces of the answer.
    pub(crate) async fn post_for_lines(
        &self,
        path: &str,
        body: &impl Serialize,
        silence: Duration,
        mut on_line: impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<StatusCode, Fault> {
        let quiet = || Fault::new(FaultKind::Timeout, format!("{}{path}: silent for {silence:.1?}", self.server));
        let response = timeout(silence, self.client.request(self.post_request(path, body)?)).await;
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
                        return Err(Fault::new(FaultKind::BadAnswer, format!("{path} answers in endless lines")));
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

    fn post_request(&self, path: &str, body: &impl Serialize) -> Result<Request<Full<Bytes>>, Fault> {
        let body = serde_json::to_vec(body).map_err(|error| Fault::new(FaultKind::TextRefused, error.to_string()))?;
        self.request(Method::POST, path, body.into())
    }

    fn request(&self, method: Method, path: &str, body: Bytes) -> Result<Request<Full<Bytes>>, Fault> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = format!("{}{path}", self.server)
            .parse()
            .map_err(|error| Fault::new(FaultKind::WrongPath, format!("{}{path}: {error}", self.server)))?;
        *request.headers_mut() = self.headers.clone();
        Ok(request)
    }

    async fn call(&self, mut request: Request<Full<Bytes>>, bounds: Bounds) -> Result<Answer, Fault> {
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
                Err(Fault::new(FaultKind::Timeout, told))
            }
        }
    }

    async fn read(&self, response: Response<Incoming>, at_most: usize) -> Result<Answer, Fault> {
        let (head, body) = response.into_parts();
        let header = |name| head.headers.get(name).and_then(|value: &hyper::header::HeaderValue| value.to_str().ok());
        let json = header(CONTENT_TYPE).is_some_and(|kind| kind.to_ascii_lowercase().starts_with("application/json"));
        let retry_after = header(RETRY_AFTER).and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        let bytes = if head.status.is_success() { at_most } else { ERROR_BYTES };
        let body = match Limited::new(body, bytes).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() && head.status.is_success() => {
                let told = format!("the server answers more than {at_most} bytes, which is more than was asked for");
                return Err(Fault::new(FaultKind::BadAnswer, told));
            }
            // A page without end: its status is enough.
            Err(error) if error.is::<LengthLimitError>() => Bytes::new(),
            Err(error) => return Err(self.broken(&*error)),
        };
        Ok(Answer { status: head.status, json, retry_after, body })
    }

    fn broken(&self, error: &(dyn Error + 'static)) -> Fault {
        let mut told = format!("{}: {error}", self.server);
        let mut source = error.source();
        while let Some(cause) = source {
            told = format!("{told}: {cause}");
            source = cause.source();
        }
        Fault::new(FaultKind::Connection, told)
    }
}
