//! The port to the queue of accepted writes.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::model::{Memory, MemoryScope, NewMemory};
use super::tenants::TenantGroup;
use crate::ids::{ApplicationId, MemoryId, RequestId};
use crate::system::{Entropy, StorageError, Timestamp};
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
    /// Until when it is remembered after it was stored or has failed; never forgotten before that.
    pub keep_until: Timestamp,
}

/// How far a write has come.
#[derive(Clone, Debug, PartialEq)]
pub enum WriteState {
    /// It is on its way.
    Pending,
    /// The bank has it, as this memory.
    Stored(Box<Memory>),
    /// The bank refused it, for this reason. Such a write is a dead letter: an operator may send it again, or drop it.
    Failed(String),
}

/// The right to deliver a write, which one holder at a time has. When it has run out, anybody may take it over: its holder
/// may be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// A name that no other lease has.
    pub id: Uuid,
    /// From when on it is worth nothing.
    pub until: Timestamp,
}

impl Lease {
    /// A new lease from `now` on.
    pub fn new(entropy: &dyn Entropy, now: Timestamp, length: Duration) -> Self {
        Self { id: entropy.uuid(), until: now.plus(length) }
    }
}

/// A write that somebody holds the lease of.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The write.
    pub write: QueuedWrite,
    /// The lease.
    pub lease: Lease,
    /// The number of this attempt; 1 if the write was never sent before.
    pub attempt: u32,
}

/// Where an accepted write stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryOrder {
    /// Behind the earlier writes of its scope, which it must not overtake unless they are
    /// [set aside](WriteQueue::reschedule).
    Fifo {
        /// How many writes may be pending. Where they are, an application that has less than its share is not refused: each
        /// of those that have pending writes may always have this number divided by theirs.
        capacity: u32,
    },
    /// Beside all others, for a bank that is as near as the queue itself, and never refused.
    Unordered,
}

/// When the turn of an accepted write comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dispatch {
    /// Now, and whoever had it accepted holds its lease: the first attempt is his.
    Claimed,
    /// As soon as the earlier writes of its scope, which are under way, are done.
    Queued,
    /// Nobody knows: an earlier write of its scope waits for its next attempt.
    Deferred,
}

/// What became of a write that was to be accepted.
#[derive(Clone, Debug, PartialEq)]
pub enum Acceptance {
    /// It is in the queue now.
    Accepted(Dispatch),
    /// A write of the same key, application and scope (its space and person) is there already.
    Duplicate {
        /// That write.
        write: Box<QueuedWrite>,
        /// How far it has come.
        state: WriteState,
    },
    /// The queue has no room. Nothing was kept.
    Full,
}

/// A write and all that the queue knows of it.
#[derive(Clone, Debug, PartialEq)]
pub struct TrackedWrite {
    /// The write.
    pub write: QueuedWrite,
    /// How far it has come.
    pub state: WriteState,
    /// How many attempts there were to deliver it, one that is under way included.
    pub attempts: u32,
    /// Before that it is not sent again.
    pub next_attempt_at: Timestamp,
    /// Why the last attempt came to nothing.
    pub last_error: Option<String>,
    /// Whether the later writes of its scope do not wait for it.
    pub set_aside: bool,
}

/// How often the bank failed at a write although it was reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// How often in all.
    pub total: u32,
    /// How often it had stored another write since the failure before, or since this write was accepted.
    pub outvoted: u32,
}

/// Some of the writes that are not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undelivered {
    /// Those on their way.
    Pending,
    /// The dead letters.
    Failed,
}

/// How the queue does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueStatistics {
    /// How many writes are on their way.
    pub pending: u64,
    /// How many dead letters there are.
    pub failed: u64,
    /// When the oldest write that is on its way was accepted.
    pub oldest_pending: Option<Timestamp>,
}

impl QueueStatistics {
    /// For how long the oldest write that is on its way has been waiting at `now`; nothing if none is.
    #[must_use]
    pub fn oldest_pending_age(&self, now: Timestamp) -> Duration {
        self.oldest_pending.map_or(Duration::ZERO, |accepted| now.since(accepted))
    }
}

/// How many writes of a scope are set aside at most.
pub const MAX_SET_ASIDE: u32 = 16;

