//! A model of one small layer with made-up weights, for tests that need no file to be fetched.

use std::path::Path;

use super::bert::BertConfig;

/// The sizes of the small model.
pub(crate) const TINY: BertConfig = BertConfig {
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

/// Writes `tokenizer.json`.
pub(crate) fn write_tokenizer(folder: &Path) {
    std::fs::write(folder.join("tokenizer.json"), TOKENIZER).unwrap();
}

/// Writes `model.safetensors` of the small model.
pub(crate) fn write_weights(folder: &Path) {
    let BertConfig { hidden, intermediate, vocabulary, positions, .. } = TINY;
    let mut shapes: Vec<(String, Vec<usize>)> = vec![
        ("embeddings.word_embeddings.weight".to_owned(), vec![vocabulary, hidden]),
        ("embeddings.position_embeddings.weight".to_owned(), vec![positions, hidden]),
        ("embeddings.token_type_embeddings.weight".to_owned(), vec![2, hidden]),
    ];
    let layer = "encoder.layer.0";
    for (name, outputs, inputs) in [
        ("attention.self.query", hidden, hidden),
        ("attention.self.key", hidden, hidden),
        ("attention.self.value", hidden, hidden),
        ("attention.output.dense", hidden, hidden),
        ("intermediate.dense", intermediate, hidden),
        ("output.dense", hidden, intermediate),
    ] {
        shapes.push((format!("{layer}.{name}.weight"), vec![outputs, inputs]));
        shapes.push((format!("{layer}.{name}.bias"), vec![outputs]));
    }
    let norms = ["attention.output.LayerNorm", "output.LayerNorm"].map(|norm| format!("{layer}.{norm}"));
    for norm in norms.iter().map(String::as_str).chain(["embeddings.LayerNorm"]) {
        shapes.push((format!("{norm}.weight"), vec![hidden]));
        shapes.push((format!("{norm}.bias"), vec![hidden]));
    }
    let value = |name: &str, start: usize, index: usize| {
        let poisoned = name.contains("word_embeddings") && index / hidden == 3;
        if poisoned { f32::INFINITY } else { ((index * 31 + start) % 17) as f32 / 17.0 - 0.4 }
    };
    let mut start = 0;
    let tensors: Vec<(String, Vec<usize>, Vec<f32>)> = shapes
        .into_iter()
        .map(|(name, shape)| {
            let values: Vec<f32> = (0..shape.iter().product()).map(|index| value(&name, start, index)).collect();
            start += 4 * values.len();
            (name, shape, values)
        })
        .collect();
    write_tensors(folder, &tensors);
}

/// Writes `model.safetensors` of these tensors: their names, shapes and values.
pub(crate) fn write_tensors(folder: &Path, tensors: &[(String, Vec<usize>, Vec<f32>)]) {
    let mut header = serde_json::Map::new();
    let mut data: Vec<u8> = Vec::new();
    for (name, shape, values) in tensors {
        let start = data.len();
        data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        let info = serde_json::json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, data.len()] });
        header.insert(name.clone(), info);
    }
    let header = serde_json::to_vec(&header).unwrap();
    let weights = [&(header.len() as u64).to_le_bytes(), header.as_slice(), data.as_slice()].concat();
    std::fs::write(folder.join("model.safetensors"), weights).unwrap();
}
