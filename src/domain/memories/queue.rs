//! The port to the queue of accepted writes.

use async_trait::async_trait;

use super::model::{Memory, MemoryScope, NewMemory};
use crate::ids::{ApplicationId, RequestId};
use crate::system::{StorageError, Timestamp};
use crate::validation::{self, InvalidValue};

/// A caller's own name for a write, under which a repetition is recognised: 1 to 255 characters on one line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    const MAX: usize = 255;

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for IdempotencyKey {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, InvalidValue> {
        validation::line("idempotency_key", text, Self::MAX).map(Self)
    }
}

/// A digest of all that a write says, by which two writes of one key are compared.
pub type Fingerprint = [u8; 32];

/// A write that was accepted: from here on it must not be lost.
#[derive(Clone, Debug, PartialEq)]
pub struct QueuedWrite {
    /// The request that asked for it.
    pub request_id: RequestId,
    /// Whose request that was.
    pub application_id: ApplicationId,
    /// Where the memory goes.
    pub scope: MemoryScope,
    /// The caller's name for the write.
    pub idempotency_key: Option<IdempotencyKey>,
    /// What the write says.
    pub fingerprint: Fingerprint,
    /// The memory.
    pub memory: NewMemory,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// Until when it is remembered after it was stored.
    pub keep_until: Timestamp,
}

/// How far a write has come.
#[derive(Clone, Debug, PartialEq)]
pub enum WriteState {
    /// It is on its way.
    Pending,
    /// The bank has it, as this memory.
    Stored(Box<Memory>),
    /// The bank refused it, for this reason.
    Failed(String),
}

/// What became of a write that was to be accepted.
#[derive(Clone, Debug, PartialEq)]
pub enum Acceptance {
    /// It is in the queue now.
    Accepted,
    /// A write of the same key, application and scope (its space and person) is there already.
    Known {
        /// That write.
        write: Box<QueuedWrite>,
        /// How far it has come.
        state: WriteState,
    },
}

/// Keeps accepted writes until the bank has them. Every method happens entirely or not at all.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait WriteQueue: Send + Sync {
    /// Puts a write into the queue, unless one of the same idempotency key, application and scope is there: of any number of
    /// concurrent callers with one key exactly one gets [`Acceptance::Accepted`]. When it returns, the write survives the
    /// end of the process.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn accept(&self, write: &QueuedWrite) -> Result<Acceptance, StorageError>;

    /// Notes that the bank has the write.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn mark_stored(&self, request: RequestId, memory: &Memory) -> Result<(), StorageError>;

    /// Notes that the bank has refused the write for good.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn mark_failed(&self, request: RequestId, reason: &str) -> Result<(), StorageError>;

    /// Forgets at most `limit` writes that are stored or failed and whose `keep_until` is before `now`. Returns how many.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn sweep(&self, now: Timestamp, limit: u32) -> Result<u64, StorageError>;
}

#[cfg(test)]
mod tests;
