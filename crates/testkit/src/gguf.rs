//! A tiny BERT with made-up weights, in GGUF: the format of llama.cpp. Its vectors mean nothing and are always the same.
//!
//! The format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

use std::io::{self, Write};

/// Sizes of a model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) dims: usize,
    pub(crate) layers: usize,
    pub(crate) feed_forward: usize,
    pub(crate) heads: u32,
    pub(crate) context: u32,
}

/// Tensors begin at multiples of this.
const ALIGNMENT: usize = 32;

const ARCHITECTURE: &str = "nomic-bert";

/// Control tokens, in the order of their numbers.
const CONTROL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

const CHARACTERS: &str = "abcdefghijklmnopqrstuvwxyz0123456789.,:;!?-_'\"()[]{}/&+=#@%*<>|~$^`\\";

/// Words that are one token each.
pub(crate) const WORDS: &str = "the of and to in a is rock pop jazz metal music artist title genre album year bpm key energy song search document \
                     query happy sad dance electronic";

struct Tensor {
    name: String,
    /// The fastest running size first.
    shape: Vec<usize>,
    values: Values,
}

#[derive(Clone, Copy)]
enum Values {
    Random(f32),
    Constant(f32),
}

/// Writes a model of the architecture of nomic-embed-text.
pub(crate) fn write(sizes: Sizes, mut out: impl Write) -> io::Result<()> {
    let tokens = vocabulary();
    let tensors = tensors(sizes, tokens.len());
    let mut head = Vec::new();
    let mut entries = 0_u64;
    let mut put = |key: &str, kind: u32, value: &[u8]| {
        string(&mut head, key);
        head.extend(kind.to_le_bytes());
        head.extend(value);
        entries += 1;
    };
    let text = |text: &str| {
        let mut bytes = Vec::new();
        string(&mut bytes, text);
        bytes
    };
    put("general.architecture", 8, &text(ARCHITECTURE));
    put("general.name", 8, &text("tiny"));
    put("tokenizer.ggml.model", 8, &text("bert"));
    for (key, number) in [
        ("general.file_type", 0),
        ("nomic-bert.context_length", sizes.context),
        ("nomic-bert.embedding_length", sizes.dims as u32),
        ("nomic-bert.block_count", sizes.layers as u32),
        ("nomic-bert.feed_forward_length", sizes.feed_forward as u32),
        ("nomic-bert.attention.head_count", sizes.heads),
        // The mean over all tokens.
        ("nomic-bert.pooling_type", 1),
        ("tokenizer.ggml.token_type_count", 2),
        ("tokenizer.ggml.padding_token_id", 0),
        ("tokenizer.ggml.unknown_token_id", 1),
        ("tokenizer.ggml.bos_token_id", 2),
        ("tokenizer.ggml.eos_token_id", 3),
        // As the format spells it.
        ("tokenizer.ggml.seperator_token_id", 3),
        ("tokenizer.ggml.mask_token_id", 4),
    ] {
        put(key, 4, &number.to_le_bytes());
    }
    put("nomic-bert.attention.layer_norm_epsilon", 6, &1e-12_f32.to_le_bytes());
    put("nomic-bert.rope.freq_base", 6, &1000_f32.to_le_bytes());
    put("nomic-bert.attention.causal", 7, &[0]);
    let array = |kind: u32, items: Vec<u8>| {
        let mut bytes = kind.to_le_bytes().to_vec();
        bytes.extend((tokens.len() as u64).to_le_bytes());
        bytes.extend(items);
        bytes
    };
    put("tokenizer.ggml.tokens", 9, &array(8, tokens.iter().flat_map(|token| text(token)).collect()));
    let kinds = (0..tokens.len()).flat_map(|token| if token < CONTROL.len() { 3_i32 } else { 1 }.to_le_bytes());
    put("tokenizer.ggml.token_type", 9, &array(5, kinds.collect()));

    let mut offset = 0;
    for tensor in &tensors {
        string(&mut head, &tensor.name);
        head.extend((tensor.shape.len() as u32).to_le_bytes());
        tensor.shape.iter().for_each(|size| head.extend((*size as u64).to_le_bytes()));
        // 32-bit floating point.
        head.extend(0_u32.to_le_bytes());
        head.extend((offset as u64).to_le_bytes());
        offset += (tensor.bytes()).next_multiple_of(ALIGNMENT);
    }
    out.write_all(b"GGUF")?;
    out.write_all(&3_u32.to_le_bytes())?;
    out.write_all(&(tensors.len() as u64).to_le_bytes())?;
    out.write_all(&entries.to_le_bytes())?;
    out.write_all(&head)?;
    let before = 24 + head.len();
    out.write_all(&vec![0; before.next_multiple_of(ALIGNMENT) - before])?;
    let mut random = 42_u64;
    for tensor in &tensors {
        for _ in 0..tensor.count() {
            let value = match tensor.values {
                Values::Constant(value) => value,
                Values::Random(scale) => normal(&mut random) * scale,
            };
            out.write_all(&value.to_le_bytes())?;
        }
        out.write_all(&vec![0; tensor.bytes().next_multiple_of(ALIGNMENT) - tensor.bytes()])?;
    }
    out.flush()
}

