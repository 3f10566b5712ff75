//! Static models: the vector of a text is the mean of the vectors of its tokens, which a table has (model2vec's format).

use std::ops::Range;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use super::error::ModelError;
use super::files::{ModelFolder, model_id};
use super::text_model::TextModel;
use super::text_tokenizer::TextTokenizer;
use crate::domain::memories::{Embedding, EmbeddingModelId, TextKind};
use crate::domain::system::BoxError;

/// The names that tables have.
const TABLES: [&str; 2] = ["embeddings", "embedding.weight"];

/// A table of the vectors of tokens.
pub(super) struct StaticTable {
    tokenizer: TextTokenizer,
    /// What is not in any text.
    unknown: Option<u32>,
    /// The whole file, of which `table` are the rows.
    file: Vec<u8>,
    table: Range<usize>,
    number: Number,
    dimensions: usize,
    rows: usize,
    /// The row of each token, if not that with its number.
    mapping: Option<Vec<usize>>,
    /// How much each token weighs, if not all the same.
    weights: Option<Vec<f32>>,
}

impl StaticTable {
    pub(super) fn load(folder: &ModelFolder) -> Result<(Self, EmbeddingModelId), ModelError> {
        let (file, tokenizer_json) = (folder.read_model()?, folder.read_tokenizer()?);
        let tokenizer = TextTokenizer::load(folder, &tokenizer_json, false)?;
        let invalid = |problem: &str| folder.invalid_model(problem);
        let tensors = SafeTensors::deserialize(&file)
            .map_err(|error| invalid(&format!("is not a safetensors file, or not all of one: {error}")))?;
        let table = TABLES.iter().find_map(|name| tensors.tensor(name).ok()).ok_or_else(|| {
            invalid(
                "has no table of token vectors (a tensor `embeddings` or `embedding.weight`); if it has the weights of a \
                 transformer, use its model.onnx",
            )
        })?;
        let &[rows, dimensions] = table.shape() else { return Err(invalid("has a table that is not one of vectors")) };
        if rows == 0 || !(1..=Embedding::MAX_DIMENSIONS).contains(&dimensions) {
            return Err(invalid(&format!(
                "has {rows} vectors of {dimensions} numbers; memgate takes up to 4096 numbers"
            )));
        }
        let number = Number::of(table.dtype()).ok_or_else(|| {
            invalid(&format!("has vectors of {:?}; memgate reads F32, F16, BF16 and I8", table.dtype()))
        })?;
        let tokens = tokenizer.vocabulary();
        let mapping = tensors.tensor("mapping").ok().map(|tensor| integers(&tensor));
        let mapping =
            mapping.map(|mapping| mapping.ok_or_else(|| invalid("has a `mapping` that is not one"))).transpose()?;
        let weights = match tensors.tensor("weights") {
            Ok(tensor) => {
                let number = Number::of(tensor.dtype()).ok_or_else(|| invalid("has `weights` that are not numbers"))?;
                Some(tensor.data().chunks_exact(number.bytes()).map(|bytes| number.read(bytes)).collect::<Vec<f32>>())
            }
            Err(_) => None,
        };
        let of_each = mapping.as_ref().map_or(rows, Vec::len).min(weights.as_ref().map_or(usize::MAX, Vec::len));
        if of_each < tokens {
            let problem = format!(
                "has vectors for {of_each} tokens, but tokenizer.json has {tokens}: they are of different models"
            );
            return Err(invalid(&problem));
        }
        if mapping.iter().flatten().any(|row| *row >= rows) {
            return Err(invalid("has a `mapping` to vectors that are not there"));
        }
        let start = table.data().as_ptr().addr() - file.as_ptr().addr();
        let table = start..start + table.data().len();
        let id = model_id("static", &[&file, &tokenizer_json, &tokenizer.window().to_be_bytes()])?;
        let unknown = tokenizer.unknown();
        Ok((Self { tokenizer, unknown, file, table, number, dimensions, rows, mapping, weights }, id))
    }

