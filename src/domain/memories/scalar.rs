//! Values in metadata that can be compared.

use serde_json::Value;

/// A value that metadata can be compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// Text.
    Text(String),
    /// A number.
    Number(f64),
    /// A boolean.
    Bool(bool),
}

impl Scalar {
    /// Converts a JSON value; `None` for null, arrays, objects, and text with a NUL.
    #[must_use]
    pub fn from_json(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) if !text.contains('\0') => Some(Self::Text(text.clone())),
            Value::Number(number) => number.as_f64().map(Self::Number),
            Value::Bool(value) => Some(Self::Bool(*value)),
            _ => None,
        }
    }
}
