//! What goes wrong between us and a server, and what that means.
//!
//! Ollama answers 400 to nearly everything, also to its engine having crashed; llama-server answers 500 to a text that is
//! too long. So faults are told apart by what the server says, and only then by its status.

use std::time::Duration;

use serde_json::Value;
use soniquebay_http::{Answer, HttpError, HttpErrorKind, StatusCode};

/// Kinds of faults, as they are counted and shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FaultKind {
    /// Nobody listens, or the connection broke.
    Connection,
    /// No answer in time.
    Timeout,
    /// The server says that it has too much to do.
    Busy,
    /// The server, or the engine behind it, failed.
    Server,
    /// The server does not have the model.
    ModelMissing,
    /// What listens there does not speak this protocol.
    WrongPath,
    /// The server wants another API key.
    NotAllowed,
    /// The model on the server is not what was expected.
    WrongModel,
    /// An answer that is not what was asked for: another number of vectors, another length, no JSON.
    BadAnswer,
    /// The text is longer than the model reads.
    TooLong,
    /// The model made no finite direction of the text.
    NotFinite,
    /// The server does not take the text.
    TextRefused,
}

/// What can be done about a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Ask again.
    AskAgain,
    /// Leave out the text that causes it.
    LeaveOutText,
    /// Somebody has to change something, here or at the server.
    Repair,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{told}")]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    /// What went wrong, where, and what to do about it.
    pub(crate) told: String,
    /// How long the server asks to be left alone.
    pub(crate) retry_after: Option<Duration>,
}

impl Fault {
    pub(crate) fn new(kind: FaultKind, told: impl Into<String>) -> Self {
        Self { kind, told: told.into(), retry_after: None }
    }

    pub(crate) fn remedy(&self) -> Remedy {
        match self.kind {
            FaultKind::Connection | FaultKind::Timeout | FaultKind::Busy | FaultKind::Server => Remedy::AskAgain,
            FaultKind::TooLong | FaultKind::NotFinite | FaultKind::TextRefused => Remedy::LeaveOutText,
            FaultKind::ModelMissing
            | FaultKind::WrongPath
            | FaultKind::NotAllowed
            | FaultKind::WrongModel
            | FaultKind::BadAnswer => Remedy::Repair,
        }
    }

    /// What an answer that is no success means.
    pub(crate) fn of_answer(answer: &Answer, model: &str) -> Self {
        let said = said(answer);
        let status = answer.status;
        let kind = kind(status, answer.json, &said);
        let told = match kind {
            FaultKind::ModelMissing => {
                format!(
                    "the server does not have the model {model} ({said}): fetch it there, for Ollama with `ollama pull {model}`"
                )
            }
            FaultKind::WrongPath => {
                format!("the server has no such call ({status}: {said}): is it another kind of server, or an old one?")
            }
            FaultKind::NotAllowed => format!("the server asks for another API key ({status}: {said})"),
            _ => format!("the server answered {}: {said}", status.as_u16()),
        };
        Self { kind, told, retry_after: answer.retry_after }
    }
}

impl From<HttpError> for Fault {
    fn from(error: HttpError) -> Self {
        let kind = match error.kind {
            HttpErrorKind::Connection => FaultKind::Connection,
            HttpErrorKind::Timeout => FaultKind::Timeout,
            HttpErrorKind::BadAnswer => FaultKind::BadAnswer,
            HttpErrorKind::BadRequest => FaultKind::WrongPath,
        };
        Self::new(kind, error.told)
    }
}

/// The engine behind the server is gone or not there yet, whatever the status says.
const ENGINE: [&str; 11] = [
    "eof",
    "connection refused",
    "connection reset",
    "do embedding request",
    "server status",
    "no slots",
    "process has terminated",
    "timed out waiting",
    "loading model",
    "request canceled",
    "broken pipe",
];

const TOO_LONG: [&str; 6] = [
    "exceeds the context length",
    "exceeds maximum context",
    "maximum context length",
    "too large to process",
    "larger than the max context size",
    "must have less than",
];

const NOT_FINITE: [&str; 4] =
    ["nan or inf", "unsupported value: nan", "unsupported value: +inf", "unsupported value: -inf"];

