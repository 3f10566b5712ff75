//! Embedding models that run in this process: transformers (ONNX) and static tables of token vectors, from a folder as
//! sentence-transformers and model2vec save them.
//!
//! Nothing is downloaded, and nothing runs on the threads of the async runtime.

mod error;
mod files;
mod static_table;
mod text_model;
mod text_tokenizer;
mod transformer;

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::available_parallelism;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;

pub use self::error::ModelError;
use self::files::ModelFolder;
use self::static_table::StaticTable;
use self::text_model::{PROBE, TextModel};
use self::transformer::Transformer;
use crate::domain::memories::{Embedder, Embedding, EmbeddingError, EmbeddingModel, TextKind};
use crate::domain::system::BoxError;

/// Maximum time in which a model must be loaded.
const LOAD_TIMEOUT: Duration = Duration::from_mins(1);

/// Runs a model on threads of its own.
pub struct LocalEmbedder {
    model: EmbeddingModel,
    runs: Arc<dyn TextModel>,
    queries: Arc<Semaphore>,
    memories: Arc<Semaphore>,
}

impl LocalEmbedder {
    /// Loads the model in `folder`, and computes one vector. Takes as long as reading its files, and blocks.
    ///
    /// # Errors
    /// [`ModelError`], which names the file and what is wrong with it.
    pub fn load(folder: &Path) -> Result<Self, ModelError> {
        let folder = ModelFolder::open(folder)?;
        let (sender, loaded) = mpsc::channel();
        let of_thread = folder.clone();
        // What others wrote is read by code of others. It may panic or never end instead of failing: its thread is left behind.
        std::thread::spawn(move || sender.send(load(&of_thread)));
        let (runs, model) = loaded.recv_timeout(LOAD_TIMEOUT).unwrap_or_else(|error| {
            Err(folder.invalid_model(match error {
                RecvTimeoutError::Timeout => "takes too long to load: it is damaged, or too large for this machine",
                RecvTimeoutError::Disconnected => "is not a model that memgate can run",
            }))
        })?;
        let queries = available_parallelism().map_or(1, NonZeroUsize::get).div_ceil(2);
        Ok(Self { model, runs, queries: Arc::new(Semaphore::new(queries)), memories: Arc::new(Semaphore::new(1)) })
    }
}

fn load(folder: &ModelFolder) -> Result<(Arc<dyn TextModel>, EmbeddingModel), ModelError> {
    let (runs, id): (Arc<dyn TextModel>, _) = if folder.has_transformer() {
        let (transformer, id) = Transformer::load(folder)?;
        (Arc::new(transformer), id)
    } else {
        let (table, id) = StaticTable::load(folder)?;
        (Arc::new(table), id)
    };
    let dimensions = runs.dimensions();
    match runs.vector(PROBE, TextKind::Query) {
        Ok(Some(vector)) if vector.values().len() == dimensions => {}
        Ok(Some(_)) => return Err(folder.invalid_model("has vectors of different lengths")),
        // A static table need not know the word.
        Ok(None) if !folder.has_transformer() => {}
        Ok(None) => return Err(folder.invalid_model("computes vectors that are zero, infinite or not numbers")),
        Err(error) => return Err(folder.invalid_model(&format!("cannot be run: {error}"))),
    }
    Ok((runs, EmbeddingModel { id, dimensions }))
}

#[async_trait]
impl Embedder for LocalEmbedder {
    fn model(&self) -> &EmbeddingModel {
        &self.model
    }

    async fn embed(&self, texts: Vec<String>, of: TextKind) -> Result<Vec<Option<Embedding>>, EmbeddingError> {
        let places = match of {
            TextKind::Query => &self.queries,
            TextKind::Memory => &self.memories,
        };
        let place = Arc::clone(places).acquire_owned().await.map_err(|_| EmbeddingError::Ended)?;
        let runs = Arc::clone(&self.runs);
        let embed = move || {
            // Held by the work itself, which goes on if nobody waits for it any more.
            let _place = place;
            let vector = |text: &String| if text.trim().is_empty() { Ok(None) } else { runs.vector(text, of) };
            texts.iter().map(vector).collect::<Result<Vec<_>, BoxError>>()
        };
        match tokio::task::spawn_blocking(embed).await {
            Ok(vectors) => vectors.map_err(EmbeddingError::Failed),
            Err(error) if error.is_cancelled() => Err(EmbeddingError::Ended),
            Err(_) => Err(EmbeddingError::Failed("the model panicked".into())),
        }
    }
}