    /// Adds the vector of a token.
    fn add(&self, token: u32, sum: &mut [f64]) -> Option<()> {
        let token = usize::try_from(token).ok()?;
        let row = self.mapping.as_ref().map_or(Some(token), |mapping| mapping.get(token).copied())?;
        if row >= self.rows {
            return None;
        }
        let weight = self.weights.as_ref().map_or(Some(1.0), |weights| weights.get(token).copied())?;
        let size = self.number.bytes();
        let table = &self.file[self.table.clone()];
        let values = table[row * self.dimensions * size..].chunks_exact(size);
        for (sum, bytes) in sum.iter_mut().zip(values) {
            *sum += f64::from(weight) * f64::from(self.number.read(bytes));
        }
        Some(())
    }
}

impl TextModel for StaticTable {
    fn dimensions(&self) -> usize {
        self.dimensions
    }

    fn vector(&self, text: &str, _: TextKind) -> Result<Option<Embedding>, BoxError> {
        let mut sum = vec![0.0; self.dimensions];
        let tokens = self.tokenizer.tokens(text)?;
        let mut known = 0_u32;
        for token in tokens.into_iter().filter(|token| Some(*token) != self.unknown) {
            self.add(token, &mut sum).ok_or("the tokenizer has a token that the table does not have")?;
            known += 1;
        }
        #[expect(clippy::cast_possible_truncation, reason = "what becomes infinite is no vector")]
        let mean: Vec<f32> = sum.into_iter().map(|sum| (sum / f64::from(known.max(1))) as f32).collect();
        Ok(Embedding::of(&mean))
    }
}

/// How a number is written, little-endian.
#[derive(Clone, Copy)]
enum Number {
    F32,
    F16,
    Bf16,
    I8,
}

impl Number {
    fn of(dtype: Dtype) -> Option<Self> {
        match dtype {
            Dtype::F32 => Some(Self::F32),
            Dtype::F16 => Some(Self::F16),
            Dtype::BF16 => Some(Self::Bf16),
            Dtype::I8 => Some(Self::I8),
            _ => None,
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::I8 => 1,
        }
    }

    /// Reads as many bytes as [`bytes`](Self::bytes).
    fn read(self, bytes: &[u8]) -> f32 {
        match (self, bytes) {
            (Self::F32, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]),
            (Self::F16, &[a, b]) => half(u16::from_le_bytes([a, b])),
            (Self::Bf16, &[a, b]) => f32::from_bits(u32::from(u16::from_le_bytes([a, b])) << 16),
            (Self::I8, &[a]) => f32::from(a.cast_signed()),
            _ => f32::NAN,
        }
    }
}

/// A number of 16 bits (IEEE 754 binary16).
fn half(bits: u16) -> f32 {
    let (sign, exponent, fraction) = (bits >> 15, bits >> 10 & 0x1f, f32::from(bits & 0x3ff));
    let magnitude = match exponent {
        0 => fraction * 2_f32.powi(-24),
        0x1f if fraction == 0.0 => f32::INFINITY,
        0x1f => f32::NAN,
        _ => (1.0 + fraction / 1024.0) * 2_f32.powi(i32::from(exponent) - 15),
    };
    if sign == 1 { -magnitude } else { magnitude }
}

/// The numbers of rows; `None` if the tensor has none.
fn integers(tensor: &TensorView<'_>) -> Option<Vec<usize>> {
    match tensor.dtype() {
        Dtype::I64 => {
            let numbers = tensor.data().as_chunks::<8>().0.iter().map(|bytes| i64::from_le_bytes(*bytes));
            numbers.map(|number| usize::try_from(number).ok()).collect()
        }
        Dtype::I32 => {
            let numbers = tensor.data().as_chunks::<4>().0.iter().map(|bytes| i32::from_le_bytes(*bytes));
            numbers.map(|number| usize::try_from(number).ok()).collect()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::half;

    #[test]
    #[expect(clippy::float_cmp, reason = "each number is exact")]
    fn numbers_of_16_bits_are_read_exactly() {
        for (bits, number) in [
            (0x0000, 0.0),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x3555, 0.333_251_95),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ] {
            assert_eq!(half(bits), number, "{bits:04x}");
        }
        assert!(half(0x8000).is_sign_negative() && half(0x7e00).is_nan());
    }
}
