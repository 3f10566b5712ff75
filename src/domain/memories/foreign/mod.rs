//! What other programs let people take away, read as rows of an import.
//!
//! Every parser is a pure function of one bounded piece of a file. Nothing is known of these formats but what real exports
//! show, so a parser takes what it knows and leaves out what it does not, with a reason.

mod basic_memory;
mod chatgpt;
mod claude;
mod items;
mod mem0;
mod reading;
mod rows;
mod server_memory;

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

pub use items::{Item, Items};
pub use reading::{Conversation, FoundRow, Reading, ReadingError};
pub use rows::{ForeignRow, Part};

use self::items::listed;
use self::rows::{ItemRows, from_seconds, from_text, text};
use crate::memories::import_problem::ImportProblem;
use crate::system::Timestamp;
use crate::validation::InvalidValue;

/// A format that an import reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ImportFormat {
    /// memgate's own export: one JSON object per line.
    Memgate,
    /// The data export of ChatGPT: `conversations.json`.
    ChatGpt,
    /// The data export of Claude: `conversations.json` and `memories.json`.
    Claude,
    /// Memories of mem0, as its API lists them.
    Mem0,
    /// The file of the MCP server `server-memory`: one JSON object per line.
    ServerMemory,
    /// The notes of basic-memory: Markdown files.
    BasicMemory,
}

impl ImportFormat {
    /// Every format.
    pub const ALL: [Self; 6] =
        [Self::Memgate, Self::ChatGpt, Self::Claude, Self::Mem0, Self::ServerMemory, Self::BasicMemory];

    /// Its name on the command line and in forms.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memgate => "memgate",
            Self::ChatGpt => "chatgpt",
            Self::Claude => "claude",
            Self::Mem0 => "mem0",
            Self::ServerMemory => "server-memory",
            Self::BasicMemory => "basic-memory",
        }
    }

    /// The format of which `value` is an item; `None` if it is of none.
    #[must_use]
    pub fn detect(value: &Value) -> Option<Self> {
        let value = listed(value).and_then(|list| list.first()).unwrap_or(value);
        let members: [(Self, &[&str]); 5] = [
            (Self::ChatGpt, &["mapping"]),
            (Self::Claude, &["chat_messages", "conversations_memory", "memory_files"]),
            (Self::Mem0, &["memory"]),
            (Self::ServerMemory, &["entityType", "relationType"]),
            (Self::Memgate, &["content"]),
        ];
        let found = members.into_iter().find(|(_, names)| names.iter().any(|name| value.get(name).is_some()));
        found.map(|(format, _)| format)
    }

    /// The rows of one item of this format: a conversation, a memory; of a note the text as a string.
    ///
    /// # Errors
    /// Why the item is left out.
    fn rows(self, value: &Value) -> Result<ItemRows, ImportProblem> {
        match self {
            Self::ChatGpt => chatgpt::rows(value).map(ItemRows::from),
            Self::Claude => claude::rows(value).map(ItemRows::from),
            Self::Mem0 => mem0::rows(value),
            Self::ServerMemory => server_memory::rows(value),
            Self::BasicMemory => basic_memory::rows(value.as_str().ok_or(ImportProblem::NoText)?).map(ItemRows::from),
            Self::Memgate => Ok(vec![ForeignRow { part: Part::Memories, json: value.to_string() }].into()),
        }
    }
}

impl fmt::Display for ImportFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ImportFormat {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        Self::ALL.into_iter().find(|format| format.as_str() == text).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|format| format.as_str()).collect();
            InvalidValue::new("format", format!("must be one of {}", names.join(", ")))
        })
    }
}

/// The title of a conversation, and when it began.
fn conversation(format: ImportFormat, value: &Value) -> Option<(&str, Option<Timestamp>)> {
    let (title, at) = match format {
        ImportFormat::ChatGpt => (text(value, "title"), from_seconds(value.get("create_time"))),
        ImportFormat::Claude if value.get("chat_messages").is_some() => {
            (text(value, "name"), from_text(value.get("created_at")))
        }
        _ => return None,
    };
    Some((title, at.and_then(|at| Timestamp::parse("at", &at).ok())))
}

#[cfg(test)]
mod tests;
