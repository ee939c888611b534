//! A loaded model: tokenizer and weights, shared by all threads.

use std::path::Path;

use super::batch;
use super::bert::{ALL_MINILM_L6_V2, Bert, BertConfig, Scratch};
use super::error::ModelError;
use super::kernels::Isa;
use super::tokenizer::Tokenizer;
use super::weights::Checkpoint;

/// An encoder that is ready to run. Takes about 90 MB; load it once and share it.
#[derive(Debug)]
pub struct LocalModel {
    isa: Isa,
    tokenizer: Tokenizer,
    bert: Bert,
}

impl LocalModel {
    /// Loads all-MiniLM-L6-v2 from a directory with `model.safetensors` and
    /// `tokenizer.json`.
    pub fn load(directory: &Path) -> Result<LocalModel, ModelError> {
        LocalModel::load_with(directory, ALL_MINILM_L6_V2, Isa::detect())
    }

    /// Loads a model of these sizes, to run on this instruction set.
    pub fn load_with(directory: &Path, config: BertConfig, isa: Isa) -> Result<LocalModel, ModelError> {
        let tokenizer = Tokenizer::load(&directory.join("tokenizer.json"), config.max_tokens, config.vocabulary)?;
        let mut weights = Checkpoint::open(&directory.join("model.safetensors"))?;
        let bert = Bert::load(config, &mut weights)?;
        Ok(LocalModel { isa, tokenizer, bert })
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
        self.bert.encode(self.isa, texts, scratch)
    }
}
