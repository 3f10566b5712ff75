//! Categories of memories, and which of them an application may see and write.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::validation::{self, InvalidValue, ValueProblem};

/// A category of a memory: 1 to 64 characters on one line, lower case, trimmed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Category(String);

impl Category {
    const MAX: usize = 64;
    /// Maximum number of categories of a memory.
    pub const MAX_PER_MEMORY: usize = 16;

    /// The category as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Parses a list, and drops duplicates.
    ///
    /// # Errors
    /// [`InvalidValue`] that names the entry.
    pub fn parse_list(field: &str, texts: &[String]) -> Result<Vec<Self>, InvalidValue> {
        if texts.len() > Self::MAX_PER_MEMORY {
            return Err(InvalidValue::new(field, ValueProblem::TooManyEntries(Self::MAX_PER_MEMORY)));
        }
        let mut categories = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            let category = text.parse::<Self>().map_err(|error| error.of(format!("{field}[{index}]")))?;
            if !categories.contains(&category) {
                categories.push(category);
            }
        }
        Ok(categories)
    }
}

impl FromStr for Category {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        validation::line("category", text.trim().to_lowercase(), Self::MAX).map(Self)
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The categories that an application may see and write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CategoryAccess {
    /// All memories of its space.
    #[default]
    All,
    /// Only memories that have a category, and no other categories than these.
    Only(BTreeSet<Category>),
}

impl CategoryAccess {
    /// Whether a memory with `categories` may be seen and written.
    #[must_use]
    pub fn allows(&self, categories: &[Category]) -> bool {
        match self {
            Self::All => true,
            Self::Only(allowed) => !categories.is_empty() && categories.iter().all(|c| allowed.contains(c)),
        }
    }
}
