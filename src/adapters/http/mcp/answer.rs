//! The results of the tools. These are our own types: one function, [`into_result`], converts them to results of the
//! protocol.

use rmcp::model::{CallToolResult, ContentBlock};
use serde::Serialize;
use serde_json::{Value, json};

use crate::domain::memories::{Finding, Memory, NearDuplicate};

/// Maximum number of bytes of a result. It is sent twice, as a value and as text for clients that read only that, and both
/// together, with what is around them, stay below the 30 kB that clients pass to a model.
const MAX_BYTES: usize = 28_000;
/// Maximum number of bytes of the text of one result among several.
const SNIPPET_BYTES: usize = 3_000;
/// Maximum number of bytes of the application's own metadata beside a text.
const METADATA_BYTES: usize = 12_000;
/// Maximum number of characters of a title.
const TITLE: usize = 80;
/// Appended to a truncated text.
const CUT_MARK: &str = " […]";

/// A memory among others.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    id: String,
    title: String,
    url: String,
    text: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    categories: Vec<String>,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    occurred_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    relevance_score: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pending: Option<bool>,
}

impl Summary {
    pub(super) fn new(memory: &Memory, public_url: &str) -> Self {
        let content = memory.content.as_str();
        let end = prefix(content, SNIPPET_BYTES);
        let text = if end == content.len() { content.to_owned() } else { format!("{}{CUT_MARK}", &content[..end]) };
        Self {
            id: memory.id.to_string(),
            title: title(content),
            url: url(memory, public_url),
            text,
            categories: memory.categories.iter().map(ToString::to_string).collect(),
            created_at: memory.created_at.to_string(),
            occurred_at: memory.occurred_at.map(|at| at.to_string()),
            relevance_score: None,
            pending: None,
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn found(finding: &Finding, public_url: &str) -> Self {
        let mut summary = Self::new(&finding.hit.memory, public_url);
        summary.relevance_score = Some((finding.hit.relevance.get() * 1e4).round() / 1e4);
        summary.pending = finding.pending.then_some(true);
        summary
    }
}

/// The first of `items` that fit into one result; at least one. Returns how many were left out.
pub(super) fn fit(items: &mut Vec<impl Serialize>) -> usize {
    let mut used = 0;
    let fitting = items.iter().take_while(|item| {
        // A comma in either copy.
        used += bytes_of(item) + 2;
        used <= MAX_BYTES
    });
    let kept = fitting.count().max(1).min(items.len());
    let left_out = items.len() - kept;
    items.truncate(kept);
    left_out
}

/// One memory, or a part of a long one.
pub(super) fn fetched(memory: &Memory, offset: usize, public_url: &str) -> Option<Value> {
    let content = memory.content.as_str();
    let start = content.char_indices().map(|(at, _)| at).chain([content.len()]).nth(offset)?;
    let own = Value::Object(memory.metadata.as_object().clone());
    let own = if bytes_of(&own) > METADATA_BYTES { json!({"left_out": "too large for this answer"}) } else { own };
    let metadata = json!({
        "categories": memory.categories.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "priority": memory.priority.as_str(),
        "created_at": memory.created_at.to_string(),
        "occurred_at": memory.occurred_at.map(|at| at.to_string()),
        "updated_at": memory.updated_at.to_string(),
        "expires_at": memory.expires_at.map(|at| at.to_string()),
        "own": own,
    });
    let room = MAX_BYTES.saturating_sub(bytes_of(&metadata));
    let rest = &content[start..];
    let text = &rest[..prefix(rest, room)];
    let mut answer = json!({
        "id": memory.id.to_string(),
        "title": title(content),
        "text": text,
        "url": url(memory, public_url),
        "metadata": metadata,
    });
    if text.len() < rest.len() {
        answer["next_offset"] = json!(offset + text.chars().count());
    }
    Some(answer)
}

/// A memory that is nearly the same as a new one.
pub(super) fn near(near: &NearDuplicate, public_url: &str) -> Value {
    let memory = &near.memory;
    json!({
        "id": memory.id.to_string(),
        "title": title(memory.content.as_str()),
        "url": url(memory, public_url),
        "similarity": (near.similarity.get() * 1e4).round() / 1e4,
    })
}

/// A successful result: the value, and the same as text for clients that read only that.
pub(super) fn into_result(answer: Value) -> CallToolResult {
    CallToolResult::structured(answer)
}

/// A failed result, in words that a model can act on.
pub(super) fn failure(words: impl Into<String>) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(words.into())])
}

