//! Import of memories from a file.

use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::actor::Actor;
use super::history::HistoryEntry;
use super::import_problem::ImportProblem;
use super::metadata::Metadata;
use super::model::{Content, MemoryScope, Priority, is_past};
use super::new_memory::NewMemory;
use super::object::Object;
use super::record::HistoryRecord;
use crate::applications::Category;
use crate::audit::{Context, ContextId};
use crate::ids::{MemoryId, RequestId};
use crate::system::Timestamp;
use crate::validation::{InvalidValue, ValueProblem};

/// Parses rows for one scope.
///
/// The ID of a row that names none is derived from the scope and the row, so that equal rows are one memory, and importing the same
/// file again, or an extended one, adds only what is new. Nothing is remembered of the rows.
#[derive(Clone, Debug)]
pub struct ImportReader {
    scope: MemoryScope,
    now: Timestamp,
    /// Who imports.
    actor: Option<Actor>,
    /// The creation time of the next row that has none.
    next: Timestamp,
}

/// The content of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum ImportRow {
    /// A memory to load.
    Memory(Box<NewMemory>),
    /// A memory that has expired already, so there is nothing to load.
    Expired,
}

/// As in the API, a null member counts as left out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    content: String,
    categories: Option<Vec<String>>,
    metadata: Option<Map<String, Value>>,
    context: Option<Object<RowContext>>,
    priority: Option<String>,
    created_at: Option<String>,
    occurred_at: Option<String>,
    expires_at: Option<String>,
    updated_at: Option<String>,
    /// What an export names besides. The memory keeps its id; where it was says nothing of where it goes.
    memory_id: Option<String>,
    created_by: Option<String>,
    history: Option<Vec<Object<HistoryRecord>>>,
    #[serde(rename = "space")]
    _space: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RowContext {
    custom_gpt_id: Option<String>,
    conversation_id: Option<String>,
}

impl ImportReader {
    /// A parser of rows for `scope`. `now` decides what has expired.
    #[must_use]
    pub fn new(scope: MemoryScope, now: Timestamp) -> Self {
        Self { scope, now, actor: None, next: now }
    }

    /// Says who imports: they have stored what no other is said to have stored.
    #[must_use]
    pub fn by(self, actor: Actor) -> Self {
        Self { actor: Some(actor), ..self }
    }

    /// Who imports, if that is known.
    #[must_use]
    pub fn actor(&self) -> Option<Actor> {
        self.actor
    }

    /// Sets the number of rows, so that those without a creation time get times up to the present in their order: they are
    /// loaded concurrently, and the messages of a conversation must stay in order.
    #[must_use]
    pub fn expecting(mut self, rows: u64) -> Self {
        self.next = self.now.minus(Duration::from_millis(rows));
        self
    }

    /// The target scope.
    #[must_use]
    pub fn scope(&self) -> &MemoryScope {
        &self.scope
    }

    /// The text of a line without white space, and without the byte order mark that some programs write at the start of a file
    /// (RFC 8259 §8.1 allows to ignore it).
    #[must_use]
    pub fn trim(line: &str) -> &str {
        line.trim_start_matches('\u{feff}').trim()
    }

    /// Parses the next row of the file.
    ///
    /// # Errors
    /// [`ImportProblem`].
    pub fn read(&mut self, line: &str) -> Result<ImportRow, ImportProblem> {
        let text = Self::trim(line);
        let Object(row) =
            serde_json::from_str::<Object<Row>>(text).map_err(|error| ImportProblem::NotARow(error.into()))?;
        if holds_too_large_integer(text) {
            return Err(InvalidValue::new("metadata", ValueProblem::IntegerTooLarge).into());
        }
        let moment = |field: &str, text: Option<&str>| text.map(|text| Timestamp::parse(field, text)).transpose();
        let id = |field: &str, text: Option<&str>| text.map(|text| ContextId::parse(field, text)).transpose();
        let row_context = row.context.map(|Object(context)| context).unwrap_or_default();
        let context = Context {
            custom_gpt_id: id("context.custom_gpt_id", row_context.custom_gpt_id.as_deref())?,
            conversation_id: id("context.conversation_id", row_context.conversation_id.as_deref())?,
        };
        let categories = Category::parse_list("categories", &row.categories.unwrap_or_default())?;
        if !self.scope.categories().allows(&categories) {
            return Err(ImportProblem::CategoryNotAllowed);
        }
        let history = row.history.unwrap_or_default().into_iter().map(|Object(entry)| HistoryEntry::try_from(entry));
        let history = history.collect::<Result<Vec<_>, _>>()?;
        let access = self.scope.categories();
        if !history.iter().filter_map(HistoryEntry::superseded).all(|memory| access.allows(&memory.categories)) {
            return Err(ImportProblem::CategoryNotAllowed);
        }
        let created_by = row.created_by.as_deref().map(str::parse).transpose()?;
        // Never in the future.
        self.next = self.next.plus(Duration::from_millis(1)).min(self.now);
        let memory = NewMemory {
            id: match row.memory_id {
                Some(id) => id.parse()?,
                None => self.derived_id(text),
            },
            content: Content::try_from(row.content)?,
            categories,
            metadata: Metadata::from_caller(row.metadata.unwrap_or_default())?.with_context(&context),
            priority: row.priority.map_or(Ok(Priority::default()), |text| text.parse())?,
            created_at: moment("created_at", row.created_at.as_deref())?.unwrap_or(self.next),
            occurred_at: moment("occurred_at", row.occurred_at.as_deref())?,
            updated_at: moment("updated_at", row.updated_at.as_deref())?,
            expires_at: moment("expires_at", row.expires_at.as_deref())?,
            created_by: created_by.or(self.actor),
            supersedes: None,
            history,
        };
        Ok(if is_past(memory.expires_at, self.now) { ImportRow::Expired } else { ImportRow::Memory(Box::new(memory)) })
    }

