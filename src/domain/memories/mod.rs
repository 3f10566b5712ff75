//! Memories: the model, the scopes, and the ports behind which they are stored.

mod actor;
mod answer_size;
mod bank;
mod bank_decorator;
mod bulk;
mod condition;
mod creating;
mod delivery;
mod embedding;
mod erasure;
mod export;
mod foreign;
mod history;
mod import;
mod import_problem;
mod loading;
mod metadata;
mod model;
mod near_duplicates;
mod new_memory;
mod object;
mod operations;
mod personal;
mod query;
mod queue;
mod record;
mod requests;
mod scalar;
mod search;
mod service;
mod shingles;
mod statistics;
mod tenants;
mod transfers;

pub use actor::Actor;
pub use answer_size::AnswerSize;
#[cfg(feature = "testing")]
pub use bank::MockMemoryBank;
pub use bank::{Capabilities, Capability, Histories, IsNew, MAX_AT_ONCE, MemoryBank, MemoryBankError};
pub use bank_decorator::MemoryBankDecorator;
pub use bulk::{Deletion, EachCreated};
pub use condition::{Condition, Side, ValueTest};
pub use delivery::{Attempted, Delivery, DeliveryPolicy, DeliveryWorker};
pub use embedding::{Embedder, Embedding, EmbeddingError, EmbeddingModel, EmbeddingModelId, TextKind, similarity};
pub use erasure::{
    AccountClosure, ApplicationExtent, ErasedApplication, Erasure, ErasureError, MemoriesOfDeleted, OwnerEraser,
};
pub use export::Export;
pub use foreign::{Conversation, ForeignRow, FoundRow, ImportFormat, Item, Items, Part, Reading, ReadingError};
pub use history::{HistoryEntry, HistoryEvent, MemoryMember};
pub use import::{ImportReader, ImportRow};
pub use import_problem::{ImportProblem, JsonError};
pub use loading::{Import, ImportReport, ImportStopped, LeftOut, Line, Lines, Place, PlaceUnit, streaming_reader};
pub use metadata::Metadata;
pub use model::{Content, Memory, MemoryChanges, MemoryScope, MemoryUpdate, Priority};
pub use near_duplicates::{CreatedBeside, OnNearDuplicate};
pub use new_memory::{NewMemory, OwnMemory, OwnMemoryId};
pub use operations::{Dropped, QueueOperations};
pub use personal::{Correction, OwnNext, OwnPage, OwnQuery, PersonalMemories, Source};
pub use query::{
    DateRange, Hit, Limit, ListOrder, ListQuery, MemoryFilter, MemoryList, MemoryQuery, Page, Position, QueryText,
    Relevance, SearchAnswer, SearchResults, StaleAllowed,
};
#[cfg(feature = "testing")]
pub use queue::MockWriteQueue;
pub use queue::{
    Acceptance, Claim, DeliveryFailures, DeliveryOrder, Dispatch, Fingerprint, IdempotencyKey, Lease, MAX_SET_ASIDE,
    QueueStatistics, QueuedWrite, TrackedWrite, Undelivered, WriteQueue, WriteState,
};
pub use record::{HistoryRecord, MemoryRecord};
pub use requests::{
    CreateMemory, Created, IDEMPOTENCY_WINDOW, ListMemories, MemoryError, MemoryHistory, RequestOutcome, RequestState,
    ResultOrder, SearchMemories, StoredMemory, UpdatedMemory,
};
pub use scalar::Scalar;
pub use search::{Finding, Findings};
pub use service::MemoryService;
pub use shingles::{NearDuplicate, Similarity};
pub use statistics::MemoryStatistics;
pub use tenants::{Admitted, NotAdmitted, Tenant, TenantGroup, TenantRegistry};
pub use transfers::{Exported, MemoryTransfers};
