//! `/v1/embeddings`, as OpenAI made it common.

use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::Embeddings;
use super::fault::{Fault, FaultKind};

pub(crate) const EMBED: &str = "/v1/embeddings";

/// Answered by llama-server, text-embeddings-inference and vLLM; by others with 404, which is a sign of life too.
pub(crate) const LOOK: &str = "/health";

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
    #[serde(default)]
    usage: Usage,
}

#[derive(Deserialize)]
struct Item {
    embedding: Vec<f32>,
    index: usize,
}

#[derive(Default, Deserialize)]
struct Usage {
    #[serde(default)]
    prompt_tokens: Option<u64>,
}

pub(crate) fn request(model: &str, texts: &[&str]) -> Value {
    json!({ "model": model, "input": texts, "encoding_format": "float" })
}

pub(crate) fn read(body: &[u8]) -> Result<Embeddings, Fault> {
    let bad = |told: String| Fault::new(FaultKind::BadAnswer, told);
    let Answer { mut data, usage } =
        serde_json::from_slice(body).map_err(|error| bad(format!("the server's vectors cannot be read: {error}")))?;
    // Servers may answer in another order, and say so.
    data.sort_by_key(|item| item.index);
    if data.iter().zip(0..).any(|(item, expected)| item.index != expected) {
        return Err(bad("the server's vectors are not numbered as the texts were".to_owned()));
    }
    let vectors = data.into_iter().map(|item| item.embedding).collect();
    Ok(Embeddings { vectors, tokens: usage.prompt_tokens })
}

#[cfg(test)]
mod tests {
    use super::{FaultKind, read};

    #[test]
    fn vectors_are_ordered_by_their_index() {
        let item = |index: usize| format!(r#"{{"embedding":[{index}.5],"index":{index},"object":"embedding"}}"#);
        let answer = |items: &[usize]| {
            let items: Vec<String> = items.iter().map(|i| item(*i)).collect();
            read(format!(r#"{{"data":[{}],"usage":{{"prompt_tokens":7}}}}"#, items.join(",")).as_bytes())
        };
        let embeddings = answer(&[2, 0, 1]).unwrap();
        assert_eq!((embeddings.vectors, embeddings.tokens), (vec![vec![0.5], vec![1.5], vec![2.5]], Some(7)));
        for wrong in [&[0, 0][..], &[1, 2], &[0, 2]] {
            assert_eq!(answer(wrong).unwrap_err().kind, FaultKind::BadAnswer, "{wrong:?}");
        }
        for wrong in
            ["", "{}", r#"{"data":[{"embedding":[null],"index":0}]}"#, r#"{"data":[{"embedding":"AAAA","index":0}]}"#]
        {
            assert_eq!(read(wrong.as_bytes()).unwrap_err().kind, FaultKind::BadAnswer, "{wrong}");
        }
    }
}
