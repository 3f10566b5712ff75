//! ChatGPT: conversations are trees of messages. A saved memory is what the assistant sent to the tool `bio`.

use serde_json::Value;

use super::rows::{ForeignRow, Found, Part, from_seconds, id, text};
use crate::memories::import_problem::ImportProblem;

const SOURCE: &str = "chatgpt";

pub(super) fn rows(conversation: &Value) -> Result<Vec<ForeignRow>, ImportProblem> {
    let nodes = conversation.get("mapping").and_then(Value::as_object).ok_or(ImportProblem::NotOfChatGpt)?;
    let conversation_id = id(conversation.get("conversation_id").or_else(|| conversation.get("id")));
    let mut rows = Vec::new();
    for message in nodes.values().filter_map(|node| node.get("message")).filter(|message| message.is_object()) {
        let role = message.get("author").map_or("", |author| text(author, "role"));
        let part = match (role, text(message, "recipient")) {
            ("assistant", "bio") => Part::Memories,
            ("user", "all" | "") if !is_hidden(message) => Part::Messages,
            _ => continue,
        };
        let said = said(message.get("content"));
        let at = from_seconds(message.get("create_time").or_else(|| conversation.get("create_time")));
        let conversation = conversation_id;
        let found = Found { text: &said, conversation, at, source: SOURCE, ..Found::default() };
        rows.extend(found.rows(part));
    }
    Ok(rows)
}

/// What the person wrote once for all conversations is in each of them, as a message that is not shown.
fn is_hidden(message: &Value) -> bool {
    message.pointer("/metadata/is_visually_hidden_from_conversation") == Some(&Value::Bool(true))
        || message.pointer("/content/content_type").and_then(Value::as_str) == Some("user_editable_context")
}

/// The text of a message, without pictures and files.
fn said(content: Option<&Value>) -> String {
    let parts = content.and_then(|content| content.get("parts")).and_then(Value::as_array);
    let texts = parts.into_iter().flatten().filter_map(|part| part.as_str().or_else(|| part.get("text")?.as_str()));
    texts.filter(|text| !text.trim().is_empty()).collect::<Vec<_>>().join("\n")
}
