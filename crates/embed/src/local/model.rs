//! A loaded model: tokenizer and weights, shared by all threads.

use std::path::Path;

use super::batch;
use super::bert::{ALL_MINILM_L6_V2, Bert, BertConfig, Scratch};
use super::error::ModelError;
use super::image::Image;
use super::kernels::Isa;
use super::packed;
use super::precision::Precision;
use super::tokenizer::Tokenizer;

/// An encoder that is ready to run; load it once and share it. Its weights take 90 MB in single precision and 23 MB in
/// 8 bits, shared with every other process that has loaded the same model from the same folder.
#[derive(Debug)]
pub struct LocalModel {
    name: String,
    isa: Isa,
    tokenizer: Tokenizer,
    image: Image,
    bert: Bert,
}

impl LocalModel {
    /// Loads all-MiniLM-L6-v2 from a directory with `model.safetensors` and
    /// `tokenizer.json`.
    ///
    /// The first load packs the weights into a file beside them, which later ones map; see `packed`.
    pub fn load(directory: &Path, precision: Precision) -> Result<LocalModel, ModelError> {
        LocalModel::load_with(directory, ALL_MINILM_L6_V2, precision, Isa::detect())
    }

    /// Loads a model of these sizes, to run on this instruction set.
    pub fn load_with(
        directory: &Path,
        config: BertConfig,
        precision: Precision,
        isa: Isa,
    ) -> Result<LocalModel, ModelError> {
        let tokenizer = Tokenizer::load(&directory.join("tokenizer.json"), config.max_tokens, config.vocabulary)?;
        let (image, bert) = packed::load(directory, config, precision)?;
        Ok(LocalModel { name: config.model_name(precision), isa, tokenizer, image, bert })
    }

    /// The model's name, as [`BertConfig::model_name`] makes it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The model's sizes.
    pub fn config(&self) -> &BertConfig {
        self.bert.config()
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// One unit vector of `hidden` values per text, in input order, computed on the calling
    /// thread. A text's vector does not depend on the other texts.
    pub fn encode<T: AsRef<str>>(&self, scratch: &mut Scratch, texts: &[T]) -> Result<Vec<Vec<f32>>, ModelError> {
        let texts = self.tokenise(texts)?;
        let lengths: Vec<usize> = texts.iter().map(Vec::len).collect();
        let mut vectors = vec![Vec::new(); texts.len()];
        for batch in batch::cut(&lengths) {
            let tokens: Vec<&[u32]> = batch.iter().map(|&index| texts[index].as_slice()).collect();
            for (index, vector) in batch.into_iter().zip(self.encode_tokens(scratch, &tokens)?) {
                vectors[index] = vector;
            }
        }
        Ok(vectors)
    }

    pub(crate) fn tokenise<T: AsRef<str>>(&self, texts: &[T]) -> Result<Vec<Vec<u32>>, ModelError> {
        texts.iter().map(|text| self.tokenizer.tokenise(text.as_ref())).collect()
    }

    pub(crate) fn encode_tokens(&self, scratch: &mut Scratch, texts: &[&[u32]]) -> Result<Vec<Vec<f32>>, ModelError> {
        self.bert.encode(self.isa, &self.image, texts, scratch)
    }
}