    fn derived_id(&self, text: &str) -> MemoryId {
        // Earlier versions took equal rows for several memories, of which this was the first.
        const FIRST: u64 = 1;
        let digest = Sha256::new().chain_update("memgate import\0").chain_update(self.scope.tenant());
        let row = digest.chain_update("\0").chain_update(text).finalize();
        let digest = Sha256::new().chain_update(row).chain_update(FIRST.to_be_bytes()).finalize();
        // A UUID of version 8 (RFC 9562 §5.8), which is for custom derivations.
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        MemoryId::for_request(RequestId::from_uuid(uuid::Builder::from_custom_bytes(bytes).into_uuid()))
    }
}

/// Whether a JSON text contains an integer that does not fit into 64 bits: parsing would silently convert it to a float.
fn holds_too_large_integer(json: &str) -> bool {
    let mut rest = json;
    while let Some(start) = rest.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit()) {
        rest = &rest[start..];
        if let Some(text) = rest.strip_prefix('"') {
            rest = after_string(text);
            continue;
        }
        let end = rest.find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E')).unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        let is_integer = !number.contains(['.', 'e', 'E']);
        if is_integer && number.parse::<i64>().is_err() && number.parse::<u64>().is_err() {
            return true;
        }
        rest = after;
    }
    false
}

