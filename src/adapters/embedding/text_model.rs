//! What a model does with one text.

use crate::domain::memories::{Embedding, TextKind};
use crate::domain::system::BoxError;

/// What must have a vector for a model to be taken.
pub(super) const PROBE: &str = "memory";

/// A model that computes one vector at a time, for as long as that takes.
pub(super) trait TextModel: Send + Sync {
    fn dimensions(&self) -> usize;

    fn vector(&self, text: &str, of: TextKind) -> Result<Option<Embedding>, BoxError>;
}
