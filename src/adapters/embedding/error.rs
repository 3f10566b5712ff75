//! Why a model cannot be used.

use std::path::PathBuf;

/// Why a model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The folder has no model in it, or is none.
    #[error(
        "{folder} is not a folder with an embedding model: it needs `tokenizer.json`, and `model.onnx` (also below `onnx/`) or \
         `model.safetensors`"
    )]
    NoModel {
        /// The folder.
        folder: PathBuf,
    },
    /// A file cannot be read.
    #[error("{file} cannot be read")]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{file} {problem}")]
    Invalid {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}
