//! The embedding model, if one is configured.

use std::sync::Arc;

use crate::adapters::embedding::{LocalEmbedder, ModelError};
use crate::config::Config;
use crate::domain::memories::Embedder;

/// Loads the configured model. Takes as long as reading its files, and blocks.
pub(super) fn load_here(config: &Config) -> Result<Option<Arc<dyn Embedder>>, ModelError> {
    let Some(folder) = &config.embedding_model else { return Ok(None) };
    Ok(Some(Arc::new(LocalEmbedder::load(folder)?)))
}

/// The same, on a thread of its own.
pub(super) async fn load(config: &Config) -> Result<Option<Arc<dyn Embedder>>, ModelError> {
    if config.embedding_model.is_none() {
        return Ok(None);
    }
    let config = config.clone();
    match tokio::task::spawn_blocking(move || load_here(&config)).await {
        Ok(loaded) => loaded,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
