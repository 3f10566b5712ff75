//! The port to an embedding model, and the vectors that it makes of texts.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;

use crate::system::BoxError;
use crate::validation::InvalidValue;

/// Maps texts to vectors, so that texts with a similar meaning have similar vectors. All vectors of one model have the same
/// number of dimensions, and the same text always has the same vector, whoever else calls at the same time.
#[async_trait]
pub trait Embedder: Send + Sync {
    /// The model. Vectors of different models cannot be compared.
    fn model(&self) -> &EmbeddingModel;

    /// The vector of each text, in order; `None` for a text without any that could be compared, such as an empty one. Of a text
    /// longer than the model's window the beginning counts. A caller that gives up waiting stops nothing that has begun.
    ///
    /// # Errors
    /// [`EmbeddingError`]; nothing is known of any text then.
    async fn embed(&self, texts: Vec<String>, of: TextKind) -> Result<Vec<Option<Embedding>>, EmbeddingError>;
}

/// What a text is. Queries do not wait for memories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextKind {
    /// Somebody waits for the results of a search.
    Query,
    /// A stored text; there may be many.
    Memory,
}

/// Why texts have no vectors.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddingError {
    /// The model failed on one of the texts, or at all.
    #[error("the embedding model failed")]
    Failed(#[source] BoxError),
    /// The service is shutting down.
    #[error("the embedding model is not available any more")]
    Ended,
}

/// A model of an [`Embedder`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddingModel {
    /// Tells it from every other model.
    pub id: EmbeddingModelId,
    /// Number of dimensions of its vectors.
    pub dimensions: usize,
}

/// Tells a model, in every detail that affects its vectors, from all others: 1 to 64 lower-case letters, digits and hyphens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EmbeddingModelId(String);

impl EmbeddingModelId {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EmbeddingModelId {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let is_valid = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if (1..=64).contains(&text.len()) && text.bytes().all(is_valid) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidValue::new("model", "must be 1 to 64 lower-case letters, digits and hyphens"))
        }
    }
}

impl fmt::Display for EmbeddingModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A vector of length 1, with 8 bits per dimension.
///
/// Its `Debug` shows no value: a vector tells much of its text.
#[derive(Clone, PartialEq)]
pub struct Embedding {
    scale: f32,
    values: Box<[i8]>,
}

impl Embedding {
    /// Maximum number of dimensions.
    pub const MAX_DIMENSIONS: usize = 4_096;

    /// The direction of `vector`; `None` if it has none, or a value is not a number or infinite.
    #[must_use]
    pub fn of(vector: &[f32]) -> Option<Self> {
        if vector.len() > Self::MAX_DIMENSIONS || vector.iter().any(|value| !value.is_finite()) {
            return None;
        }
        // Scaled by the largest value first, so that no square overflows.
        let largest = vector.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        if largest < f32::MIN_POSITIVE {
            return None;
        }
        let length = vector.iter().map(|value| f64::from(value / largest).powi(2)).sum::<f64>().sqrt();
        #[expect(clippy::cast_possible_truncation, reason = "at most 127 in absolute value, and less than 1")]
        let (scale, quantize) = ((1.0 / (length * f64::from(i8::MAX))) as f32, |value: &f32| {
            (value / largest * f32::from(i8::MAX)).round() as i8
        });
        Some(Self { scale, values: vector.iter().map(quantize).collect() })
    }

    /// What each of the values is multiplied by.
    #[must_use]
    pub fn scale(&self) -> f32 {
        self.scale
    }

    /// The values before they are multiplied.
    #[must_use]
    pub fn values(&self) -> &[i8] {
        &self.values
    }

    /// The cosine of the angle to another vector of the same model, in millionths: 1,000,000 for the same direction. A whole
    /// number, so that sums of many do not depend on their order.
    #[must_use]
    pub fn similarity(&self, other: &Self) -> i32 {
        similarity(self.scale, &self.values, other.scale, &other.values)
    }
}

/// [`Embedding::similarity`] of vectors that are kept as their parts. Of vectors of different models it means nothing.
#[must_use]
pub fn similarity(scale: f32, values: &[i8], other_scale: f32, other_values: &[i8]) -> i32 {
    const MILLION: f64 = 1_000_000.0;
    // In this form the processor multiplies and adds many at a time.
    let ((a, a_rest), (b, b_rest)) = (values.as_chunks::<16>(), other_values.as_chunks::<16>());
    let multiply = |a: i8, b: i8| i32::from(i16::from(a) * i16::from(b));
    let mut sums = [0_i32; 16];
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += multiply(*a, *b);
        }
    }
    let rest: i32 = a_rest.iter().zip(b_rest).map(|(a, b)| multiply(*a, *b)).sum();
    let product = sums.iter().sum::<i32>() + rest;
    let cosine = f64::from(product) * f64::from(scale) * f64::from(other_scale);
    #[expect(clippy::cast_possible_truncation, reason = "it is within the bounds")]
    let millionths = (cosine * MILLION).round().clamp(-MILLION, MILLION) as i32;
    millionths
}

impl fmt::Debug for Embedding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedding").field("dimensions", &self.values.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
