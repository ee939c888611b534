//! The BERT encoder: embeddings, a stack of transformer layers, mean pooling.
//!
//! A batch is *ragged*: the tokens of all texts follow one another in one matrix without
//! padding. Only attention looks at text boundaries.

use super::attention::{AttentionScratch, attend};
use super::elementwise::{gelu, layer_norm};
use super::error::ModelError;
use super::kernels::Isa;
use super::matrix::Linear;
use super::weights::Checkpoint;

/// The sizes of one BERT-like encoder with mean pooling.
///
/// `hidden / heads` and `intermediate` are multiples of 32, the panel width of the kernels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BertConfig {
    /// Name of the model, as `EMBEDDING_MODEL` spells it.
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

/// The weights of an encoder, ready to run.
#[derive(Debug)]
pub(crate) struct Bert {
    config: BertConfig,
    /// `[vocabulary, hidden]`
    words: Vec<f32>,
    /// `[max_tokens, hidden]`: position plus segment embedding, since every text is one
    /// segment.
    positions: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
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
    gain: Vec<f32>,
    bias: Vec<f32>,
}

/// Buffers of one running encoder, reused from batch to batch: one per thread.
///
/// They grow to about 15 KiB per token of the largest batch.
#[derive(Debug, Default)]
pub struct Scratch {
    hidden: Vec<f32>,
    qkv: Vec<f32>,
    context: Vec<f32>,
    residual: Vec<f32>,
    intermediate: Vec<f32>,
    attention: AttentionScratch,
}

impl Bert {
    /// Reads and packs the weights, checking name, shape and type of every tensor used.
    pub(crate) fn load(config: BertConfig, file: &mut Checkpoint) -> Result<Bert, ModelError> {
        let hidden = config.hidden;
        let words = file.tensor("embeddings.word_embeddings.weight", &[config.vocabulary, hidden])?;
        let mut positions = file.tensor("embeddings.position_embeddings.weight", &[config.positions, hidden])?;
        positions.truncate(config.max_tokens * hidden);
        let segments = file.tensor("embeddings.token_type_embeddings.weight", &[2, hidden])?;
        for position in positions.chunks_exact_mut(hidden) {
            for (value, segment) in position.iter_mut().zip(&segments) {
                *value += segment;
            }
        }
        let norm = Norm::load(file, "embeddings.LayerNorm", hidden)?;
        let layers = (0..config.layers)
            .map(|index| Layer::load(&config, file, &format!("encoder.layer.{index}")))
            .collect::<Result<_, _>>()?;
        Ok(Bert { config, words, positions, norm, layers })
    }

    pub(crate) fn config(&self) -> &BertConfig {
        &self.config
    }

    /// One unit vector per text.
    ///
    /// Every text has 1 to `max_tokens` tokens, all inside the vocabulary; the tokenizer
    /// sees to that.
    pub(crate) fn encode(
        &self,
        isa: Isa,
        texts: &[&[u32]],
        scratch: &mut Scratch,
    ) -> Result<Vec<Vec<f32>>, ModelError> {
        let width = self.config.hidden;
        self.embed_tokens(isa, texts, &mut scratch.hidden);
        for layer in &self.layers {
            self.run_layer(isa, layer, texts, scratch);
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

    fn embed_tokens(&self, isa: Isa, texts: &[&[u32]], hidden: &mut Vec<f32>) {
        let width = self.config.hidden;
        hidden.clear();
        for text in texts {
            for (&token, position) in text.iter().zip(self.positions.chunks_exact(width)) {
                let word = &self.words[token as usize * width..][..width];
                hidden.extend(word.iter().zip(position).map(|(word, position)| word + position));
            }
        }
        self.norm.apply(isa, hidden, None, self.config.layer_norm_epsilon);
    }

    fn run_layer(&self, isa: Isa, layer: &Layer, texts: &[&[u32]], scratch: &mut Scratch) {
        let BertConfig { hidden: width, heads, layer_norm_epsilon: epsilon, .. } = self.config;
        let Scratch { hidden, qkv, context, residual, intermediate, attention } = scratch;

        layer.qkv.apply(isa, hidden, qkv);
        context.resize(hidden.len(), 0.0);
        let mut row = 0;
        for text in texts {
            let rows = row..row + text.len();
            row = rows.end;
            let qkv = &qkv[3 * width * rows.start..3 * width * rows.end];
            let context = &mut context[width * rows.start..width * rows.end];
            attend(isa, heads, width, qkv, context, attention);
        }
        layer.attention_output.apply(isa, context, residual);
        layer.attention_norm.apply(isa, hidden, Some(residual), epsilon);

        layer.up.apply(isa, hidden, intermediate);
        gelu(isa, intermediate);
        layer.down.apply(isa, intermediate, residual);
        layer.output_norm.apply(isa, hidden, Some(residual), epsilon);
    }
}

impl Layer {
    fn load(config: &BertConfig, file: &mut Checkpoint, name: &str) -> Result<Layer, ModelError> {
        let BertConfig { hidden, intermediate, .. } = *config;
        let mut linear = |parts: &[&str], inputs: usize, outputs: usize| {
            let (mut weights, mut bias) = (Vec::new(), Vec::new());
            for part in parts {
                weights.extend(file.tensor(&format!("{name}.{part}.weight"), &[outputs, inputs])?);
                bias.extend(file.tensor(&format!("{name}.{part}.bias"), &[outputs])?);
            }
            Ok::<Linear, ModelError>(Linear::pack(&weights, bias, inputs))
        };
        let qkv = ["attention.self.query", "attention.self.key", "attention.self.value"];
        let qkv = linear(&qkv, hidden, hidden)?;
        let attention_output = linear(&["attention.output.dense"], hidden, hidden)?;
        let up = linear(&["intermediate.dense"], hidden, intermediate)?;
        let down = linear(&["output.dense"], intermediate, hidden)?;
        Ok(Layer {
            qkv,
            attention_output,
            attention_norm: Norm::load(file, &format!("{name}.attention.output.LayerNorm"), hidden)?,
            up,
            down,
            output_norm: Norm::load(file, &format!("{name}.output.LayerNorm"), hidden)?,
        })
    }
}

impl Norm {
    fn load(file: &mut Checkpoint, name: &str, width: usize) -> Result<Norm, ModelError> {
        Ok(Norm {
            gain: file.tensor(&format!("{name}.weight"), &[width])?,
            bias: file.tensor(&format!("{name}.bias"), &[width])?,
        })
    }

    fn apply(&self, isa: Isa, rows: &mut [f32], residual: Option<&[f32]>, epsilon: f32) {
        layer_norm(isa, rows, residual, &self.gain, &self.bias, epsilon);
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
