//! The BERT encoder: embeddings, a stack of transformer layers, mean pooling.
//!
//! A batch is *ragged*: the tokens of all texts follow one another in one matrix without
//! padding. Only attention looks at text boundaries.

use super::attention::{AttentionScratch, attend};
use super::elementwise::{gelu, layer_norm};
use super::error::ModelError;
use super::image::{Image, Layout, Section};
use super::kernels::Isa;
use super::matrix::Linear;
use super::precision::Precision;
use super::quantise::{Activations, QuantisedRows};

/// Tokens that pass through everything but attention at one go: so few that their activations stay in the second-level
/// cache (370 KiB, so that half a MiB is enough), and a multiple of every kernel's tile height.
const BLOCK_TOKENS: usize = 60;

/// The sizes of one BERT-like encoder with mean pooling.
///
/// `hidden / heads` and `intermediate` are multiples of 32, the panel width of the kernels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BertConfig {
    /// Name of the model in single precision.
    pub name: &'static str,
    /// Transformer layers.
    pub layers: usize,
    /// Values per token, and per text vector.
    pub hidden: usize,
    /// Attention heads.
    pub heads: usize,
    /// Values per token inside the feed-forward step.
    pub intermediate: usize,
    /// Tokens that the weights know.
    pub vocabulary: usize,
    /// Rows of the position table.
    pub positions: usize,
    /// Tokens kept of a text, its two special tokens included; at most `positions`.
    pub max_tokens: usize,
    /// Added to the variance in layer normalisation.
    pub layer_norm_epsilon: f32,
}

impl BertConfig {
    /// The name of the model in this precision, as `EMBEDDING_MODEL` and spaces spell it: `all-MiniLM-L6-v2` or
    /// `all-MiniLM-L6-v2-int8`.
    pub fn model_name(&self, precision: Precision) -> String {
        match precision {
            Precision::Fp32 => self.name.to_owned(),
            Precision::Int8 => format!("{}-int8", self.name),
        }
    }
}

/// all-MiniLM-L6-v2: the values of its `config.json` and `sentence_bert_config.json`.
pub const ALL_MINILM_L6_V2: BertConfig = BertConfig {
    name: "all-MiniLM-L6-v2",
    layers: 6,
    hidden: 384,
    heads: 12,
    intermediate: 1536,
    vocabulary: 30_522,
    positions: 512,
    max_tokens: 256,
    layer_norm_epsilon: 1e-12,
};

/// The parts of an encoder, and where in an image their weights lie.
#[derive(Debug)]
pub(crate) struct Bert {
    config: BertConfig,
    words: Table,
    /// `[max_tokens, hidden]`: position plus segment embedding, since every text is one
    /// segment.
    positions: Section<f32>,
    norm: Norm,
    layers: Vec<Layer>,
}

/// One row of `hidden` values a token of the vocabulary.
#[derive(Debug)]
enum Table {
    Fp32(Section<f32>),
    /// Steps, and what a step is worth in each row.
    Int8(Section<i8>, Section<f32>),
}

#[derive(Debug)]
struct Layer {
    qkv: Linear,
    attention_output: Linear,
    attention_norm: Norm,
    up: Linear,
    down: Linear,
    output_norm: Norm,
}

#[derive(Debug)]
struct Norm {
    gain: Section<f32>,
    bias: Section<f32>,
}

/// Buffers of one running encoder, reused from batch to batch: one per thread.
///
/// They grow to about 8 KiB per token of the largest batch, and half a MiB.
#[derive(Debug, Default)]
pub struct Scratch {
    hidden: Vec<f32>,
    qkv: Vec<f32>,
    context: Vec<f32>,
    residual: Vec<f32>,
    intermediate: Vec<f32>,
    attention: AttentionScratch,
    quantised: Activations,
}

