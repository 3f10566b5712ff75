//! A memory, and the parts of it that several bodies have.

use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};

use super::super::assistant::{Fitted, Shorten, fit_one};
use crate::adapters::http::openapi::object::read_from_objects;
use crate::adapters::http::openapi::scalar::{CategoryText, DateTime, FreeObject, MomentOrNever};
use crate::domain::applications::Category;
use crate::domain::audit::{Context, ContextId};
use crate::domain::ids::RequestId;
use crate::domain::memories::{Memory, Priority};
use crate::domain::system::Timestamp;
use crate::domain::validation::InvalidValue;

read_from_objects!(ContextBody);

/// The importance of a memory: of memories that match a search about equally well, the one of higher priority comes first.
#[derive(Clone, Copy, Deserialize, Enum, Serialize)]
#[oai(rename = "Priority", rename_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub(in super::super) enum PriorityName {
    /// Good to know.
    Low,
    /// As most.
    Normal,
    /// Must not be overlooked.
    High,
}

impl From<PriorityName> for Priority {
    fn from(name: PriorityName) -> Self {
        match name {
            PriorityName::Low => Self::Low,
            PriorityName::Normal => Self::Normal,
            PriorityName::High => Self::High,
        }
    }
}

impl From<Priority> for PriorityName {
    fn from(priority: Priority) -> Self {
        match priority {
            Priority::Low => Self::Low,
            Priority::Normal => Self::Normal,
            Priority::High => Self::High,
        }
    }
}

/// Where the request comes from. A create stores it: memories of one conversation help to find each other.
#[derive(Deserialize, Object)]
#[oai(rename = "Context")]
#[serde(deny_unknown_fields, remote = "Self")]
pub(in super::super) struct ContextBody {
    /// The id of the GPT.
    #[oai(validator(
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
    ))]
    custom_gpt_id: Option<String>,
    /// The id of the conversation.
    #[oai(validator(
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
    ))]
    conversation_id: Option<String>,
}

impl ContextBody {
    /// The body's values, with those of `fallback` where it has none.
    pub(in super::super) fn or(body: Option<Self>, fallback: Context) -> Result<Context, InvalidValue> {
        let body = body.unwrap_or(Self { custom_gpt_id: None, conversation_id: None });
        let read = |field: &str, id: Option<String>| id.map(|id| ContextId::parse(field, &id)).transpose();
        Ok(Context {
            custom_gpt_id: read("context.custom_gpt_id", body.custom_gpt_id)?.or(fallback.custom_gpt_id),
            conversation_id: read("context.conversation_id", body.conversation_id)?.or(fallback.conversation_id),
        })
    }
}

/// Parses categories. An error names the invalid one.
pub(in super::super) fn parse_categories(texts: Vec<CategoryText>) -> Result<Vec<Category>, InvalidValue> {
    let texts: Vec<String> = texts.into_iter().map(|CategoryText(text)| text).collect();
    Category::parse_list("categories", &texts)
}

/// When a memory expires; `None` for never.
pub(in super::super) fn parse_expiry(MomentOrNever(text): MomentOrNever) -> Result<Option<Timestamp>, InvalidValue> {
    if text == "never" { Ok(None) } else { Timestamp::parse("expires_at", &text).map(Some) }
}

/// A memory.
#[derive(Object, Serialize)]
#[oai(rename = "Memory")]
pub(in super::super) struct MemoryAnswer {
    /// Its ID, by which it can be read, updated and deleted.
    memory_id: String,
    /// The text.
    content: String,
    /// Its categories.
    categories: Vec<String>,
    /// Its metadata.
    metadata: FreeObject,
    priority: PriorityName,
    /// When it was created.
    created_at: DateTime,
    /// When it was said or happened; left out if that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    occurred_at: Option<DateTime>,
    /// When it was last changed.
    updated_at: DateTime,
    /// When it expires; left out if never.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<DateTime>,
}

impl From<Memory> for MemoryAnswer {
    fn from(memory: Memory) -> Self {
        Self {
            memory_id: memory.id.to_string(),
            content: memory.content.into_string(),
            categories: names(&memory.categories),
            metadata: FreeObject(memory.metadata.into_object()),
            priority: memory.priority.into(),
            created_at: memory.created_at.into(),
            occurred_at: memory.occurred_at.map(DateTime::from),
            updated_at: memory.updated_at.into(),
            expires_at: memory.expires_at.map(DateTime::from),
        }
    }
}

impl Shorten for MemoryAnswer {
    fn text(&mut self) -> &mut String {
        &mut self.content
    }
}

/// The note about one memory in a response to an assistant, which is made to fit.
pub(in super::super) fn fit_into_answer(memory: &mut MemoryAnswer) -> Option<String> {
    Fitted { left_out: 0, shortened: fit_one(memory) }.note("")
}

/// The categories as text.
pub(in super::super) fn names(categories: &[Category]) -> Vec<String> {
    categories.iter().map(ToString::to_string).collect()
}

/// A memory that was deleted.
#[derive(Object, Serialize)]
pub(in super::super) struct DeletedAnswer {
    /// Always `deleted`.
    pub(in super::super) status: String,
    /// Identifies this request in the log.
    pub(in super::super) request_id: String,
    /// Its former ID.
    pub(in super::super) memory_id: String,
}

impl DeletedAnswer {
    pub(in super::super) fn new(request_id: RequestId, memory_id: String) -> Self {
        Self { status: "deleted".to_owned(), request_id: request_id.to_string(), memory_id }
    }
}