/// What follows the end of a JSON string whose opening quote was read.
fn after_string(text: &str) -> &str {
    let mut characters = text.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return &text[index + 1..],
            '\\' => drop(characters.next()),
            _ => {}
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{now, scope, scope_limited_to};

    fn read(line: &str) -> Result<ImportRow, ImportProblem> {
        ImportReader::new(scope().into_scope(), now()).read(line)
    }

    fn memory(line: &str) -> NewMemory {
        match read(line).unwrap() {
            ImportRow::Memory(memory) => *memory,
            ImportRow::Expired => panic!("{line} has expired"),
        }
    }

    #[test]
    fn a_member_that_is_null_is_left_out_as_in_the_api() {
        let row = r#"{"content": "tea", "categories": null, "metadata": null, "context": null, "priority": null,
            "created_at": null, "occurred_at": null, "updated_at": null, "expires_at": null, "created_by": null, "history": null}"#;
        let bare = memory(r#"{"content": "tea"}"#);
        assert_eq!(NewMemory { id: bare.id.clone(), ..memory(row) }, bare);
        let row = r#"{"content": "tea", "context": {"custom_gpt_id": null, "conversation_id": "c"}}"#;
        assert_eq!(memory(row).metadata.conversation_id(), Some("c"));
        for row in [r#"{"content": null}"#, r#"{"content": "tea", "categories": [null]}"#, "null"] {
            assert!(matches!(read(row), Err(ImportProblem::NotARow(_))), "{row}");
        }
    }

    #[test]
    fn an_array_is_not_taken_for_an_object() {
        for row in [
            r#"["text", ["a"], {}, null, "high", null, null]"#,
            r#"{"content": "tea", "context": ["g", "c"]}"#,
            r#"{"content": "tea", "metadata": ["a"]}"#,
            r#"{"content": "tea", "history": [["2026-01-01T00:00:00Z", null, ["content"]]]}"#,
            r#"{"content": "tea", "history": [{"at": "2026-01-01T00:00:00Z", "superseded": ["m", "t", [], {}, {}, "high"]}]}"#,
        ] {
            assert!(matches!(read(row), Err(ImportProblem::NotARow(_))), "{row}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_row() {
        let scope = scope().into_scope();
        let mut readers = [(); 2].map(|()| ImportReader::new(scope.clone(), now()));
        let rows = [
            readers[0].read("\u{feff}{\"content\": \"tea\"}\r").unwrap(),
            readers[1].read("{\"content\": \"tea\"}").unwrap(),
        ];
        assert_eq!(rows[0], rows[1], "it has the same id");
        assert_eq!(ImportReader::trim("\u{feff}\r"), "");
    }

    #[test]
    fn what_has_expired_is_left_out() {
        let second = Duration::from_secs(1);
        let row = |expiry: Timestamp| read(&format!("{{\"content\": \"tea\", \"expires_at\": \"{expiry}\"}}")).unwrap();
        assert_eq!(row(now().minus(second)), ImportRow::Expired);
        assert!(matches!(row(now().plus(second)), ImportRow::Memory(_)));
    }

    #[test]
    fn an_integer_that_would_lose_digits_is_refused() {
        let row =
            |value: &str| read(&format!("{{\"content\": \"a \\\" {value}\", \"metadata\": {{\"n\": [{value}]}}}}"));
        for value in ["123456789012345678901234567890", "18446744073709551616", "-9223372036854775809"] {
            assert!(row(value).unwrap_err().to_string().contains("64 bits"), "{value}");
        }
        for value in ["18446744073709551615", "-9223372036854775808", "1e30", "123456789012345678901.5", "-0", "0"] {
            assert!(row(value).is_ok(), "{value}");
        }
        assert!(
            read(r#"{"content": "call 123456789012345678901234567890", "metadata": {"123456789012345678901": "\\"}}"#)
                .is_ok()
        );
    }

    #[test]
    fn equal_rows_are_one_memory_and_a_second_reading_names_it_alike() {
        let scope = scope().into_scope();
        let read = || {
            let mut reader = ImportReader::new(scope.clone(), now()).expecting(2);
            [r#"{"content": "tea"}"#, " {\"content\": \"tea\"}\r", r#"{"content": "Tea"}"#].map(|row| {
                match reader.read(row) {
                    Ok(ImportRow::Memory(memory)) => (memory.id, memory.created_at),
                    other => panic!("{other:?}"),
                }
            })
        };
        let [first, second, third] = read();
        assert!(first.0 == second.0 && first.0 != third.0);
        assert_eq!((first.1, second.1, third.1), (now().minus(Duration::from_millis(1)), now(), now()));
        assert_eq!(read(), [first, second, third]);
    }

    #[test]
    fn an_application_imports_into_its_categories_alone() {
        let limited = scope_limited_to(&scope(), &["travel"]).into_scope();
        let mut reader = ImportReader::new(limited, now());
        assert!(reader.read(r#"{"content": "a", "categories": ["Travel"]}"#).is_ok());
        let refused = reader.read(r#"{"content": "a", "categories": ["health"]}"#);
        assert!(matches!(refused, Err(ImportProblem::CategoryNotAllowed)));
        let superseding = |categories: &str| {
            format!(
                "{{\"content\": \"a\", \"categories\": [\"travel\"], \"history\": [{{\"at\": \"2026-01-01\", \"superseded\": {{\
                 \"memory_id\": \"m\", \"content\": \"b\", \"categories\": {categories}, \"priority\": \"low\", \
                 \"created_at\": \"2025-01-01\", \"updated_at\": \"2025-01-01\"}}}}]}}"
            )
        };
        assert!(reader.read(&superseding("[\"travel\"]")).is_ok());
        let refused = reader.read(&superseding("[\"travel\", \"health\"]"));
        assert!(matches!(refused, Err(ImportProblem::CategoryNotAllowed)), "nor what was superseded");
    }

    #[test]
    fn who_imports_has_stored_what_nobody_else_is_said_to_have_stored() {
        let mut reader = ImportReader::new(scope().into_scope(), now()).by(Actor::Person);
        let application = Actor::Application(crate::ids::ApplicationId::from_uuid(crate::testing::unique()));
        let mut created_by = |line: &str| match reader.read(line).unwrap() {
            ImportRow::Memory(memory) => memory.created_by,
            ImportRow::Expired => panic!("it has no expiry"),
        };
        assert_eq!(created_by(r#"{"content": "a"}"#), Some(Actor::Person));
        assert_eq!(
            created_by(&format!("{{\"content\": \"a\", \"created_by\": \"{application}\"}}")),
            Some(application)
        );
        assert!(read(r#"{"content": "a", "created_by": "somebody"}"#).is_err());
    }
}
