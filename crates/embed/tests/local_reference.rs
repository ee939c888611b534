//! The engine against sentence-transformers: the same texts, the vectors it gave at `max_seq_length = 256`.
//!
//! Needs the model: a folder with `model.safetensors` and `tokenizer.json`, named by `SONIQUEBAY_TEST_MODEL`.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A failed precondition of a test should be loud.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use soniquebay_domain::{Embedder, Purpose};
use soniquebay_embed::local::{ALL_MINILM_L6_V2, Isa, LocalEmbedder, LocalModel, ModelError, Precision, Scratch};

fn model_folder() -> PathBuf {
    let how = "set SONIQUEBAY_TEST_MODEL to a folder with model.safetensors and tokenizer.json of all-MiniLM-L6-v2; \
               `soniquebay model pull` fetches them";
    let folder = std::env::var_os("SONIQUEBAY_TEST_MODEL").map(PathBuf::from).expect(how);
    for file in ["model.safetensors", "tokenizer.json"] {
        assert!(folder.join(file).is_file(), "there is no {file} in {folder:?}: {how}");
    }
    folder
}

/// Loaded once: all tests of this file share it.
fn model() -> Arc<LocalModel> {
    static MODEL: OnceLock<Arc<LocalModel>> = OnceLock::new();
    MODEL.get_or_init(|| load(Precision::Fp32, Isa::detect())).clone()
}

fn load(precision: Precision, isa: Isa) -> Arc<LocalModel> {
    Arc::new(LocalModel::load_with(&model_folder(), ALL_MINILM_L6_V2, precision, isa).unwrap())
}

struct Reference {
    texts: Vec<String>,
    vectors: Vec<Vec<f32>>,
}

