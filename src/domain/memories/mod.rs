//! Memories: what they are, who reaches which, and the ports behind which they are kept.

mod bank;
mod metadata;
mod model;
mod query;
mod queue;
mod service;

#[cfg(feature = "testing")]
pub use bank::MockMemoryBank;
pub use bank::{Capabilities, Capability, MemoryBank, MemoryBankError};
pub use metadata::{Context, ContextId, Metadata};
pub use model::{Category, Content, Memory, MemoryChanges, MemoryScope, NewMemory, Priority};
pub use query::{
    DateRange, Hit, Limit, ListQuery, MemoryFilter, MemoryQuery, Page, Position, QueryText, Relevance, Scalar,
    SearchResults,
};
#[cfg(feature = "testing")]
pub use queue::MockWriteQueue;
pub use queue::{Acceptance, Fingerprint, IdempotencyKey, QueuedWrite, WriteQueue, WriteState};
pub use service::{CreateMemory, IDEMPOTENCY_WINDOW, MemoryError, MemoryService, SearchMemories, StoredMemory};
