//! Why something is left out of an import.

use crate::validation::InvalidValue;

/// Why something in a file is left out of an import. Its text is English, follows the place where it stood, and holds nothing of
/// what the file says but what a parser quotes; people are told in their language what the case and its data say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportProblem {
    /// A line or a note has more bytes than this.
    #[error("is longer than {} MiB", .0 >> 20)]
    TooLong(u64),
    /// An item has more bytes than this.
    #[error("is larger than {} MiB", .0 >> 20)]
    TooLarge(u64),
    /// It is no text.
    #[error("is not UTF-8")]
    NotUtf8,
    /// The file ends within it.
    #[error("is not complete")]
    Incomplete,
    /// It is no JSON.
    #[error("is not JSON: {0}")]
    NotJson(JsonError),
    /// It is no row of memgate.
    #[error("is not a row: {0}")]
    NotARow(JsonError),
    /// A member of a row is invalid.
    #[error(transparent)]
    Invalid(#[from] InvalidValue),
    /// A row is in categories in which the application may not write.
    #[error("its categories are not all among the ones that the application may write")]
    CategoryNotAllowed,
    /// It has the form of an item of ChatGPT, and is none.
    #[error("is not a conversation of ChatGPT")]
    NotOfChatGpt,
    /// The same of Claude.
    #[error("is neither a conversation nor a memory of Claude")]
    NotOfClaude,
    /// The same of mem0.
    #[error("is not a memory of mem0")]
    NotOfMem0,
    /// The same of server-memory.
    #[error("is neither an entity nor a relation of server-memory")]
    NotOfServerMemory,
    /// It holds no text that could be a memory.
    #[error("has no text")]
    NoText,
    /// It is an entity of server-memory of which nothing is said.
    #[error("is an entity without observations")]
    NoObservations,
    /// The rest of it is taken.
    #[error("a part of it is left out: {0}")]
    InPart(Box<Self>),
    /// The memory bank refused it, with these words.
    #[error("{0}")]
    Refused(String),
    /// A file in an archive is an archive.
    #[error("is an archive in the archive; unpack it, and import what is in it")]
    NestedArchive,
    /// Whoever unpacked it would write elsewhere.
    #[error("has a name that leads out of the archive")]
    LeadsOut,
    /// It needs a password.
    #[error("is encrypted; unpack it with its password, and import what is in it")]
    Encrypted,
    /// It cannot be unpacked.
    #[error("is damaged")]
    Damaged,
    /// It could be unpacked in part.
    #[error("is damaged: only what comes before the damage was read")]
    DamagedAtTheEnd,
    /// It needs another method than Deflate.
    #[error("is compressed in a way that is not supported; only Deflate is")]
    UnknownCompression,
}

/// What a parser of JSON says of a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct JsonError {
    /// In its words.
    text: String,
    /// The line and the character at which it is no JSON; `None` if it is JSON of another shape than was wanted.
    at: Option<(u64, u64)>,
}

impl JsonError {
    /// What the parser says, in English.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The line and the character at which the text is no JSON, from 1; `None` if it is JSON of another shape than was wanted.
    #[must_use]
    pub fn at(&self) -> Option<(u64, u64)> {
        self.at
    }
}

impl From<serde_json::Error> for JsonError {
    fn from(error: serde_json::Error) -> Self {
        let at = (!error.is_data()).then(|| (error.line() as u64, error.column() as u64));
        Self { text: error.to_string(), at }
    }
}

impl ImportProblem {
    /// The same with the texts that come from elsewhere shortened by `shorten`.
    #[must_use]
    pub fn shortened(self, shorten: impl Fn(&str) -> String) -> Self {
        let json = |error: JsonError| JsonError { text: shorten(&error.text), ..error };
        match self {
            Self::NotJson(error) => Self::NotJson(json(error)),
            Self::NotARow(error) => Self::NotARow(json(error)),
            Self::Invalid(error) => Self::Invalid(error.shortened(shorten)),
            Self::Refused(text) => Self::Refused(shorten(&text)),
            Self::InPart(problem) => Self::InPart(Box::new(problem.shortened(shorten))),
            other => other,
        }
    }
}