fn reference() -> Reference {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let texts = std::fs::read_to_string(fixtures.join("reference_vectors.json")).unwrap();
    let texts: serde_json::Value = serde_json::from_str(&texts).unwrap();
    let texts = texts["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect();
    let bytes = std::fs::read(fixtures.join("reference_vectors.f32")).unwrap();
    let values: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|&value| f32::from_le_bytes(value)).collect();
    let vectors: Vec<Vec<f32>> = values.chunks(ALL_MINILM_L6_V2.hidden).map(<[f32]>::to_vec).collect();
    let reference = Reference { texts, vectors };
    assert_eq!(reference.texts.len(), reference.vectors.len());
    reference
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn assert_same(found: &[Vec<f32>], expected: &Reference, what: &str) {
    assert_eq!(found.len(), expected.vectors.len());
    for ((found, vector), text) in found.iter().zip(&expected.vectors).zip(&expected.texts) {
        let cosine = cosine(found, vector);
        assert!(cosine >= 0.99999, "{what}: cosine {cosine} for {text:?}");
        let furthest = found.iter().zip(vector).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(furthest < 2e-6, "{what}: a value is off by {furthest} for {text:?}");
        let length = found.iter().map(|value| value * value).sum::<f32>().sqrt();
        assert!((length - 1.0).abs() < 1e-5, "{what}: length {length} for {text:?}");
    }
}

#[test]
fn every_instruction_set_gives_the_reference_vectors() {
    let reference = reference();
    for isa in Isa::available() {
        let vectors = load(Precision::Fp32, isa).encode(&mut Scratch::default(), &reference.texts).unwrap();
        assert_same(&vectors, &reference, isa.name());
    }
}

#[test]
fn vectors_in_8_bits_are_near_the_reference_on_every_instruction_set() {
    let reference = reference();
    for isa in Isa::available() {
        let vectors = load(Precision::Int8, isa).encode(&mut Scratch::default(), &reference.texts).unwrap();
        for ((found, exact), text) in vectors.iter().zip(&reference.vectors).zip(&reference.texts) {
            let cosine = cosine(found, exact);
            assert!(cosine > 0.99, "{}: cosine {cosine} for {text:?}", isa.name());
        }
    }
}

#[test]
fn every_instruction_set_with_fused_products_gives_the_same_bits() {
    let texts = reference().texts;
    for precision in Precision::ALL {
        let encode = |isa: &Isa| load(precision, *isa).encode(&mut Scratch::default(), &texts).unwrap();
        let fused: Vec<Isa> = Isa::available().into_iter().filter(|isa| isa.name() != "portable").collect();
        let all: Vec<_> = fused.iter().map(encode).collect();
        for (isa, vectors) in fused.iter().zip(&all) {
            assert!(*vectors == all[0], "{precision:?}: {} differs from {}", isa.name(), fused[0].name());
        }
    }
}

/// The same everywhere: this test also runs on Arm.
#[test]
fn one_text_has_these_very_bits() {
    let text = "Title: Jóga | Artist: Björk | Genre: Electronic | Year: 1997";
    for (precision, expected) in [(Precision::Fp32, 2_806_040_353), (Precision::Int8, 3_317_319_043)] {
        let isa = Isa::detect();
        let vector = load(precision, isa).encode(&mut Scratch::default(), &[text]).unwrap().remove(0);
        let bits = vector.iter().fold(0u32, |sum, value| sum.wrapping_mul(31).wrapping_add(value.to_bits()));
        assert_eq!(bits, expected, "{} in {precision:?}", isa.name());
    }
}

#[test]
fn neither_order_nor_company_changes_a_vector() {
    let texts = reference().texts;
    for model in [model(), load(Precision::Int8, Isa::detect())] {
        let mut scratch = Scratch::default();
        let together = model.encode(&mut scratch, &texts).unwrap();

        let reversed: Vec<&String> = texts.iter().rev().collect();
        let mut backwards = model.encode(&mut scratch, &reversed).unwrap();
        backwards.reverse();
        assert!(together == backwards, "{}: order matters", model.name());

        for (text, together) in texts.iter().zip(&together) {
            let alone = model.encode(&mut Scratch::default(), &[text]).unwrap();
            assert!(alone[0] == *together, "{}: company matters for {text:?}", model.name());
        }
    }
}

#[test]
fn text_beyond_the_limit_of_tokens_changes_nothing() {
    let long = "melancholic harbour lanterns ".repeat(200);
    let endless = "melancholic harbour lanterns ".repeat(200_000);
    let vectors = model().encode(&mut Scratch::default(), &[long, endless]).unwrap();
    assert!(vectors[0] == vectors[1]);
}

#[test]
fn odd_texts_have_vectors_too() {
    let odd = ["", " ", "\0", "\u{200d}\u{fe0f}", "🎷🎺🥁", "\n\t\r", &"a".repeat(10_000), &"é".repeat(9_000)];
    let vectors = model().encode(&mut Scratch::default(), &odd).unwrap();
    assert!(vectors.iter().all(|vector| vector.iter().all(|value| value.is_finite())));
}

#[tokio::test]
async fn the_embedder_gives_the_reference_vectors_in_order() {
    let reference = reference();
    let embedder = LocalEmbedder::start(model(), NonZeroUsize::new(2).unwrap()).unwrap();
    assert_eq!((embedder.model(), embedder.dims()), ("all-MiniLM-L6-v2", 384));
    let (documents, query) = tokio::join!(
        embedder.embed(reference.texts.clone(), Purpose::Document),
        embedder.embed(vec![reference.texts[0].clone()], Purpose::Query),
    );
    let documents = documents.unwrap();
    assert_same(&documents, &reference, "embedder");
    assert_eq!(query.unwrap()[0], documents[0]);
}

#[test]
fn a_model_of_other_sizes_is_refused() {
    let mut config = ALL_MINILM_L6_V2;
    config.intermediate = 1024;
    let error = LocalModel::load_with(&model_folder(), config, Precision::Fp32, Isa::detect()).unwrap_err();
    assert!(matches!(error, ModelError::TensorShape { .. }), "{error}");

    let mut config = ALL_MINILM_L6_V2;
    config.layers = 12;
    let error = LocalModel::load_with(&model_folder(), config, Precision::Fp32, Isa::detect()).unwrap_err();
    assert!(matches!(error, ModelError::TensorMissing { .. }), "{error}");
}

#[test]
fn damaged_files_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let load = || LocalModel::load(folder.path(), Precision::Fp32).unwrap_err();
    let put = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    let sound = |name: &str| std::fs::read(model_folder().join(name)).unwrap();

    assert!(matches!(load(), ModelError::Read { .. }));
    put("tokenizer.json", b"{\"version\":\"1.0\"}");
    assert!(matches!(load(), ModelError::InvalidTokenizer { .. }));
    put("tokenizer.json", &sound("tokenizer.json"));
    assert!(matches!(load(), ModelError::Read { .. }));
    let weights = sound("model.safetensors");
    for length in [0, 7, 100, 20_000, weights.len() - 1] {
        put("model.safetensors", &weights[..length]);
        assert!(matches!(load(), ModelError::Malformed { .. }), "{length} bytes");
    }
}