fn kind(status: StatusCode, json: bool, said: &str) -> FaultKind {
    let said = said.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    match status.as_u16() {
        401 | 403 => FaultKind::NotAllowed,
        404 if json && says(&["model"]) => FaultKind::ModelMissing,
        404 | 405 | 501 | 300..=399 => FaultKind::WrongPath,
        _ if says(&TOO_LONG) => FaultKind::TooLong,
        _ if says(&NOT_FINITE) => FaultKind::NotFinite,
        429 | 503 => FaultKind::Busy,
        _ if says(&ENGINE) => FaultKind::Server,
        // 424: text-embeddings-inference, when its engine failed. 499: Ollama, when somebody left while it loaded.
        408 | 424 | 425 | 499 | 500.. => FaultKind::Server,
        413 => FaultKind::TooLong,
        _ => FaultKind::TextRefused,
    }
}

/// What the server says in words, on one short line: Ollama `{"error": "…"}`, OpenAI `{"error": {"message": "…"}}`,
/// text-embeddings-inference `{"message": "…"}`, others plain text or a page.
fn said(answer: &Answer) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    let parsed = serde_json::from_slice::<Value>(&answer.body).ok();
    let told = parsed.as_ref().and_then(|body| {
        let error = &body["error"];
        error.as_str().or_else(|| error["message"].as_str()).or_else(|| body["message"].as_str())
    });
    let line: String = told.unwrap_or(&text).split_whitespace().collect::<Vec<_>>().join(" ");
    match line.chars().count() {
        0 => "nothing".to_owned(),
        1..=200 => line,
        _ => line.chars().take(200).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use soniquebay_http::{Bytes, StatusCode};

    use super::{Answer, Fault, FaultKind, Remedy};

    fn fault(status: u16, json: bool, body: &str) -> Fault {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            json,
            retry_after: None,
            location: None,
            range: None,
            body,
        };
        Fault::of_answer(&answer, "nomic-embed-text")
    }

    fn ollama(status: u16, said: &str) -> FaultKind {
        fault(status, true, &serde_json::json!({ "error": said }).to_string()).kind
    }

    #[test]
    fn what_ollama_says_decides_over_its_status() {
        use FaultKind::{Busy, ModelMissing, NotFinite, Server, TextRefused, TooLong};
        for (status, said, kind) in [
            (400, "missing request body", TextRefused),
            (400, "invalid input type", TextRefused),
            (404, "model '' not found", ModelMissing),
            (404, "model \"x\" not found, try pulling it first", ModelMissing),
            (400, "the input length exceeds the context length", TooLong),
            (400, "input after truncation exceeds maximum context length", TooLong),
            (400, "embedding contains NaN or Inf values", NotFinite),
            (500, "failed to encode response: json: unsupported value: NaN", NotFinite),
            (400, "do embedding request: Post \"http://127.0.0.1:33417/embedding\": EOF", Server),
            (400, "dial tcp 127.0.0.1:33417: connect: connection refused", Server),
            (400, "unexpected server status: llm server error", Server),
            (400, "no slots available after 10 retries", Server),
            (503, "server busy, please try again.  maximum pending requests exceeded", Busy),
            (500, "llama-server process has terminated: exit status 2", Server),
            (500, "timed out waiting for llama-server to start", Server),
            (499, "request canceled", Server),
        ] {
            assert_eq!(ollama(status, said), kind, "{status} {said}");
        }
    }

    #[test]
    fn other_servers_are_understood_too() {
        let openai = |status, message: &str| {
            fault(status, true, &serde_json::json!({"error": {"message": message, "type": "x"}}).to_string())
        };
        let too_large =
            "input (1002 tokens) is too large to process. increase the physical batch size (current batch size: 512)";
        assert_eq!(openai(500, too_large).kind, FaultKind::TooLong);
        assert_eq!(openai(503, "Loading model").kind, FaultKind::Busy);
        assert_eq!(openai(401, "Invalid API Key").kind, FaultKind::NotAllowed);
        let tei =
            r#"{"message":"Input validation error: `inputs` must have less than 512 tokens. Given: 1024","code":413}"#;
        assert_eq!(fault(413, true, tei).kind, FaultKind::TooLong);
        assert_eq!(fault(429, true, r#"{"message":"Model is overloaded"}"#).kind, FaultKind::Busy);
    }

    #[test]
    fn pages_of_others_are_told_apart() {
        let page = "<html><head><title>502 Bad Gateway</title></head>".repeat(1000);
        let proxy = fault(502, false, &page);
        assert_eq!((proxy.kind, proxy.remedy()), (FaultKind::Server, Remedy::AskAgain));
        assert!(proxy.told.len() < 300, "a page is not repeated");
        let old = fault(404, false, "404 page not found");
        assert_eq!((old.kind, old.remedy()), (FaultKind::WrongPath, Remedy::Repair));
        assert_eq!(fault(301, false, "").kind, FaultKind::WrongPath);
    }
}
