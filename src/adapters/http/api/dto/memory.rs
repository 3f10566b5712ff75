//! Memories.

use poem_openapi::types::MaybeUndefined;
use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};

use super::fit::{self, Fitted, Shorten};
use crate::adapters::http::openapi::object::read_from_objects;
use crate::adapters::http::openapi::scalar::{
    CategoryText, DateTime, FreeObject, MemoryIdText, MetadataObject, Moment, MomentOrNever, MomentOrUnknown,
};
use crate::adapters::http::server::failure::NearDuplicateAnswer;
use crate::domain::applications::Category;
use crate::domain::audit::{Context, ContextId};
use crate::domain::ids::{MemoryId, RequestId};
use crate::domain::memories::{
    Content, CreateMemory, IdempotencyKey, Memory, MemoryChanges, MemoryList, Metadata, NearDuplicate, OnNearDuplicate,
    Priority, RequestOutcome, RequestState, StoredMemory, UpdatedMemory,
};
use crate::domain::system::Timestamp;
use crate::domain::validation::InvalidValue;

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

/// What to do about memories that are nearly the same: `report` names them in the answer; with `reject` nothing is stored if
/// there are any. Left out, nobody looks for them. Needs `memory:read`.
#[derive(Clone, Copy, Deserialize, Enum, Serialize)]
#[oai(rename = "OnNearDuplicate", rename_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub(in super::super) enum OnNearDuplicateName {
    /// Name them in the answer.
    Report,
    /// Store nothing if there are any.
    Reject,
}

impl From<OnNearDuplicateName> for OnNearDuplicate {
    fn from(name: OnNearDuplicateName) -> Self {
        match name {
            OnNearDuplicateName::Report => Self::Report,
            OnNearDuplicateName::Reject => Self::Reject,
        }
    }
}

read_from_objects!(ContextBody, CreateBody, UpdateBody);

/// Where the request comes from. It is stored with the memory and has no effect.
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
    pub(crate) fn or(body: Option<Self>, fallback: Context) -> Result<Context, InvalidValue> {
        let body = body.unwrap_or(Self { custom_gpt_id: None, conversation_id: None });
        let read = |field: &str, id: Option<String>| id.map(|id| ContextId::parse(field, &id)).transpose();
        Ok(Context {
            custom_gpt_id: read("context.custom_gpt_id", body.custom_gpt_id)?.or(fallback.custom_gpt_id),
            conversation_id: read("context.conversation_id", body.conversation_id)?.or(fallback.conversation_id),
        })
    }
}

/// A memory to store.
#[derive(Deserialize, Object)]
#[oai(rename = "NewMemory")]
#[serde(deny_unknown_fields, remote = "Self")]
pub(in super::super) struct CreateBody {
    /// What to remember, in full sentences that can be understood without the conversation around them.
    #[oai(validator(min_length = 1, max_length = 32768, pattern = r"^[^\x00]*[^\s\x00][^\x00]*$"))]
    content: String,
    /// Its categories, such as `work` or `family`.
    #[oai(validator(max_items = 16))]
    categories: Option<Vec<CategoryText>>,
    /// Additional metadata: at most 64 members, 16 KiB and 5 levels.
    metadata: Option<MetadataObject>,
    context: Option<ContextBody>,
    priority: Option<PriorityName>,
    /// When it was said or happened, if that is not now, such as `2026-05-08T13:56:00Z` or `2026-05-08`.
    occurred_at: Option<Moment>,
    /// Your own ID for this write. Sending the same body again with it changes nothing and returns the same response.
    #[oai(validator(
        min_length = 1,
        max_length = 255,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
    ))]
    idempotency_key: Option<String>,
    /// When the memory expires, such as `2030-05-08T13:56:00Z` (a date alone means its beginning in UTC), or `never`, as if it
    /// were left out.
    expires_at: Option<MomentOrNever>,
    /// The id of an older memory that this one replaces, because a fact has changed. The older one is then only in the history
    /// of this one.
    supersedes: Option<MemoryIdText>,
    on_near_duplicate: Option<OnNearDuplicateName>,
}

