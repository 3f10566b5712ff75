//! Claude: conversations are lists of messages; what is remembered is Markdown, in one text or in files.

use serde_json::Value;

use super::rows::{ForeignRow, Found, Part, from_text, id, text};
use crate::memories::import_problem::ImportProblem;

const SOURCE: &str = "claude";

pub(super) fn rows(value: &Value) -> Result<Vec<ForeignRow>, ImportProblem> {
    if let Some(messages) = value.get("chat_messages").and_then(Value::as_array) {
        return Ok(messages.iter().flat_map(|message| message_rows(message, value)).collect());
    }
    let memory = |text: &str, at| Found { text, at, source: SOURCE, ..Found::default() }.rows(Part::Memories);
    let mut rows = memory(text(value, "conversations_memory"), None);
    let of_projects = value.get("project_memories").and_then(Value::as_object);
    rows.extend(
        of_projects
            .into_iter()
            .flat_map(|all| all.values())
            .filter_map(Value::as_str)
            .flat_map(|text| memory(text, None)),
    );
    let files = value.get("memory_files").and_then(Value::as_array);
    rows.extend(
        files.into_iter().flatten().flat_map(|file| memory(text(file, "content"), from_text(file.get("updated_at")))),
    );
    let is_known =
        ["conversations_memory", "project_memories", "memory_files"].iter().any(|name| value.get(name).is_some());
    if is_known { Ok(rows) } else { Err(ImportProblem::NotOfClaude) }
}

fn message_rows(message: &Value, conversation: &Value) -> Vec<ForeignRow> {
    if text(message, "sender") != "human" {
        return Vec::new();
    }
    let blocks = message.get("content").and_then(Value::as_array);
    let texts =
        blocks.into_iter().flatten().filter(|block| text(block, "type") == "text").map(|block| text(block, "text"));
    let mut said = texts.filter(|text| !text.trim().is_empty()).collect::<Vec<_>>().join("\n");
    if said.is_empty() {
        text(message, "text").clone_into(&mut said);
    }
    let at = from_text(message.get("created_at").or_else(|| conversation.get("created_at")));
    let conversation = id(conversation.get("uuid"));
    Found { text: &said, conversation, at, source: SOURCE, ..Found::default() }.rows(Part::Messages)
}