impl Bert {
    /// Lays out an encoder. With a checkpoint behind the layout, name, shape and type of every tensor used are checked.
    pub(crate) fn lay(config: BertConfig, precision: Precision, layout: &mut Layout<'_>) -> Result<Bert, ModelError> {
        let hidden = config.hidden;
        let words = Table::lay(layout, precision, "embeddings.word_embeddings.weight", config.vocabulary, hidden)?;
        let mut positions = layout.tensor("embeddings.position_embeddings.weight", &[config.positions, hidden])?;
        let segments = layout.tensor("embeddings.token_type_embeddings.weight", &[2, hidden])?;
        if let (Some(positions), Some(segments)) = (&mut positions, segments) {
            positions.truncate(config.max_tokens * hidden);
            for position in positions.chunks_exact_mut(hidden) {
                for (value, segment) in position.iter_mut().zip(&segments) {
                    *value += segment;
                }
            }
        }
        let positions = layout.section(config.max_tokens * hidden, positions.as_deref());
        let norm = Norm::lay(layout, "embeddings.LayerNorm", hidden)?;
        let layers = (0..config.layers)
            .map(|index| Layer::lay(layout, precision, &config, &format!("encoder.layer.{index}")))
            .collect::<Result<_, _>>()?;
        Ok(Bert { config, words, positions, norm, layers })
    }

    pub(crate) fn config(&self) -> &BertConfig {
        &self.config
    }

    /// One unit vector per text, by the weights of `image`.
    ///
    /// Every text has 1 to `max_tokens` tokens, all inside the vocabulary; the tokenizer
    /// sees to that.
    pub(crate) fn encode(
        &self,
        isa: Isa,
        image: &Image,
        texts: &[&[u32]],
        scratch: &mut Scratch,
    ) -> Result<Vec<Vec<f32>>, ModelError> {
        let width = self.config.hidden;
        self.embed_tokens(isa, image, texts, &mut scratch.hidden);
        for layer in &self.layers {
            self.run_layer(isa, image, layer, texts, scratch);
        }
        let mut rows = scratch.hidden.as_slice();
        texts
            .iter()
            .map(|text| {
                let (tokens, rest) = rows.split_at(text.len() * width);
                rows = rest;
                pool(tokens, width)
            })
            .collect()
    }

    fn embed_tokens(&self, isa: Isa, image: &Image, texts: &[&[u32]], hidden: &mut Vec<f32>) {
        let width = self.config.hidden;
        let positions = self.positions.of(image);
        hidden.clear();
        for text in texts {
            for (&token, position) in text.iter().zip(positions.chunks_exact(width)) {
                self.words.add_row(image, token as usize, position, hidden);
            }
        }
        self.norm.apply(isa, image, hidden, None, self.config.layer_norm_epsilon);
    }

    fn run_layer(&self, isa: Isa, image: &Image, layer: &Layer, texts: &[&[u32]], scratch: &mut Scratch) {
        let BertConfig { hidden: width, heads, layer_norm_epsilon: epsilon, .. } = self.config;
        let Scratch { hidden, qkv, context, residual, intermediate, attention, quantised } = scratch;

        qkv.resize(3 * hidden.len(), 0.0);
        for (hidden, qkv) in hidden.chunks(BLOCK_TOKENS * width).zip(qkv.chunks_mut(3 * BLOCK_TOKENS * width)) {
            layer.qkv.apply(isa, image, hidden, qkv, quantised);
        }
        context.resize(hidden.len(), 0.0);
        let mut row = 0;
        for text in texts {
            let rows = row..row + text.len();
            row = rows.end;
            let qkv = &qkv[3 * width * rows.start..3 * width * rows.end];
            let context = &mut context[width * rows.start..width * rows.end];
            attend(isa, heads, width, qkv, context, attention);
        }
        for (hidden, context) in hidden.chunks_mut(BLOCK_TOKENS * width).zip(context.chunks(BLOCK_TOKENS * width)) {
            residual.resize(hidden.len(), 0.0);
            layer.attention_output.apply(isa, image, context, residual, quantised);
            layer.attention_norm.apply(isa, image, hidden, Some(residual), epsilon);

            intermediate.resize(hidden.len() / width * self.config.intermediate, 0.0);
            layer.up.apply(isa, image, hidden, intermediate, quantised);
            gelu(isa, intermediate);
            layer.down.apply(isa, image, intermediate, residual, quantised);
            layer.output_norm.apply(isa, image, hidden, Some(residual), epsilon);
        }
    }
}

