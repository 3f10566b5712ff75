//! From a text to the tokens of a model.

use tokenizers::{Tokenizer, TruncationParams};

use super::error::ModelError;
use super::files::ModelFolder;
use crate::domain::system::BoxError;

/// Maximum number of characters per token of the window that are looked at: enough for every language, and little work for a
/// text that is much too long.
const CHARACTERS_PER_TOKEN: usize = 16;

/// Splits texts into tokens, as many as the window of the model has.
pub(super) struct TextTokenizer {
    tokenizer: Tokenizer,
    window: usize,
    /// Whether the tokens that mark the beginning and the end of a text belong to it.
    marked: bool,
}

impl TextTokenizer {
    /// Reads `json`, the tokenizer of `folder`.
    pub(super) fn load(folder: &ModelFolder, json: &[u8], marked: bool) -> Result<Self, ModelError> {
        let invalid = |problem: String| folder.invalid("tokenizer.json", &problem);
        let mut tokenizer = Tokenizer::from_bytes(json)
            .map_err(|error| invalid(format!("is not a tokenizer as the library `tokenizers` saves it: {error}")))?;
        let window = folder.window(tokenizer.get_truncation().map(|truncation| truncation.max_length))?;
        tokenizer.with_padding(None);
        tokenizer
            .with_truncation(Some(TruncationParams { max_length: window, ..TruncationParams::default() }))
            .map_err(|error| invalid(format!("does not fit into {window} tokens: {error}")))?;
        Ok(Self { tokenizer, window, marked })
    }

    /// How many tokens of a text count.
    pub(super) fn window(&self) -> usize {
        self.window
    }

    /// How many different tokens there are.
    pub(super) fn vocabulary(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// The token for what is unknown, if there is one.
    pub(super) fn unknown(&self) -> Option<u32> {
        ["[UNK]", "<unk>"].iter().find_map(|token| self.tokenizer.token_to_id(token))
    }

    pub(super) fn tokens(&self, text: &str) -> Result<Vec<u32>, BoxError> {
        let end = text.char_indices().nth(self.window * CHARACTERS_PER_TOKEN).map_or(text.len(), |(end, _)| end);
        let encoding = self.tokenizer.encode_fast(&text[..end], self.marked)?;
        Ok(encoding.get_ids().to_vec())
    }
}