/// The beginning of a memory, on one line.
pub(super) fn title(content: &str) -> String {
    let mut words = content.split_whitespace();
    let mut title = words.next().unwrap_or_default().to_owned();
    for word in words {
        if title.chars().count() + 1 + word.chars().count() > TITLE {
            title.push('…');
            return title;
        }
        title.push(' ');
        title.push_str(word);
    }
    if let Some((end, _)) = title.char_indices().nth(TITLE) {
        title.truncate(end);
        title.push('…');
    }
    title
}

/// The page that shows the memory to its owner.
fn url(memory: &Memory, public_url: &str) -> String {
    format!("{public_url}/account/memories/{}", memory.id)
}

/// Number of leading bytes of `text` that take at most `room` bytes of a result, as [`bytes_of`] counts them; a whole number
/// of characters.
fn prefix(text: &str, room: usize) -> usize {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += match c {
            // `\"` and `\\\"`
            '"' | '\\' => 2 + 4,
            // `\n` and `\\n`
            '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2 + 3,
            // `\u0001` and `\\u0001`
            c if u32::from(c) < 0x20 => 6 + 7,
            c => 2 * c.len_utf8(),
        };
        if used > room {
            return at;
        }
    }
    text.len()
}

/// Number of bytes that a value takes in a result: as it is, and as text, where its JSON is escaped once more.
fn bytes_of(value: &impl Serialize) -> usize {
    let json = serde_json::to_string(value).unwrap_or_default();
    2 * json.len() + json.bytes().filter(|byte| matches!(byte, b'"' | b'\\')).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::new_memory;

    fn memory(text: &str) -> Memory {
        new_memory(text).into_memory()
    }

    #[test]
    fn a_title_is_one_short_line() {
        assert_eq!(title("  Marta\nis allergic. "), "Marta is allergic.");
        let long = title(&"word ".repeat(100));
        assert!(long.ends_with("word…") && long.chars().count() <= TITLE + 1, "{long}");
        assert_eq!(title(&"会".repeat(100)).chars().count(), TITLE + 1);
    }

    #[test]
    fn a_long_memory_is_fetched_in_parts_that_make_the_whole() {
        let content = "\"quoted\" 会議の記録。\n".repeat(1_500);
        let memory = memory(&content);
        let (mut read, mut offset, mut parts) = (String::new(), 0, 0);
        loop {
            let part = fetched(&memory, offset, "https://m.example").unwrap();
            assert!(bytes_of(&part) < MAX_BYTES + 1_000, "{}", bytes_of(&part));
            read.push_str(part["text"].as_str().unwrap());
            parts += 1;
            assert!(parts < 100, "the memory does not end");
            match part.get("next_offset") {
                Some(next) => offset = usize::try_from(next.as_u64().unwrap()).unwrap(),
                None => break,
            }
        }
        assert_eq!(read, content);
        assert!(parts > 2);
    }

    #[test]
    fn what_a_text_takes_is_counted_as_it_is_sent() {
        for text in ["plain", "Zürich 会議", "\"'\\/", "a\nb\tc\r", "\u{1}\u{1f}\u{7f}", "\u{8}\u{c}"] {
            let sent = serde_json::to_string(&into_result(json!({ "text": text }))).unwrap();
            let around = serde_json::to_string(&into_result(json!({ "text": "" }))).unwrap();
            let taken = sent.len() - around.len();
            assert_eq!(bytes_of(&text) - bytes_of(&""), taken, "{text:?}");
            assert_eq!(prefix(text, taken), text.len(), "{text:?}");
            assert!(prefix(text, taken - 1) < text.len(), "{text:?}");
        }
    }

    #[test]
    fn the_end_of_a_memory_is_the_end_of_its_parts() {
        let content = "\"quoted\" 会議の記録。\n".repeat(1_500);
        let memory = memory(&content);
        assert!(fetched(&memory, content.chars().count() + 1, "").is_none(), "beyond the end");
        assert_eq!(fetched(&memory, content.chars().count(), "").unwrap()["text"], "", "just at the end");
    }

    #[test]
    fn an_answer_with_many_memories_stays_short_and_is_never_empty() {
        let memory = memory(&"x".repeat(30_000));
        let summaries = || (0..50).map(|_| Summary::new(&memory, "https://m.example"));
        let mut many: Vec<_> = summaries().collect();
        let left_out = fit(&mut many);
        assert!(left_out > 0 && left_out + many.len() == 50);
        assert!(many[0].text.ends_with(CUT_MARK));
        assert!(bytes_of(&many) < MAX_BYTES + 100);
        let mut none: Vec<Summary> = Vec::new();
        assert_eq!(fit(&mut none), 0);
    }
}
