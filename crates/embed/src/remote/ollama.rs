//! Ollama's own API: vectors, what it says of a model, and fetching one.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use soniquebay_http::{Answer, Bounds, Bytes, Http};

use super::ServerModel;
use super::answer::Embeddings;
use super::fault::{Fault, FaultKind};
use super::model::RemoteModel;

pub(crate) const EMBED: &str = "/api/embed";

/// Answered at once, whatever the model does.
pub(crate) const LOOK: &str = "/api/version";

/// What Ollama says of itself and its models is short; a hundred models fit.
const BYTES: usize = 4 * 1024 * 1024;

pub(crate) fn request(model: &str, texts: &[&str], keep_alive: Option<Duration>) -> Value {
    let keep_alive = keep_alive.map_or(json!(-1), |time| json!(format!("{}s", time.as_secs())));
    // No options: Ollama loads a model anew whenever they differ from those of the request before.
    json!({ "model": model, "input": texts, "truncate": true, "keep_alive": keep_alive })
}

pub(crate) fn read(body: &[u8]) -> Result<Embeddings, Fault> {
    #[derive(Deserialize)]
    struct Answer {
        embeddings: Vec<Vec<f32>>,
        prompt_eval_count: Option<u64>,
    }
    let Answer { embeddings, prompt_eval_count } = read_json(body)?;
    Ok(Embeddings { vectors: embeddings, tokens: prompt_eval_count })
}

/// What the server says of the model, if that is the model we expect.
pub(crate) async fn inspect(http: &Http, model: &RemoteModel, within: Duration) -> Result<ServerModel, Fault> {
    #[derive(Deserialize)]
    struct Version {
        version: String,
    }
    #[derive(Deserialize)]
    struct Show {
        capabilities: Option<Vec<String>>,
        #[serde(default)]
        model_info: Map<String, Value>,
    }
    #[derive(Deserialize)]
    struct Tags {
        models: Vec<Tag>,
    }
    #[derive(Deserialize)]
    struct Tag {
        name: String,
        digest: Option<String>,
    }
    let bounds = Bounds { within, bytes: BYTES };
    let name = &model.name;
    let Version { version } = read_json(&successful(http.get(LOOK, bounds).await?, name)?)?;
    let body = json!({ "model": name });
    let show: Show = read_json(&successful(http.post("/api/show", &body, bounds).await?, name)?)?;
    let wrong = |told: String| Err(Fault::new(FaultKind::WrongModel, told));
    if show.capabilities.is_some_and(|known| !known.iter().any(|capability| capability == "embedding")) {
        return wrong(format!("the server's {name} makes no embeddings: choose an embedding model"));
    }
    let told = |suffix: &str| {
        let number =
            show.model_info.iter().find(|(key, _)| key.ends_with(suffix)).and_then(|(_, value)| value.as_u64());
        number.and_then(|number| usize::try_from(number).ok())
    };
    if let Some(dims) = told(".embedding_length").filter(|dims| *dims != model.dims) {
        return wrong(format!("the server's {name} makes {dims} dimensions, and {} are expected", model.dims));
    }
    let tags: Tags = read_json(&successful(http.get("/api/tags", bounds).await?, name)?)?;
    let digest = tags.models.into_iter().find(|tag| with_tag(&tag.name) == with_tag(name)).and_then(|tag| tag.digest);
    Ok(ServerModel { version: Some(version), digest, context: told(".context_length") })
}

/// Has the server fetch the model; `on_percent` hears how much is there.
pub(crate) async fn pull(
    http: &Http,
    model: &str,
    silence: Duration,
    mut on_percent: impl FnMut(u64),
) -> Result<(), Fault> {
    #[derive(Deserialize)]
    struct Line {
        error: Option<String>,
        status: Option<String>,
        total: Option<u64>,
        completed: Option<u64>,
    }
    let missing = |told: String| Fault::new(FaultKind::ModelMissing, told);
    let mut done = false;
    let body = json!({ "model": model, "stream": true });
    let status = http
        .post_for_lines("/api/pull", &body, silence, |line| {
            // Faults come in the stream too, when its status is said already.
            let line: Line = read_json(line)?;
            if let Some(error) = line.error {
                return Err(missing(format!("the server cannot fetch the model {model}: {error}")));
            }
            if let (Some(total @ 1..), Some(completed)) = (line.total, line.completed) {
                on_percent(completed.min(total).saturating_mul(100) / total);
            }
            done = line.status.is_some_and(|status| status == "success");
            Ok(())
        })
        .await?;
    match done && status.is_success() {
        true => Ok(()),
        false => Err(missing(format!("the server stopped fetching the model {model} ({status})"))),
    }
}

fn successful(answer: Answer, model: &str) -> Result<Bytes, Fault> {
    if answer.status.is_success() { Ok(answer.body) } else { Err(Fault::of_answer(&answer, model)) }
}

fn read_json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Fault> {
    serde_json::from_slice(body)
        .map_err(|error| Fault::new(FaultKind::BadAnswer, format!("the server's answer cannot be read: {error}")))
}

/// The full name: without a tag, `:latest` is meant.
fn with_tag(name: &str) -> String {
    if name.rsplit('/').next().is_some_and(|last| last.contains(':')) {
        name.to_owned()
    } else {
        format!("{name}:latest")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{read, request, with_tag};

    #[test]
    fn requests_say_all_that_matters() {
        let body = request("m", &["a", "b"], Some(Duration::from_secs(1800)));
        assert_eq!(body.to_string(), r#"{"input":["a","b"],"keep_alive":"1800s","model":"m","truncate":true}"#);
        assert_eq!(request("m", &[], None)["keep_alive"], -1);
    }

    #[test]
    fn answers_are_read_strictly() {
        let embeddings = read(br#"{"embeddings":[[1,0.5]],"prompt_eval_count":3,"load_duration":1}"#).unwrap();
        assert_eq!((embeddings.vectors, embeddings.tokens), (vec![vec![1.0, 0.5]], Some(3)));
        for wrong in
            ["", "[]", "{}", r#"{"embeddings":[[null]]}"#, r#"{"embeddings":[["1"]]}"#, r#"{"embeddings":[[1]]"#]
        {
            assert!(read(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_are_compared_with_their_tags() {
        assert_eq!(with_tag("nomic-embed-text"), "nomic-embed-text:latest");
        assert_eq!(with_tag("host:5000/owner/m"), "host:5000/owner/m:latest");
        assert_eq!(with_tag("m:v1"), "m:v1");
    }
}
