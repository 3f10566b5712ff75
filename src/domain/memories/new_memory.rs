//! Memories with what happened to them: to create one, and to carry one away.

use super::actor::Actor;
use super::history::HistoryEntry;
use super::metadata::Metadata;
use super::model::{Content, Memory, MemoryScope, Priority};
use crate::applications::{Category, SpaceName};
use crate::ids::{MemoryId, UserId};
use crate::system::Timestamp;

/// A memory of a person, and where it is.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnMemory {
    /// The memory.
    pub memory: Memory,
    /// Its space.
    pub space: SpaceName,
    /// Its history, newest first, if it was asked for.
    pub history: Vec<HistoryEntry>,
    /// Whether it was accepted, but the bank has not stored it: its ID is the one that memgate proposes to the bank.
    pub pending: bool,
}

impl OwnMemory {
    /// A memory of the bank, without its history.
    #[must_use]
    pub fn stored(memory: Memory, space: SpaceName) -> Self {
        Self { memory, space, history: Vec::new(), pending: false }
    }

    /// What it is called.
    #[must_use]
    pub fn id(&self) -> OwnMemoryId {
        OwnMemoryId { id: self.memory.id.clone(), space: Some(self.space.clone()) }
    }

    /// The scope of the person that it is in.
    pub(super) fn scope_of(&self, person: UserId) -> MemoryScope {
        MemoryScope::from_stored(self.space.clone(), Some(person))
    }
}

/// What a memory of a person is called. An ID is unique within a space: an import of what was in one space into another keeps
/// the IDs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnMemoryId {
    /// Its ID.
    pub id: MemoryId,
    /// Its space; `None` for the first of the person's spaces that has such a memory.
    pub space: Option<SpaceName>,
}

impl From<MemoryId> for OwnMemoryId {
    fn from(id: MemoryId) -> Self {
        Self { id, space: None }
    }
}

/// A memory to create.
#[derive(Clone, Debug, PartialEq)]
pub struct NewMemory {
    /// The ID of this write. A bank that assigns its own memory IDs stores it in the metadata; either way, creating the same
    /// write twice creates one memory.
    pub id: MemoryId,
    /// See [`Memory::content`].
    pub content: Content,
    /// See [`Memory::categories`].
    pub categories: Vec<Category>,
    /// See [`Memory::metadata`].
    pub metadata: Metadata,
    /// See [`Memory::priority`].
    pub priority: Priority,
    /// See [`Memory::created_at`].
    pub created_at: Timestamp,
    /// See [`Memory::occurred_at`].
    pub occurred_at: Option<Timestamp>,
    /// See [`Memory::updated_at`]; `None` for a memory that was not changed since.
    pub updated_at: Option<Timestamp>,
    /// See [`Memory::expires_at`].
    pub expires_at: Option<Timestamp>,
    /// See [`Memory::created_by`].
    pub created_by: Option<Actor>,
    /// The older memory of the scope whose place it takes; see [`MemoryBank::create`](super::MemoryBank::create).
    pub supersedes: Option<MemoryId>,
    /// What happened to it before, newest first; of a memory that was exported.
    pub history: Vec<HistoryEntry>,
}

impl NewMemory {
    /// When the memory was last updated: never before its creation.
    #[must_use]
    pub fn updated(&self) -> Timestamp {
        self.updated_at.map_or(self.created_at, |updated_at| updated_at.max(self.created_at))
    }

    /// The memory after its creation under the ID of its write.
    #[must_use]
    pub fn into_memory(self) -> Memory {
        let updated_at = self.updated();
        Memory {
            id: self.id,
            content: self.content,
            categories: self.categories,
            metadata: self.metadata,
            priority: self.priority,
            created_at: self.created_at,
            occurred_at: self.occurred_at,
            updated_at,
            expires_at: self.expires_at,
            created_by: self.created_by,
        }
    }
}

impl From<Memory> for NewMemory {
    /// Creates the same memory again.
    fn from(memory: Memory) -> Self {
        let Memory {
            id,
            content,
            categories,
            metadata,
            priority,
            created_at,
            occurred_at,
            updated_at,
            expires_at,
            created_by,
        } = memory;
        Self {
            id,
            content,
            categories,
            metadata,
            priority,
            created_at,
            occurred_at,
            updated_at: (updated_at != created_at).then_some(updated_at),
            expires_at,
            created_by,
            supersedes: None,
            history: Vec::new(),
        }
    }
}