impl CreateBody {
    /// Converts it, with the context and the idempotency key from the headers.
    ///
    /// # Errors
    /// [`InvalidValue`] that names the member.
    pub(in super::super) fn read(
        self,
        context: Context,
        idempotency_key: Option<String>,
    ) -> Result<(CreateMemory, OnNearDuplicate), InvalidValue> {
        let key = match (self.idempotency_key, idempotency_key) {
            (Some(body), Some(header)) if body != header => {
                return Err(InvalidValue::new("idempotency_key", "differs from the header Idempotency-Key; send one"));
            }
            (body, header) => body.or(header),
        };
        let on_near_duplicate = self.on_near_duplicate.map(OnNearDuplicate::from).unwrap_or_default();
        let create = CreateMemory {
            content: Content::try_from(self.content)?,
            categories: parse_categories(self.categories.unwrap_or_default())?,
            metadata: self
                .metadata
                .map(|MetadataObject(object)| Metadata::from_caller(object))
                .transpose()?
                .unwrap_or_default(),
            context: ContextBody::or(self.context, context)?,
            priority: self.priority.map(Priority::from).unwrap_or_default(),
            idempotency_key: key.map(IdempotencyKey::try_from).transpose()?,
            occurred_at: self.occurred_at.map(|Moment(text)| Timestamp::parse("occurred_at", &text)).transpose()?,
            expires_at: self.expires_at.map(parse_expiry).transpose()?.flatten(),
            supersedes: self.supersedes.map(|MemoryIdText(id)| parse_superseded(&id)).transpose()?,
        };
        Ok((create, on_near_duplicate))
    }
}

/// The changes to a memory. Members that are left out stay unchanged.
#[derive(Deserialize, Object)]
#[oai(rename = "MemoryChanges")]
#[serde(deny_unknown_fields, remote = "Self")]
pub(in super::super) struct UpdateBody {
    /// The new text.
    #[oai(validator(min_length = 1, max_length = 32768, pattern = r"^[^\x00]*[^\s\x00][^\x00]*$"))]
    content: Option<String>,
    /// The new categories, replacing all existing ones.
    #[oai(validator(max_items = 16))]
    categories: Option<Vec<CategoryText>>,
    /// The new metadata, replacing all existing metadata. The IDs of the GPT and the conversation that wrote it stay.
    metadata: Option<MetadataObject>,
    priority: Option<PriorityName>,
    /// When it was said or happened, such as `2026-05-08T13:56:00Z` or `2026-05-08`, or `unknown`.
    #[serde(default)]
    occurred_at: MaybeUndefined<MomentOrUnknown>,
    /// When the memory expires, such as `2030-05-08T13:56:00Z` (a date alone means its beginning in UTC), or `never`.
    #[serde(default)]
    expires_at: MaybeUndefined<MomentOrNever>,
}

impl UpdateBody {
    /// Converts it.
    ///
    /// # Errors
    /// [`InvalidValue`] that names the member.
    pub(in super::super) fn read(self) -> Result<MemoryChanges, InvalidValue> {
        Ok(MemoryChanges {
            content: self.content.map(Content::try_from).transpose()?,
            categories: self.categories.map(parse_categories).transpose()?,
            metadata: self.metadata.map(|MetadataObject(object)| Metadata::from_caller(object)).transpose()?,
            priority: self.priority.map(Priority::from),
            occurred_at: match self.occurred_at {
                MaybeUndefined::Undefined => None,
                MaybeUndefined::Null => Some(None),
                MaybeUndefined::Value(MomentOrUnknown(text)) if text == "unknown" => Some(None),
                MaybeUndefined::Value(MomentOrUnknown(text)) => Some(Some(Timestamp::parse("occurred_at", &text)?)),
            },
            expires_at: match self.expires_at {
                MaybeUndefined::Undefined => None,
                // The form of `never` for clients that predate it.
                MaybeUndefined::Null => Some(None),
                MaybeUndefined::Value(moment) => Some(parse_expiry(moment)?),
            },
        })
    }
}