impl Tensor {
    fn count(&self) -> usize {
        self.shape.iter().product()
    }

    fn bytes(&self) -> usize {
        self.count() * size_of::<f32>()
    }
}

fn tensors(sizes: Sizes, vocabulary: usize) -> Vec<Tensor> {
    let Sizes { dims, layers, feed_forward, .. } = sizes;
    let tensor = |name: &str, shape: &[usize], values| Tensor { name: name.to_owned(), shape: shape.to_vec(), values };
    let mut all = vec![
        tensor("token_embd.weight", &[dims, vocabulary], Values::Random(1.0)),
        tensor("token_types.weight", &[dims, 2], Values::Random(0.05)),
        tensor("token_embd_norm.weight", &[dims], Values::Constant(1.0)),
        tensor("token_embd_norm.bias", &[dims], Values::Constant(0.0)),
    ];
    for layer in 0..layers {
        for (name, shape) in [
            ("attn_qkv", [dims, 3 * dims]),
            ("attn_output", [dims, dims]),
            ("ffn_gate", [dims, feed_forward]),
            ("ffn_up", [dims, feed_forward]),
            ("ffn_down", [feed_forward, dims]),
        ] {
            all.push(tensor(&format!("blk.{layer}.{name}.weight"), &shape, Values::Random(0.05)));
        }
        for name in ["attn_output_norm", "layer_output_norm"] {
            all.push(tensor(&format!("blk.{layer}.{name}.weight"), &[dims], Values::Constant(1.0)));
            all.push(tensor(&format!("blk.{layer}.{name}.bias"), &[dims], Values::Constant(0.0)));
        }
    }
    all
}

/// Control tokens, each character as the beginning of a word and as its continuation, and a few words. llama.cpp marks
/// beginnings, where WordPiece itself marks continuations.
fn vocabulary() -> Vec<String> {
    let mut tokens: Vec<String> = CONTROL.iter().map(|token| (*token).to_owned()).collect();
    let words = CHARACTERS.chars().map(|c| format!("\u{2581}{c}"));
    let words = words.chain(CHARACTERS.chars().map(String::from));
    for token in words.chain(WORDS.split_whitespace().map(|word| format!("\u{2581}{word}"))) {
        if !tokens.contains(&token) {
            tokens.push(token);
        }
    }
    tokens
}

fn string(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}

/// About normal, from twelve uniform numbers of a xorshift generator.
fn normal(state: &mut u64) -> f32 {
    let mut sum = -6.0;
    for _ in 0..12 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        sum += (*state >> 40) as f32 / (1 << 24) as f32;
    }
    sum
}