impl Table {
    fn lay(
        layout: &mut Layout<'_>,
        precision: Precision,
        name: &str,
        rows: usize,
        width: usize,
    ) -> Result<Table, ModelError> {
        let values = layout.tensor(name, &[rows, width])?;
        Ok(match precision {
            Precision::Fp32 => Table::Fp32(layout.section(rows * width, values.as_deref())),
            Precision::Int8 => {
                let quantised = values.map(|values| QuantisedRows::new(&values, width));
                let steps = layout.section(rows * width, quantised.as_ref().map(|rows| rows.values.as_slice()));
                Table::Int8(steps, layout.section(rows, quantised.as_ref().map(|rows| rows.scales.as_slice())))
            }
        })
    }

    /// Appends `row` of the table plus `add`.
    fn add_row(&self, image: &Image, row: usize, add: &[f32], to: &mut Vec<f32>) {
        let width = add.len();
        match self {
            Table::Fp32(values) => {
                let values = &values.of(image)[row * width..][..width];
                to.extend(values.iter().zip(add).map(|(value, add)| value + add));
            }
            Table::Int8(steps, scales) => {
                let (steps, scale) = (&steps.of(image)[row * width..][..width], scales.of(image)[row]);
                to.extend(steps.iter().zip(add).map(|(&step, add)| f32::from(step) * scale + add));
            }
        }
    }
}

impl Layer {
    fn lay(
        layout: &mut Layout<'_>,
        precision: Precision,
        config: &BertConfig,
        name: &str,
    ) -> Result<Layer, ModelError> {
        let BertConfig { hidden, intermediate, .. } = *config;
        let linear = |layout: &mut Layout<'_>, parts: &[&str], inputs: usize, outputs: usize| {
            let names: Vec<String> = parts.iter().map(|part| format!("{name}.{part}")).collect();
            Linear::lay(layout, precision, &names, inputs, outputs)
        };
        let qkv = ["attention.self.query", "attention.self.key", "attention.self.value"];
        Ok(Layer {
            qkv: linear(layout, &qkv, hidden, 3 * hidden)?,
            attention_output: linear(layout, &["attention.output.dense"], hidden, hidden)?,
            attention_norm: Norm::lay(layout, &format!("{name}.attention.output.LayerNorm"), hidden)?,
            up: linear(layout, &["intermediate.dense"], hidden, intermediate)?,
            down: linear(layout, &["output.dense"], intermediate, hidden)?,
            output_norm: Norm::lay(layout, &format!("{name}.output.LayerNorm"), hidden)?,
        })
    }
}

impl Norm {
    fn lay(layout: &mut Layout<'_>, name: &str, width: usize) -> Result<Norm, ModelError> {
        let gain = layout.tensor(&format!("{name}.weight"), &[width])?;
        let bias = layout.tensor(&format!("{name}.bias"), &[width])?;
        Ok(Norm { gain: layout.section(width, gain.as_deref()), bias: layout.section(width, bias.as_deref()) })
    }

    fn apply(&self, isa: Isa, image: &Image, rows: &mut [f32], residual: Option<&[f32]>, epsilon: f32) {
        layer_norm(isa, rows, residual, self.gain.of(image), self.bias.of(image), epsilon);
    }
}

/// The mean of all token rows, scaled to length one. The division by the token count
/// cancels out, so it is left away.
fn pool(tokens: &[f32], width: usize) -> Result<Vec<f32>, ModelError> {
    let mut vector = vec![0.0; width];
    for row in tokens.chunks_exact(width) {
        for (sum, value) in vector.iter_mut().zip(row) {
            *sum += value;
        }
    }
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    if !length.is_normal() {
        return Err(ModelError::NotFinite);
    }
    for value in &mut vector {
        *value /= length;
    }
    Ok(vector)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pooling_gives_the_direction_of_the_mean() {
        let vector = pool(&[1.0, 0.0, 5.0, 8.0], 2).unwrap();
        assert_eq!(vector, [0.6, 0.8]);
    }

    #[test]
    fn vectors_without_direction_are_refused() {
        for tokens in [[0.0, 0.0], [f32::NAN, 1.0], [f32::INFINITY, 1.0]] {
            assert!(matches!(pool(&tokens, 2), Err(ModelError::NotFinite)));
        }
    }
}