/// Keeps accepted writes until the bank has them. Every method happens entirely or not at all, and what it has done when it
/// returns survives the end of the process. Any number of instances share one queue. Nothing stays locked between two calls.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait WriteQueue: Send + Sync {
    /// Puts a write into the queue, unless one of the same idempotency key, application and scope is there: of any number of
    /// concurrent callers with one key exactly one gets [`Acceptance::Accepted`]. If it is its turn, the write is under
    /// `lease` from the start. With [`DeliveryOrder::Fifo`] at most one write of a scope that is not set aside is under a lease at a
    /// time, and never more writes are pending than the capacity and the shares allow, however many callers come at once; a
    /// repetition is recognised in a full queue too.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn accept(&self, write: &QueuedWrite, order: DeliveryOrder, lease: Lease)
    -> Result<Acceptance, StorageError>;

    /// Takes at most `limit` pending writes under `lease`, those first that have been due for longest: of each scope the
    /// oldest that is not set aside, and those that are, only if the next attempt is due at `now`, and only if nobody else
    /// holds a lease of it that is good at `now`. Of any number of concurrent callers one gets a write.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn claim(&self, now: Timestamp, lease: Lease, limit: u32) -> Result<Vec<Claim>, StorageError>;

    /// Ends every lease. For an instance that starts, and knows that it is alone: the holders are gone.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn release_leases(&self) -> Result<(), StorageError>;

    /// Notes that the bank has the write at `now`, whoever holds its lease, and keeps it until `keep_until`, or longer if it
    /// is to be kept longer anyway, but no longer than the memory lives. Returns whether the write was there: it may have been
    /// [removed](Self::remove) meanwhile.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn mark_stored(
        &self,
        request: RequestId,
        memory: &Memory,
        now: Timestamp,
        keep_until: Timestamp,
    ) -> Result<bool, StorageError>;

    /// Notes that the bank has refused the write for good: it is a dead letter until `keep_until` at least. Changes nothing if
    /// the write was stored.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn mark_failed(&self, request: RequestId, reason: &str, keep_until: Timestamp) -> Result<(), StorageError>;

    /// Counts at `now` that the bank failed at a pending write although it was reached. Counts nothing if the lease is not the
    /// one of that id any more.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn note_failure(&self, request: RequestId, lease: Uuid, now: Timestamp) -> Result<Failures, StorageError>;

    /// Gives back the lease of a pending write, to be sent again at `next_attempt_at`, because of `reason`. With `set_aside`
    /// the later writes of its scope do not wait for it any more, unless [`MAX_SET_ASIDE`] others of the scope are set aside
    /// already; once set aside, it stays so. Changes nothing if the lease is not the one of that id any more.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn reschedule(
        &self,
        request: RequestId,
        lease: Uuid,
        next_attempt_at: Timestamp,
        reason: &str,
        set_aside: bool,
    ) -> Result<(), StorageError>;

    /// The write that a request of this application asked for.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn find(&self, application: ApplicationId, request: RequestId) -> Result<Option<TrackedWrite>, StorageError>;

    /// The write that is not delivered, whichever application asked for it.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn find_undelivered(&self, request: RequestId) -> Result<Option<TrackedWrite>, StorageError>;

    /// The write of the scope (its space and person, whatever its categories) that created the memory of this id. As long as
    /// it is not stored, that is the id that it proposes.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn find_by_memory(&self, scope: &MemoryScope, id: &MemoryId) -> Result<Option<TrackedWrite>, StorageError>;

    /// Forgets a write, as it was found. Returns false, and changes nothing, if another attempt to deliver it was begun or
    /// its state has changed since, or if it is being delivered at `now`.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn remove(&self, found: &TrackedWrite, now: Timestamp) -> Result<bool, StorageError>;

    /// Puts `memory` in the place of what is kept of it by the stored write of the scope that created it, if there is one.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn replace_memory(&self, scope: &MemoryScope, memory: &Memory) -> Result<(), StorageError>;

    /// Forgets every write of the scope (its space and person, whatever their categories) that is not pending. Returns how
    /// many.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn forget_scope(&self, scope: &MemoryScope) -> Result<u64, StorageError>;

    /// At most `limit` pending writes of the scope (its space and person, whatever their categories), newest first.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn pending(&self, scope: &MemoryScope, limit: u32) -> Result<Vec<QueuedWrite>, StorageError>;

    /// At most `limit` writes that are not delivered, those first that were accepted first.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn list(&self, which: Undelivered, limit: u32) -> Result<Vec<TrackedWrite>, StorageError>;

    /// Makes a dead letter pending again, at the end of its scope's line, and a pending write due, at `now`; what was counted
    /// against it is forgotten. Returns whether there was such a write.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn retry(&self, request: RequestId, now: Timestamp) -> Result<bool, StorageError>;

    /// Deletes a dead letter. Returns whether there was one.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn drop_failed(&self, request: RequestId) -> Result<bool, StorageError>;

    /// Deletes every write of these tenants, however far it has come. One that is being delivered may still get to the bank.
    /// Returns how many there were.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn erase(&self, group: &TenantGroup) -> Result<u64, StorageError>;

    /// How the queue does.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn statistics(&self) -> Result<QueueStatistics, StorageError>;

    /// Forgets at most `limit` writes that are stored or failed and whose `keep_until` is before `now`. Returns how many.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn sweep(&self, now: Timestamp, limit: u32) -> Result<u64, StorageError>;
}

#[cfg(test)]
mod tests;
