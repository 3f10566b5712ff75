//! An embedder that knows which words mean the same.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;

use crate::memories::{Embedder, Embedding, EmbeddingError, EmbeddingModel, TextKind};
use crate::testing::in_memory::lock;

/// An embedder that was told of some words what they are about; every other word is about itself.
pub struct FakeEmbedder {
    model: EmbeddingModel,
    topics: Vec<Vec<String>>,
    embedded: Mutex<Vec<(String, TextKind)>>,
    broken: AtomicBool,
}

impl FakeEmbedder {
    /// Dimensions of words without a topic.
    const OTHERS: usize = 61;
    /// Words without a meaning.
    const EMPTY: &str = " a an and at for has have i in is my of on the to we ";

    /// A model with the name `id`, for which the words of each topic mean the same.
    ///
    /// # Panics
    /// If `id` is invalid.
    #[must_use]
    pub fn new(id: &str, topics: &[&[&str]]) -> Self {
        let topics: Vec<Vec<String>> =
            topics.iter().map(|words| words.iter().map(|word| (*word).to_owned()).collect()).collect();
        let id = id.parse().expect("a valid name of a model");
        let model = EmbeddingModel { id, dimensions: topics.len() + Self::OTHERS };
        Self { model, topics, embedded: Mutex::default(), broken: AtomicBool::new(false) }
    }

    /// What was embedded, in order.
    #[must_use]
    pub fn embedded(&self) -> Vec<(String, TextKind)> {
        lock(&self.embedded).clone()
    }

    /// Makes it fail, or work again.
    pub fn set_broken(&self, broken: bool) {
        self.broken.store(broken, Ordering::SeqCst);
    }

    fn vector(&self, text: &str) -> Option<Embedding> {
        let mut vector = vec![0.0; self.model.dimensions];
        let text = text.to_lowercase();
        let words = text.split(|c: char| !c.is_alphanumeric());
        for word in words.filter(|word| !word.is_empty() && !Self::EMPTY.contains(&format!(" {word} "))) {
            let topic = self.topics.iter().position(|words| words.iter().any(|known| known == word));
            let other = || word.bytes().fold(7_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
            vector[topic.unwrap_or_else(|| self.topics.len() + other() % Self::OTHERS)] += 1.0;
        }
        Embedding::of(&vector)
    }
}

#[async_trait]
impl Embedder for FakeEmbedder {
    fn model(&self) -> &EmbeddingModel {
        &self.model
    }

    async fn embed(&self, texts: Vec<String>, of: TextKind) -> Result<Vec<Option<Embedding>>, EmbeddingError> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(EmbeddingError::Failed("the fake is broken".into()));
        }
        let vectors = texts.iter().map(|text| self.vector(text)).collect();
        lock(&self.embedded).extend(texts.into_iter().map(|text| (text, of)));
        Ok(vectors)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::testing::conformance::Fixture;

    fn fake() -> Fixture<dyn Embedder> {
        Fixture::new(Arc::new(FakeEmbedder::new("fake", &[&["dog", "pet"], &["house"]])))
    }

    crate::conformance!(embedder, fake());
}
