//! Rows of an import, from what is known of a memory of another program.

use serde_json::{Map, Value, json};

use crate::memories::import_problem::ImportProblem;
use crate::memories::metadata::Metadata;
use crate::memories::model::Content;
use crate::system::Timestamp;
use crate::validation::InvalidValue;

/// The member of the metadata that names the program that a memory comes from.
const ORIGIN: &str = "imported_from";

/// What of a file can be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// What was stored as a memory.
    Memories,
    /// What the person said in conversations.
    Messages,
}

/// A memory of another program, as a row that an [`ImportReader`](crate::memories::ImportReader) reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignRow {
    /// Which part of the file it belongs to.
    pub part: Part,
    /// The row.
    pub json: String,
}

/// What an item of a file amounts to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ItemRows {
    pub(super) rows: Vec<ForeignRow>,
    /// Why a part of the item is in none of the rows.
    pub(super) left_out: Option<ImportProblem>,
}

impl From<Vec<ForeignRow>> for ItemRows {
    fn from(rows: Vec<ForeignRow>) -> Self {
        Self { rows, left_out: None }
    }
}

/// What is known of a memory of another program.
#[derive(Default)]
pub(super) struct Found<'a> {
    pub(super) text: &'a str,
    pub(super) categories: Vec<String>,
    pub(super) conversation: Option<&'a str>,
    /// When it was said, or stored.
    pub(super) at: Option<String>,
    /// When it was last changed.
    pub(super) updated: Option<String>,
    pub(super) source: &'static str,
    /// Its own members, which a memory can have.
    pub(super) metadata: Metadata,
}

impl Found<'_> {
    /// The rows that hold the text, in pieces if it is longer than a memory may be; none if there is no text.
    pub(super) fn rows(&self, part: Part) -> Vec<ForeignRow> {
        let row = |text: String| {
            let mut row = json!({"content": text, "metadata": self.metadata.as_object()});
            row["metadata"][ORIGIN] = json!(self.source);
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
            ForeignRow { part, json: row.to_string() }
        };
        pieces(self.text).into_iter().map(row).collect()
    }
}

/// Of the metadata of a memory of `source` what a memory can have here, and why there is more.
pub(super) fn metadata(source: &str, value: Option<&Value>) -> (Metadata, Option<ImportProblem>) {
    let none = Map::new();
    let (members, problem) = match value {
        None | Some(Value::Null) => (&none, None),
        Some(Value::Object(members)) => (members, None),
        Some(_) => (&none, Some(InvalidValue::new("metadata", "must be an object"))),
    };
    let (metadata, left_out) = Metadata::of_origin(ORIGIN, source).filled_with(members);
    (metadata, problem.or(left_out).map(|problem| ImportProblem::InPart(Box::new(problem.into()))))
}

/// A text in pieces that each fit into a memory, cut between paragraphs, lines or words where possible.
pub(super) fn pieces(text: &str) -> Vec<String> {
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
pub(super) fn from_seconds(value: Option<&Value>) -> Option<String> {
    let seconds = value?.as_f64().filter(|seconds| seconds.abs() < 1e11)?;
    #[expect(clippy::cast_possible_truncation, reason = "it is bounded")]
    let millis = (seconds * 1000.0).round() as i64;
    Some(Timestamp::from_unix_millis(millis).to_string())
}

/// A time that is written as RFC 3339, if it is one.
pub(super) fn from_text(value: Option<&Value>) -> Option<String> {
    from_date(value?.as_str()?)
}

/// As [`from_text`], of a plain text.
pub(super) fn from_date(text: &str) -> Option<String> {
    Timestamp::parse("created_at", text).ok().map(|at| at.to_string())
}

/// A name that can be a category.
fn category(name: &str) -> Option<String> {
    let name: String = name.trim().trim_start_matches('#').chars().filter(|c| !c.is_control()).take(64).collect();
    (!name.trim().is_empty()).then(|| name.trim().to_owned())
}

/// At most as many categories as a memory can have.
pub(super) fn categories<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut categories: Vec<String> = Vec::new();
    for name in names.filter_map(category) {
        if categories.len() < 16 && !categories.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
            categories.push(name);
        }
    }
    categories
}

/// An id of a conversation that can be stored.
pub(super) fn id(value: Option<&Value>) -> Option<&str> {
    value?.as_str().filter(|id| crate::audit::ContextId::parse("conversation_id", id).is_ok())
}

pub(super) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}