/// Parses categories. An error names the invalid one.
pub(crate) fn parse_categories(texts: Vec<CategoryText>) -> Result<Vec<Category>, InvalidValue> {
    let texts: Vec<String> = texts.into_iter().map(|CategoryText(text)| text).collect();
    Category::parse_list("categories", &texts)
}

fn parse_superseded(id: &str) -> Result<MemoryId, InvalidValue> {
    id.parse().map_err(|error: InvalidValue| InvalidValue::new("supersedes", error.problem()))
}

/// When a memory expires; `None` for never.
fn parse_expiry(MomentOrNever(text): MomentOrNever) -> Result<Option<Timestamp>, InvalidValue> {
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
fn fit_into_answer(memory: &mut MemoryAnswer) -> Option<String> {
    Fitted { left_out: 0, shortened: fit::fit_one(memory) }.note("")
}

/// What an assistant can do about near duplicates.
const NEARLY_THE_SAME: &str = "Nearly the same was stored already: see `near_duplicates`. If one of them says the same, or is \
                               outdated now, ask the person whether to delete it.";

/// The categories as text.
pub(crate) fn names(categories: &[Category]) -> Vec<String> {
    categories.iter().map(ToString::to_string).collect()
}

/// The result of a create: stored (with `memory`), or accepted (with `message`) and pending.
#[derive(Object, Serialize)]
pub(in super::super) struct CreatedMemory {
    /// `stored`, with status 201, or `accepted`, with status 202.
    status: String,
    /// The request that stored it, or by which its status can be queried: the first one, if this one repeated it.
    request_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<MemoryAnswer>,
    /// Memories that are nearly the same, the most similar first; left out unless the request asked for them, or comes from ChatGPT.
    #[serde(skip_serializing_if = "Option::is_none")]
    near_duplicates: Option<Vec<NearDuplicateAnswer>>,
    /// The meaning of `accepted`, in plain language.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// What was left out of a response to ChatGPT, and how to get it; usually left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

impl From<StoredMemory> for CreatedMemory {
    fn from(stored: StoredMemory) -> Self {
        Self {
            status: "stored".to_owned(),
            request_id: stored.request_id.to_string(),
            memory: Some(stored.memory.into()),
            near_duplicates: None,
            message: None,
            note: None,
        }
    }
}

impl CreatedMemory {
    pub(in super::super) fn accepted(request_id: RequestId) -> Self {
        Self {
            status: "accepted".to_owned(),
            request_id: request_id.to_string(),
            memory: None,
            near_duplicates: None,
            message: Some(format!(
                "The memory is safe and will be stored as soon as the memory bank accepts it. Do not send it again; \
                 searches find it already, and GET /api/v1/requests/{request_id} returns its status."
            )),
            note: None,
        }
    }

    /// The same, with those of which it is nearly a duplicate.
    pub(in super::super) fn beside(self, near: Option<&[NearDuplicate]>) -> Self {
        Self { near_duplicates: near.map(NearDuplicateAnswer::all), ..self }
    }

    /// The same, within the limits of an assistant.
    pub(in super::super) fn for_assistant(mut self) -> Self {
        let shortened = self.memory.as_mut().and_then(fit_into_answer);
        let is_near = self.near_duplicates.as_ref().is_some_and(|near| !near.is_empty());
        let near = is_near.then(|| NEARLY_THE_SAME.to_owned());
        let notes: Vec<String> = shortened.into_iter().chain(near).collect();
        self.note = (!notes.is_empty()).then(|| notes.join(" "));
        self
    }
}

/// The status of a write. The memory is included if it is stored and the token may read.
#[derive(Object, Serialize)]
pub(in super::super) struct RequestAnswer {
    /// `pending`, `stored` or `failed`.
    status: String,
    /// The request ID.
    request_id: String,
    /// When it was accepted.
    accepted_at: DateTime,
    /// The ID of the memory, if it is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<MemoryAnswer>,
    /// Why it failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl From<RequestOutcome> for RequestAnswer {
    fn from(outcome: RequestOutcome) -> Self {
        let (status, memory_id, memory, reason) = match outcome.state {
            RequestState::Pending => ("pending", None, None, None),
            RequestState::Stored { id, memory } => ("stored", Some(id), memory.map(|memory| (*memory).into()), None),
            RequestState::Failed(reason) => ("failed", None, None, Some(reason)),
        };
        Self {
            status: status.to_owned(),
            request_id: outcome.request_id.to_string(),
            accepted_at: outcome.accepted_at.into(),
            memory_id: memory_id.map(|id| id.to_string()),
            memory,
            reason,
        }
    }
}

/// One memory.
#[derive(Object, Serialize)]
pub(in super::super) struct OneMemoryAnswer {
    /// Always `success`.
    status: String,
    /// Identifies this request in the log.
    request_id: String,
    memory: MemoryAnswer,
    /// What was left out of a response to ChatGPT, and how to get it; usually left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

impl OneMemoryAnswer {
    pub(in super::super) fn new(request_id: RequestId, memory: Memory) -> Self {
        Self { status: "success".to_owned(), request_id: request_id.to_string(), memory: memory.into(), note: None }
    }

    /// The same, within the limits of an assistant.
    pub(in super::super) fn for_assistant(mut self) -> Self {
        self.note = fit_into_answer(&mut self.memory);
        self
    }
}

/// A memory after its update; it is left out if the token may not read.
#[derive(Object, Serialize)]
pub(in super::super) struct UpdatedAnswer {
    /// Always `updated`.
    status: String,
    /// Identifies this request in the log.
    request_id: String,
    /// The ID of the memory.
    memory_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<MemoryAnswer>,
    /// What was left out of a response to ChatGPT, and how to get it; usually left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

impl UpdatedAnswer {
    pub(in super::super) fn new(request_id: RequestId, updated: UpdatedMemory) -> Self {
        Self {
            status: "updated".to_owned(),
            request_id: request_id.to_string(),
            memory_id: updated.id.to_string(),
            memory: updated.memory.map(MemoryAnswer::from),
            note: None,
        }
    }

    /// The same, within the limits of an assistant.
    pub(in super::super) fn for_assistant(mut self) -> Self {
        self.note = self.memory.as_mut().and_then(fit_into_answer);
        self
    }
}

/// One page of a list, newest first.
#[derive(Object, Serialize)]
pub(in super::super) struct MemoryListAnswer {
    /// Always `success`.
    status: String,
    /// Identifies this request in the log.
    request_id: String,
    /// The memories.
    memories: Vec<MemoryAnswer>,
    /// Send it as `cursor` to get the next page; left out on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// What was left out of a response to ChatGPT, and how to get it; usually left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

impl MemoryListAnswer {
    pub(in super::super) fn new(request_id: RequestId, memories: Vec<Memory>, next_cursor: Option<String>) -> Self {
        Self {
            status: "success".to_owned(),
            request_id: request_id.to_string(),
            memories: memories.into_iter().map(MemoryAnswer::from).collect(),
            next_cursor,
            note: None,
        }
    }

    /// The same, within the limits of an assistant. What does not fit is on the next page.
    pub(in super::super) fn for_assistant(request_id: RequestId, list: MemoryList) -> Self {
        let MemoryList { memories, next, cursors } = list;
        let mut answer = Self::new(request_id, memories, next);
        let fitted = fit::fit(&mut answer.memories);
        if fitted.left_out > 0
            && let Some(after_last) = answer.memories.len().checked_sub(1).and_then(|last| cursors.get(last))
        {
            answer.next_cursor = Some(after_last.clone());
        }
        answer.note = fitted.note("Send `next_cursor` as `cursor` to get them.");
        answer
    }
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
