//! What Ollama answers to what.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::AUTHORIZATION;
use hyper::{Method, Request, Response};
use serde_json::{Value, json};

use super::answer::Answer;
use super::{Fault, Shared, engine};

/// What it says it is.
const VERSION: &str = "0.33.0";

pub(super) async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Answer>, Infallible> {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let authorization = head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    shared.count(|counters| {
        *counters.by_path.entry(path.clone()).or_default() += 1;
        counters.authorization = authorization;
    });
    // A client that leaves while it sends is answered by nobody.
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    Ok(match (head.method, path.as_str()) {
        (Method::GET, "/") => Answer::page(200, "text/plain; charset=utf-8", "Ollama is running".to_owned()),
        (Method::GET, "/api/version") => Answer::json(200, &json!({ "version": VERSION })),
        (Method::GET, "/api/tags") => tags(&shared),
        (Method::POST, "/api/show") => show(&shared, &body),
        (Method::POST, "/api/pull") => pull(&shared, &body),
        (Method::POST, "/api/embed") => requested(&shared, &body, Api::Ollama).await,
        (Method::POST, "/v1/embeddings") => requested(&shared, &body, Api::OpenAi).await,
        _ => Answer::page(404, "text/plain", "404 page not found".to_owned()),
    })
}

fn tags(shared: &Shared) -> Response<Answer> {
    let state = shared.state();
    let name = format!("{}:latest", shared.settings.model);
    let models = match state.installed {
        true => vec![json!({ "name": name, "model": name, "size": 1, "digest": state.digest })],
        false => Vec::new(),
    };
    Answer::json(200, &json!({ "models": models }))
}

fn show(shared: &Shared, body: &Value) -> Response<Answer> {
    let settings = &shared.settings;
    if !knows(shared, body) {
        return Answer::json(404, &json!({ "error": format!("model '{}' not found", said(body, "model")) }));
    }
    let info = json!({
        "general.architecture": "nomic-bert",
        "nomic-bert.context_length": settings.context,
        "nomic-bert.embedding_length": settings.dims,
    });
    Answer::json(200, &json!({ "capabilities": ["embedding"], "model_info": info, "details": {} }))
}

fn pull(shared: &Shared, body: &Value) -> Response<Answer> {
    let lines = match same_model(shared, body) {
        true => {
            shared.state().installed = true;
            let part = |done: u64| json!({"status": "pulling 970aa74c0a90", "digest": "sha256:0a1", "total": 100, "completed": done});
            let step = |status: &str| json!({ "status": status });
            vec![step("pulling manifest"), part(10), part(60), part(100), step("writing manifest"), step("success")]
        }
        // With status 200, as it is sent already when this is found out.
        false => {
            vec![json!({"status": "pulling manifest"}), json!({"error": "pull model manifest: file does not exist"})]
        }
    };
    let text = lines.iter().map(|line| format!("{line}\n")).collect();
    Answer::page(200, "application/x-ndjson", text)
}

/// Which way vectors are asked for, and how answers and errors look.
#[derive(Clone, Copy, PartialEq)]
enum Api {
    Ollama,
    OpenAi,
}

impl Api {
    fn error(self, status: u16, said: &str) -> Response<Answer> {
        match self {
            Self::Ollama => Answer::json(status, &json!({ "error": said })),
            Self::OpenAi => Answer::json(status, &json!({ "error": { "message": said, "type": "api_error" } })),
        }
    }

    fn vectors(self, shared: &Shared, vectors: &[Vec<f64>], tokens: usize) -> Response<Answer> {
        let model = &shared.settings.model;
        let body = match self {
            Self::Ollama => json!({
                "model": model, "embeddings": vectors, "total_duration": 14_143_917, "load_duration": 1_019_500, "prompt_eval_count": tokens,
            }),
            Self::OpenAi => {
                let item = |(index, vector)| json!({ "object": "embedding", "index": index, "embedding": vector });
                // In another order: who asks has to look at the index.
                let data: Vec<Value> = vectors.iter().enumerate().rev().map(item).collect();
                json!({ "object": "list", "data": data, "model": model, "usage": { "prompt_tokens": tokens, "total_tokens": tokens } })
            }
        };
        Answer::json(200, &body)
    }
}

