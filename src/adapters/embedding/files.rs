//! The files of a model, which somebody else wrote.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::error::ModelError;
use crate::domain::memories::EmbeddingModelId;

/// Maximum sizes in bytes.
const MAX_MODEL: u64 = 1024 * 1024 * 1024;
const MAX_TOKENIZER: u64 = 64 * 1024 * 1024;
const MAX_SETTINGS: u64 = 1024 * 1024;

/// Shorter and longer windows are not used: of a text at most so many tokens count.
const LEAST_WINDOW: u64 = 16;
const MOST_WINDOW: u64 = 512;

/// A folder with a model in it.
#[derive(Clone)]
pub(super) struct ModelFolder {
    folder: PathBuf,
    model: PathBuf,
    is_transformer: bool,
}

impl ModelFolder {
    pub(super) fn open(folder: &Path) -> Result<Self, ModelError> {
        let candidates = [("model.onnx", true), ("onnx/model.onnx", true), ("model.safetensors", false)];
        let found = candidates.into_iter().find(|(name, _)| folder.join(name).is_file());
        let (name, is_transformer) = found.ok_or_else(|| ModelError::NoModel { folder: folder.to_owned() })?;
        Ok(Self { folder: folder.to_owned(), model: folder.join(name), is_transformer })
    }

    /// Whether the model is a transformer, rather than a static table.
    pub(super) fn has_transformer(&self) -> bool {
        self.is_transformer
    }

    pub(super) fn read_model(&self) -> Result<Vec<u8>, ModelError> {
        read(&self.model, MAX_MODEL)
    }

    pub(super) fn read_tokenizer(&self) -> Result<Vec<u8>, ModelError> {
        read(&self.folder.join("tokenizer.json"), MAX_TOKENIZER)
    }

    /// A settings file; `None` if there is none.
    pub(super) fn read_settings(&self, name: &str) -> Result<Option<Value>, ModelError> {
        let text = match read(&self.folder.join(name), MAX_SETTINGS) {
            Ok(text) => text,
            Err(ModelError::Unreadable { source, .. })
                if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| self.invalid(name, &format!("is not valid JSON: {error}")))
    }

    pub(super) fn invalid(&self, name: &str, problem: &str) -> ModelError {
        ModelError::Invalid { file: self.folder.join(name), problem: problem.to_owned() }
    }

    pub(super) fn invalid_model(&self, problem: &str) -> ModelError {
        ModelError::Invalid { file: self.model.clone(), problem: problem.to_owned() }
    }

    /// How many tokens of a text the model was trained for. `of_tokenizer` is what its tokenizer says.
    pub(super) fn window(&self, of_tokenizer: Option<usize>) -> Result<usize, ModelError> {
        let number = |name: &str, member: &str| {
            Ok(self.read_settings(name)?.and_then(|settings| settings.get(member).and_then(Value::as_u64)))
        };
        let window = match number("sentence_bert_config.json", "max_seq_length")? {
            Some(window) => Some(window),
            None => match of_tokenizer {
                Some(window) => u64::try_from(window).ok(),
                None => number("config.json", "max_position_embeddings")?,
            },
        };
        Ok(usize::try_from(window.unwrap_or(MOST_WINDOW).clamp(LEAST_WINDOW, MOST_WINDOW)).unwrap_or(0))
    }
}

/// The name of a model, from everything that its vectors depend on.
pub(super) fn model_id(kind: &str, parts: &[&[u8]]) -> Result<EmbeddingModelId, ModelError> {
    let mut digest = Sha256::new().chain_update("memgate embedding 1\0").chain_update(kind);
    for part in parts {
        digest.update(part.len().to_be_bytes());
        digest.update(part);
    }
    let digest = digest.finalize();
    let first = u64::from_be_bytes(std::array::from_fn(|place| digest[place]));
    format!("{first:016x}")
        .parse()
        .map_err(|_| ModelError::Invalid { file: PathBuf::new(), problem: "has no digest".to_owned() })
}

/// Reads a file of at most `max` bytes. Devices and the like, which may never end, are not read.
fn read(file: &Path, max: u64) -> Result<Vec<u8>, ModelError> {
    let unreadable = |source| ModelError::Unreadable { file: file.to_owned(), source };
    let invalid = |problem: String| ModelError::Invalid { file: file.to_owned(), problem };
    // Opening a pipe would wait for whoever writes to it.
    let metadata = std::fs::metadata(file).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(invalid("is not a file".to_owned()));
    }
    let mut content = Vec::with_capacity(usize::try_from(metadata.len().min(max)).unwrap_or(0));
    File::open(file).and_then(|file| file.take(max + 1).read_to_end(&mut content)).map_err(unreadable)?;
    if content.len() as u64 > max {
        return Err(invalid(format!("is larger than {} MiB", max / 1024 / 1024)));
    }
    Ok(content)
}
