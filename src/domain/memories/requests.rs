//! Requests to the memory service, and their results.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::bank::MemoryBankError;
use super::history::HistoryEntry;
use super::metadata::Metadata;
use super::model::{Content, Memory, Priority};
use super::query::{Limit, ListOrder, MemoryFilter, QueryText, Relevance};
use super::queue::{Fingerprint, IdempotencyKey};
use super::shingles::NearDuplicate;
use crate::applications::Category;
use crate::audit::Context;
use crate::ids::{MemoryId, RequestId};
use crate::oauth::MissingPermission;
use crate::system::{StorageError, Timestamp};
use crate::validation::InvalidValue;

/// How long a repetition of a write is recognized by its idempotency key.
pub const IDEMPOTENCY_WINDOW: Duration = Duration::from_hours(24);

/// A request to store a memory.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateMemory {
    /// See [`Memory::content`].
    pub content: Content,
    /// See [`Memory::categories`].
    pub categories: Vec<Category>,
    /// See [`Memory::metadata`].
    pub metadata: Metadata,
    /// Where the request comes from.
    pub context: Context,
    /// See [`Memory::priority`].
    pub priority: Priority,
    /// See [`Memory::occurred_at`].
    pub occurred_at: Option<Timestamp>,
    /// The caller's ID for this write.
    pub idempotency_key: Option<IdempotencyKey>,
    /// See [`Memory::expires_at`].
    pub expires_at: Option<Timestamp>,
    /// See [`NewMemory::supersedes`](super::new_memory::NewMemory::supersedes).
    pub supersedes: Option<MemoryId>,
}

impl CreateMemory {
    /// Everything but the idempotency key, in a canonical form.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let categories: Vec<&str> = self.categories.iter().map(Category::as_str).collect();
        let ids = [&self.context.custom_gpt_id, &self.context.conversation_id];
        let mut said = serde_json::json!([
            self.content.as_str(),
            categories,
            self.metadata.as_object(),
            ids.map(|id| id.as_ref().map(|id| id.as_str().to_owned())),
            self.priority.as_str(),
            self.expires_at.map(Timestamp::unix_millis),
        ]);
        // Appended only where they are given, so that earlier fingerprints stay what they were: a number and a text.
        if let Some(members) = said.as_array_mut() {
            members.extend(self.occurred_at.map(|at| at.unix_millis().into()));
            members.extend(self.supersedes.as_ref().map(|older| older.as_str().into()));
        }
        Sha256::digest(said.to_string()).into()
    }
}

/// A search request.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchMemories {
    /// See [`MemoryQuery::text`](super::query::MemoryQuery::text).
    pub text: QueryText,
    /// See [`MemoryQuery::limit`](super::query::MemoryQuery::limit).
    pub limit: Limit,
    /// See [`MemoryQuery::threshold`](super::query::MemoryQuery::threshold).
    pub threshold: Option<Relevance>,
    /// See [`MemoryQuery::filter`](super::query::MemoryQuery::filter).
    pub filter: MemoryFilter,
    /// The order of the results.
    pub order: ResultOrder,
    /// Where the request comes from.
    pub context: Context,
}

/// The order of the results of a search. It does not change which memories are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResultOrder {
    /// Best first.
    #[default]
    Relevance,
    /// By [`Memory::occurred`], newest first.
    Occurred,
}

/// A request for a page of a list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListMemories {
    /// See [`ListQuery::limit`](super::query::ListQuery::limit).
    pub limit: Limit,
    /// The cursor of the previous page.
    pub cursor: Option<String>,
    /// See [`ListQuery::order`](super::query::ListQuery::order).
    pub order: ListOrder,
    /// See [`ListQuery::filter`](super::query::ListQuery::filter).
    pub filter: MemoryFilter,
}

/// A memory that was stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredMemory {
    /// The request that stored it: for a duplicate, the first one.
    pub request_id: RequestId,
    /// The memory as it was then.
    pub memory: Memory,
}

