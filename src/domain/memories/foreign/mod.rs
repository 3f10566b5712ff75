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
mod server_memory;

use std::fmt;
use std::str::FromStr;

use serde_json::{Value, json};

pub use items::{Item, Items};
pub use reading::{Conversation, FoundRow, Reading, ReadingError};

use super::model::Content;
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

    /// The rows of one item of this format: a conversation, a memory, a list of memories; of a note the text as a string.
    ///
    /// # Errors
    /// Why the item is left out.
    pub fn rows(self, value: &Value) -> Result<Vec<Row>, &'static str> {
        if let Some(list) = listed(value) {
            return list.iter().map(|value| self.rows(value)).collect::<Result<Vec<_>, _>>().map(|rows| rows.concat());
        }
        match self {
            Self::ChatGpt => chatgpt::rows(value),
            Self::Claude => claude::rows(value),
            Self::Mem0 => mem0::rows(value),
            Self::ServerMemory => server_memory::rows(value),
            Self::BasicMemory => basic_memory::rows(value.as_str().ok_or("is not a text")?),
            Self::Memgate => Ok(vec![Row { part: Part::Memories, json: value.to_string() }]),
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

/// The memories of an answer of mem0: `{"results": […]}`.
fn listed(value: &Value) -> Option<&Vec<Value>> {
    ["results", "memories"].iter().find_map(|name| value.get(name)?.as_array())
}

/// What of a file can be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// What was stored as a memory.
    Memories,
    /// What the person said in conversations.
    Messages,
}

/// A memory of another program, as a row that an [`ImportReader`](super::ImportReader) reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Which part of the file it belongs to.
    pub part: Part,
    /// The row.
    pub json: String,
}

/// What is known of a memory of another program.
#[derive(Default)]
struct Found<'a> {
    text: &'a str,
    categories: Vec<String>,
    conversation: Option<&'a str>,
    /// When it was said, or stored.
    at: Option<String>,
    /// When it was last changed.
    updated: Option<String>,
    source: &'static str,
}

impl Found<'_> {
    /// The rows that hold the text, in pieces if it is longer than a memory may be; none if there is no text.
    fn rows(&self, part: Part) -> Vec<Row> {
        let row = |text: String| {
            let mut row = json!({"content": text, "metadata": {"imported_from": self.source}});
            if !self.categories.is_empty() {
                row["categories"] = json!(self.categories);
            }
            if let Some(id) = self.conversation {
                row["context"] = json!({"conversation_id": id});
            }
            if let Some(at) = &self.at {
                row["created_at"] = json!(at);
                if part == Part::Messages {
                    row["occurred_at"] = json!(at);
                }
            }
            if let Some(updated) = &self.updated {
                row["updated_at"] = json!(updated);
            }
            Row { part, json: row.to_string() }
        };
        pieces(self.text).into_iter().map(row).collect()
    }
}

/// A text in pieces that each fit into a memory, cut between paragraphs, lines or words where possible.
fn pieces(text: &str) -> Vec<String> {
    let text = text.replace('\0', "");
    let mut rest = text.trim();
    let mut pieces = Vec::new();
    while let Some((limit, _)) = rest.char_indices().nth(Content::MAX) {
        let head = &rest[..limit];
        let cut = ["\n\n", "\n", " "].iter().find_map(|end| head.rfind(end).filter(|cut| *cut > limit / 2));
        let (piece, after) = rest.split_at(cut.unwrap_or(limit));
        pieces.push(piece.trim().to_owned());
        rest = after.trim();
    }
    if !rest.is_empty() {
        pieces.push(rest.to_owned());
    }
    pieces
}

/// Seconds since the epoch, perhaps with a fraction, as RFC 3339.
fn from_seconds(value: Option<&Value>) -> Option<String> {
    let seconds = value?.as_f64().filter(|seconds| seconds.abs() < 1e11)?;
    #[expect(clippy::cast_possible_truncation, reason = "it is bounded")]
    let millis = (seconds * 1000.0).round() as i64;
    Some(Timestamp::from_unix_millis(millis).to_string())
}

/// A time that is written as RFC 3339, if it is one.
fn from_text(value: Option<&Value>) -> Option<String> {
    from_date(value?.as_str()?)
}

/// As [`from_text`], of a plain text.
fn from_date(text: &str) -> Option<String> {
    Timestamp::parse("created_at", text).ok().map(|at| at.to_string())
}

/// A name that can be a category.
fn category(name: &str) -> Option<String> {
    let name: String = name.trim().trim_start_matches('#').chars().filter(|c| !c.is_control()).take(64).collect();
    (!name.trim().is_empty()).then(|| name.trim().to_owned())
}

/// At most as many categories as a memory can have.
fn categories<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut categories: Vec<String> = Vec::new();
    for name in names.filter_map(category) {
        if categories.len() < 16 && !categories.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
            categories.push(name);
        }
    }
    categories
}

/// An id of a conversation that can be stored.
fn id(value: Option<&Value>) -> Option<&str> {
    value?.as_str().filter(|id| super::ContextId::parse("conversation_id", id).is_ok())
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests;
