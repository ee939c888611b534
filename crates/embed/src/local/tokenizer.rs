//! Text to token numbers.

use std::path::Path;

use tokenizers::TruncationParams;

use super::error::ModelError;

/// Bytes of a text that are looked at. 256 tokens of prose take about 1.5 KiB; without a
/// bound, a megabyte of lyrics in one tag would be tokenised only to be thrown away.
const MAX_TEXT_BYTES: usize = 8 * 1024;

/// Refuse longer tokenizer files before reading them. The real one has 455 KiB.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// A Hugging Face `tokenizer.json`, set up for one model.
#[derive(Debug)]
pub(crate) struct Tokenizer {
    inner: tokenizers::Tokenizer,
    vocabulary: usize,
}

impl Tokenizer {
    /// Loads a tokenizer that keeps `max_tokens` of a text and must stay below `vocabulary`.
    pub(crate) fn load(path: &Path, max_tokens: usize, vocabulary: usize) -> Result<Tokenizer, ModelError> {
        let failed = |source| ModelError::Read { path: path.to_owned(), source };
        let invalid = |source| ModelError::InvalidTokenizer { path: path.to_owned(), source };
        if std::fs::metadata(path).map_err(failed)?.len() > MAX_FILE_BYTES {
            return Err(invalid("the file is far too large".into()));
        }
        let bytes = std::fs::read(path).map_err(failed)?;
        let mut inner = tokenizers::Tokenizer::from_bytes(bytes).map_err(invalid)?;
        // The file ships truncation at 128 tokens and padding of every text to 128; the
        // reference implementation overrides both, and padding would also cost 2.5 × the
        // time on texts of typical length.
        inner.with_padding(None);
        inner
            .with_truncation(Some(TruncationParams { max_length: max_tokens, ..TruncationParams::default() }))
            .map_err(invalid)?;
        Ok(Tokenizer { inner, vocabulary })
    }

    /// The token numbers of a text, special tokens included.
    pub(crate) fn tokenise(&self, text: &str) -> Result<Vec<u32>, ModelError> {
        let text = &text[..text.floor_char_boundary(MAX_TEXT_BYTES)];
        let encoding = self.inner.encode_fast(text, true).map_err(|source| ModelError::Tokenise { source })?;
        let tokens = encoding.get_ids();
        match tokens.iter().find(|&&token| token as usize >= self.vocabulary) {
            Some(&token) => Err(ModelError::UnknownToken { token, vocabulary: self.vocabulary }),
            None => Ok(tokens.to_vec()),
        }
    }
}