/// The result of a request to store a memory.
#[derive(Clone, Debug, PartialEq)]
pub enum Created {
    /// The bank has it.
    Stored(Box<StoredMemory>),
    /// It is in the queue and will be delivered to the bank.
    Accepted {
        /// The request ID for status queries: for a duplicate, the first one.
        request_id: RequestId,
    },
}

impl Created {
    pub(super) fn stored(request_id: RequestId, memory: Memory) -> Self {
        Self::Stored(Box::new(StoredMemory { request_id, memory }))
    }

    /// Whether an earlier request than `request` had created it.
    pub(super) fn is_repetition(&self, request: RequestId) -> bool {
        let first = match self {
            Self::Stored(stored) => stored.request_id,
            Self::Accepted { request_id } => *request_id,
        };
        first != request
    }
}

/// The status of a request to store a memory.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestOutcome {
    /// The request.
    pub request_id: RequestId,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// Its state.
    pub state: RequestState,
}

/// The state of a request, as far as the caller may see it.
#[derive(Clone, Debug, PartialEq)]
pub enum RequestState {
    /// It is pending.
    Pending,
    /// The bank has it.
    Stored {
        /// The ID of the memory.
        id: MemoryId,
        /// The memory itself, if the caller may read memories.
        memory: Option<Box<Memory>>,
    },
    /// The bank refused it, for this reason.
    Failed(String),
}

/// An updated memory.
#[derive(Clone, Debug, PartialEq)]
pub struct UpdatedMemory {
    /// Its id.
    pub id: MemoryId,
    /// The updated memory, if the caller may read memories: the update must not reveal other members.
    pub memory: Option<Memory>,
}

/// A memory and what happened to it.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryHistory {
    /// The memory.
    pub memory: Memory,
    /// What happened to it, newest first.
    pub entries: Vec<HistoryEntry>,
}

/// Why a request about memories failed.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// A value is invalid.
    #[error(transparent)]
    Invalid(#[from] InvalidValue),
    /// The caller's scope does not contain this memory.
    #[error("there is no memory with this id; search or list to find the ids of memories")]
    NotFound,
    /// The caller's scope does not contain the memory that a new one should supersede.
    #[error(
        "there is no memory with the id that `supersedes` names, so nothing was stored; search or list to find the ids of memories, \
         or leave it out"
    )]
    SupersededNotFound,
    /// Nearly the same is stored already, and the caller does not want that twice.
    #[error(
        "nearly the same is stored already, so nothing was stored: {}; update or supersede it, or send the memory without \
         `on_near_duplicate`", ids(.0)
    )]
    NearDuplicate(Vec<NearDuplicate>),
    /// The token lacks a permission that only a part of the request needs.
    #[error(transparent)]
    Forbidden(#[from] MissingPermission),
    /// There is no such request of this application.
    #[error(
        "no pending or recently stored request of this application has this id; it is the \
         `request_id` that the answer to a create has"
    )]
    RequestNotFound,
    /// Too many writes wait for the bank.
    #[error("too many memories wait for the memory bank, so this one was not accepted; send it again in a while")]
    QueueFull,
    /// The same idempotency key was used with another body before.
    #[error("this idempotency key was used before with another body; use a new key for another memory")]
    IdempotencyConflict,
    /// The memories that match a filter are not those that were confirmed.
    #[error(
        "the memories that match have changed since, there are {matching} of them now; nothing was deleted. Look again without a \
         confirmation, and confirm what you see then"
    )]
    SelectionChanged {
        /// How many match now.
        matching: u64,
    },
    /// The application may not write in these categories.
    #[error("this application may only write memories whose categories are among the ones it was given")]
    CategoryNotAllowed,
    /// The bank failed.
    #[error(transparent)]
    Bank(#[from] MemoryBankError),
    /// The queue failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

fn ids(near: &[NearDuplicate]) -> String {
    near.iter().map(|near| near.memory.id.to_string()).collect::<Vec<_>>().join(", ")
}