async fn requested(shared: &Shared, body: &Value, api: Api) -> Response<Answer> {
    let texts = texts(body);
    shared.count(|counters| {
        counters.requests += 1;
        counters.arrivals.push(Instant::now());
        counters.in_flight += 1;
        counters.most_in_flight = counters.most_in_flight.max(counters.in_flight);
        counters.latest = texts.clone().unwrap_or_default();
        counters.most_texts = counters.most_texts.max(counters.latest.len());
    });
    let _leaves = OnDrop(|| shared.count(|counters| counters.in_flight -= 1));
    let fault = shared.state().fault();
    match &fault {
        Some(Fault::Error(status, said)) => return api.error(*status, said),
        Some(Fault::Page(status, kind, text)) => return Answer::page(*status, kind, text.clone()),
        _ => {}
    }
    let mut response = match embed(shared, body, texts, api).await {
        Ok((vectors, tokens)) => {
            let vectors = spoilt(vectors, fault.as_ref());
            shared.count(|counters| counters.texts += vectors.len() as u64);
            api.vectors(shared, &vectors, tokens)
        }
        Err((status, said)) => api.error(status, &said),
    };
    match fault {
        Some(Fault::Drip(every)) => response.body_mut().drips(every),
        Some(Fault::Reset) => response.body_mut().breaks_halfway(),
        _ => {}
    }
    response
}

async fn embed(
    shared: &Shared,
    body: &Value,
    texts: Option<Vec<String>>,
    api: Api,
) -> Result<(Vec<Vec<f64>>, usize), (u16, String)> {
    let settings = &shared.settings;
    if !knows(shared, body) {
        return Err((404, format!("model \"{}\" not found, try pulling it first", said(body, "model"))));
    }
    let texts = texts.ok_or((400, "invalid input type".to_owned()))?;
    if texts.is_empty() && api == Api::OpenAi {
        return Err((400, "invalid input".to_owned()));
    }
    load(shared).await;
    let (mut vectors, mut tokens) = (Vec::new(), 0);
    for text in &texts {
        let _one_at_a_time = shared.engine.lock().await;
        if !settings.a_text.is_zero() {
            tokio::time::sleep(settings.a_text).await;
        }
        if let Some((word, status, said)) = &shared.state().poison
            && text.contains(word)
        {
            return Err((*status, (*said).to_owned()));
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        let read = words.len().min(settings.context - 2);
        let cut = read < words.len();
        if cut && (body["truncate"] == false || api == Api::OpenAi) {
            return Err((400, "the input length exceeds the context length".to_owned()));
        }
        tokens += read + 2;
        let text = if cut { words[..read].join(" ") } else { text.clone() };
        let mut vector = engine::embed(&settings.source, &text, settings.dims).await?;
        if let Some(dims) = body["dimensions"].as_u64().filter(|dims| (1..vector.len() as u64).contains(dims)) {
            vector.truncate(dims as usize);
            let norm = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
            vector.iter_mut().for_each(|value| *value /= norm);
        }
        vectors.push(vector);
    }
    if body["keep_alive"] == 0 {
        *shared.loaded.lock().await = false;
    }
    Ok((vectors, tokens))
}

/// Loads the model where it is not. Whoever drops this while it loads aborts that.
async fn load(shared: &Shared) {
    let mut loaded = shared.loaded.lock().await;
    if *loaded {
        return;
    }
    shared.count(|counters| counters.loads += 1);
    let aborted = OnDrop(|| shared.count(|counters| counters.aborted_loads += 1));
    tokio::time::sleep(shared.settings.cold_start).await;
    std::mem::forget(aborted);
    *loaded = true;
}

fn spoilt(mut vectors: Vec<Vec<f64>>, fault: Option<&Fault>) -> Vec<Vec<f64>> {
    match fault {
        Some(Fault::ShortCount) => drop(vectors.pop()),
        Some(Fault::NoVectors) => vectors.clear(),
        Some(Fault::WrongDims) => vectors.iter_mut().for_each(|vector| vector.truncate(vector.len() - 1)),
        Some(Fault::Zeros) => vectors.iter_mut().for_each(|vector| vector.fill(0.0)),
        _ => {}
    }
    vectors
}

/// The texts of a request; `None` where they are none.
fn texts(body: &Value) -> Option<Vec<String>> {
    match &body["input"] {
        Value::Null => Some(Vec::new()),
        Value::String(text) if text.is_empty() => Some(Vec::new()),
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(texts) => texts.iter().map(|text| text.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

fn said<'a>(body: &'a Value, field: &str) -> &'a str {
    body[field].as_str().unwrap_or("")
}

fn same_model(shared: &Shared, body: &Value) -> bool {
    let name = said(body, "model");
    name.strip_suffix(":latest").unwrap_or(name) == shared.settings.model
}

fn knows(shared: &Shared, body: &Value) -> bool {
    same_model(shared, body) && shared.state().installed
}

/// Does something when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
