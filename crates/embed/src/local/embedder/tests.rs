//! On a model of one small layer with made-up weights, so that no file has to be fetched.

use std::time::Duration;

use soniquebay_domain::{EmbedError, Embedder, Purpose};

use super::*;
use crate::local::bert::BertConfig;
use crate::local::kernels::Isa;

const TINY: BertConfig = BertConfig {
    name: "tiny",
    layers: 1,
    hidden: 32,
    heads: 1,
    intermediate: 64,
    vocabulary: 4,
    positions: 8,
    max_tokens: 8,
    layer_norm_epsilon: 1e-12,
};

/// Words `a`, `b` and `c` are tokens 0 to 2; `poison`, token 3, makes the vector infinite; `outside` is no token of the
/// weights.
const TOKENIZER: &str = r#"{
    "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
    "pre_tokenizer": { "type": "Whitespace" }, "post_processor": null, "decoder": null,
    "model": {
        "type": "WordLevel", "unk_token": "a",
        "vocab": { "a": 0, "b": 1, "c": 2, "poison": 3, "outside": 4 }
    }
}"#;

fn tiny_model() -> Arc<LocalModel> {
    let mut header = serde_json::Map::new();
    let mut data: Vec<u8> = Vec::new();
    let mut add = |name: &str, shape: &[usize]| {
        let start = data.len();
        for index in 0..shape.iter().product() {
            let poisoned = name.contains("word_embeddings") && index / TINY.hidden == 3;
            let value = if poisoned { f32::INFINITY } else { ((index * 31 + start) % 17) as f32 / 17.0 - 0.4 };
            data.extend(value.to_le_bytes());
        }
        let info = serde_json::json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, data.len()] });
        header.insert(name.to_owned(), info);
    };
    let BertConfig { hidden, intermediate, vocabulary, positions, .. } = TINY;
    add("embeddings.word_embeddings.weight", &[vocabulary, hidden]);
    add("embeddings.position_embeddings.weight", &[positions, hidden]);
    add("embeddings.token_type_embeddings.weight", &[2, hidden]);
    let layer = "encoder.layer.0";
    for (name, outputs, inputs) in [
        ("attention.self.query", hidden, hidden),
        ("attention.self.key", hidden, hidden),
        ("attention.self.value", hidden, hidden),
        ("attention.output.dense", hidden, hidden),
        ("intermediate.dense", intermediate, hidden),
        ("output.dense", hidden, intermediate),
    ] {
        add(&format!("{layer}.{name}.weight"), &[outputs, inputs]);
        add(&format!("{layer}.{name}.bias"), &[outputs]);
    }
    let norms = ["attention.output.LayerNorm", "output.LayerNorm"].map(|norm| format!("{layer}.{norm}"));
    for norm in norms.iter().map(String::as_str).chain(["embeddings.LayerNorm"]) {
        add(&format!("{norm}.weight"), &[hidden]);
        add(&format!("{norm}.bias"), &[hidden]);
    }

    let header = serde_json::to_vec(&header).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let weights = [&(header.len() as u64).to_le_bytes(), header.as_slice(), data.as_slice()].concat();
    std::fs::write(folder.path().join("model.safetensors"), weights).unwrap();
    std::fs::write(folder.path().join("tokenizer.json"), TOKENIZER).unwrap();
    Arc::new(LocalModel::load_with(folder.path(), TINY, Isa::detect()).unwrap())
}

fn start(workers: usize) -> LocalEmbedder {
    LocalEmbedder::start(tiny_model(), NonZeroUsize::new(workers).unwrap()).unwrap()
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

#[tokio::test]
async fn many_texts_come_back_in_order_from_many_workers() {
    let embedder = start(3);
    let words = ["a", "b c", "c a b", "b", "c c c c"];
    let many: Vec<String> = (0..500).map(|index| words[index * 7 % words.len()].to_owned()).collect();
    let vectors = embedder.embed(many.clone(), Purpose::Document).await.unwrap();
    let model = tiny_model();
    assert_eq!(vectors, model.encode(&mut Scratch::default(), &many).unwrap());
}

#[tokio::test]
async fn no_texts_give_no_vectors() {
    assert!(start(1).embed(Vec::new(), Purpose::Query).await.unwrap().is_empty());
}

#[tokio::test]
async fn one_bad_text_fails_its_job_and_no_other() {
    let embedder = start(1);
    for bad in ["a poison", "outside"] {
        let (first, second) = tokio::join!(
            embedder.embed(texts(&["a", bad, "b"]), Purpose::Document),
            embedder.embed(texts(&["a", "b"]), Purpose::Document),
        );
        assert!(matches!(first, Err(EmbedError::Failed(_))), "{bad}: {first:?}");
        assert_eq!(second.unwrap().len(), 2);
    }
}

#[test]
fn a_panic_becomes_an_error_that_tells_the_reason() {
    let error = guard::<()>(|| panic!("row {} is missing", 7)).unwrap_err();
    assert_eq!(error, EmbedError::Failed("the engine panicked: row 7 is missing".to_owned()));
}

#[tokio::test]
async fn a_worker_survives_a_panic() {
    let embedder = start(1);
    // A token beyond the weights: the tokenizer never lets that through, so hand it in behind its back.
    let (reply, answer) = oneshot::channel();
    let unsent = Unsent { reply, vectors: vec![Vec::new()], missing: 1 };
    let answer_slot = Arc::new(Answer(Mutex::new(Some(unsent))));
    let unknown = Batch { answer: answer_slot, texts: vec![vec![99]], positions: vec![0] };
    embedder.queue.add_pieces([unknown], Purpose::Document);
    assert!(matches!(answer.await.unwrap(), Err(EmbedError::Failed(reason)) if reason.contains("panicked")));
    assert_eq!(embedder.embed(texts(&["a"]), Purpose::Document).await.unwrap().len(), 1);
}

#[tokio::test]
async fn callers_of_a_dropped_embedder_are_told() {
    let model = tiny_model();
    let queue = Arc::new(Lanes::new());
    // No workers: the job is still waiting when the embedder goes.
    let embedder = LocalEmbedder { model, queue: queue.clone(), workers: Vec::new() };
    let (reply, answer) = oneshot::channel();
    queue.submit(Job { texts: texts(&["a"]), reply }, Purpose::Query).unwrap();
    drop(embedder);
    assert!(tokio::time::timeout(Duration::from_secs(5), answer).await.unwrap().is_err());
}

#[tokio::test]
async fn too_many_waiting_jobs_are_refused() {
    let embedder = LocalEmbedder { model: tiny_model(), queue: Arc::new(Lanes::new()), workers: Vec::new() };
    let mut waiting = Vec::new();
    loop {
        let (reply, answer) = oneshot::channel();
        if embedder.queue.submit(Job { texts: texts(&["a"]), reply }, Purpose::Query).is_err() {
            break;
        }
        waiting.push(answer);
    }
    assert_eq!(embedder.embed(texts(&["a"]), Purpose::Query).await, Err(EmbedError::Overloaded));
}

#[test]
fn work_nobody_waits_for_is_left_undone() {
    let (reply, answer) = oneshot::channel();
    let slot = Answer(Mutex::new(Some(Unsent { reply, vectors: vec![Vec::new()], missing: 1 })));
    assert!(slot.is_awaited());
    drop(answer);
    assert!(!slot.is_awaited());
}
