//! Where a request comes from.

use crate::validation::{self, InvalidValue};

/// Where a request comes from, according to the assistant. A create stores it as metadata; it grants nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// The GPT.
    pub custom_gpt_id: Option<ContextId>,
    /// The conversation.
    pub conversation_id: Option<ContextId>,
}

/// An ID from an assistant: 1 to 200 characters on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextId(String);

impl ContextId {
    const MAX: usize = 200;

    /// Parses the ID.
    ///
    /// # Errors
    /// [`InvalidValue`] that names `field`.
    pub fn parse(field: &str, text: &str) -> Result<Self, InvalidValue> {
        validation::line(field, text.to_owned(), Self::MAX).map(Self)
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
