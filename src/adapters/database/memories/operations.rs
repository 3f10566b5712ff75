//! The operations that write memories, and their outcomes.

use memgate_domain::applications::CategoryAccess;
use memgate_domain::ids::MemoryId;
use memgate_domain::memories::{Memory, MemoryUpdate, NewMemory};
use memgate_domain::system::Timestamp;

use super::counts::Words;
use super::index::{IndexEntries, listings};
use super::ranking::Document;

/// An operation of a caller.
#[derive(Debug)]
pub(super) struct WriteOp {
    /// See [`MemoryScope::tenant`](memgate_domain::memories::MemoryScope::tenant).
    pub(super) tenant: String,
    pub(super) access: CategoryAccess,
    pub(super) change: Change,
}

#[derive(Debug)]
pub(super) enum Change {
    Create(Box<Prepared>),
    Update {
        id: MemoryId,
        update: Box<MemoryUpdate>,
    },
    Delete {
        id: MemoryId,
        /// Only if the memory was last updated then.
        if_updated_at: Option<Timestamp>,
    },
    /// Deletes the history of the memory.
    ForgetHistory {
        id: MemoryId,
        now: Timestamp,
    },
    /// Deletes the entry with this number of a history if its memory has expired.
    ExpireEntry {
        id: i64,
        now: Timestamp,
    },
    /// Deletes the memory with this row number if it has expired.
    Expire {
        seq: i64,
        now: Timestamp,
    },
    /// Reindexes the memory with this row number if its version is older.
    Reindex {
        seq: i64,
    },
}

/// The outcome of an operation.
#[derive(Clone, Debug)]
pub(super) enum WriteOutcome {
    /// The memory as it was stored.
    Stored(Box<Memory>),
    /// The memory that an earlier write with the same ID created.
    Found(Box<Memory>),
    /// The memory, its history or a part of that was deleted.
    Removed,
    /// There is no such memory.
    Missing,
}

/// A memory to create, with its precomputed words and index entries.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) memory: NewMemory,
    pub(super) question: bool,
    pub(super) words: Words,
    pub(super) entries: IndexEntries,
    pub(super) listings: Vec<String>,
}

impl Prepared {
    pub(super) fn new(memory: NewMemory) -> Self {
        let document = Document::of(memory.content.as_str(), &memory.metadata, &memory.categories);
        let entries = IndexEntries::of(&document, &memory.categories, &memory.metadata, memory.created_at);
        let (words, listings) = (Words::of(&document, &memory.categories), listings(&memory.categories));
        Self { memory, question: document.question, words, entries, listings }
    }
}
