//! Storing a memory.

use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};

use super::super::assistant::Fit;
use super::memory::{ContextBody, MemoryAnswer, PriorityName, fit_into_answer, parse_categories, parse_expiry};
use crate::adapters::http::openapi::object::read_from_objects;
use crate::adapters::http::openapi::scalar::{CategoryText, MemoryIdText, MetadataObject, Moment, MomentOrNever};
use crate::adapters::http::server::failure::NearDuplicateAnswer;
use crate::domain::audit::Context;
use crate::domain::ids::{MemoryId, RequestId};
use crate::domain::memories::{
    Content, CreateMemory, IdempotencyKey, Metadata, NearDuplicate, OnNearDuplicate, Priority, StoredMemory,
};
use crate::domain::system::Timestamp;
use crate::domain::validation::InvalidValue;

read_from_objects!(CreateBody);

/// What an assistant can do about near duplicates.
const NEARLY_THE_SAME: &str = "Nearly the same was stored already: see `near_duplicates`. If one of them says the same, or is \
                               outdated now, ask the person whether to delete it.";

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

fn parse_superseded(id: &str) -> Result<MemoryId, InvalidValue> {
    id.parse().map_err(|error: InvalidValue| error.of("supersedes"))
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
}

impl Fit for CreatedMemory {
    fn fit(&mut self) {
        let shortened = self.memory.as_mut().and_then(fit_into_answer);
        let is_near = self.near_duplicates.as_ref().is_some_and(|near| !near.is_empty());
        let near = is_near.then(|| NEARLY_THE_SAME.to_owned());
        let notes: Vec<String> = shortened.into_iter().chain(near).collect();
        self.note = (!notes.is_empty()).then(|| notes.join(" "));
    }
}
