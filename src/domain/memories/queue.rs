//! The port to the write queue.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::model::{Memory, MemoryScope};
use super::new_memory::NewMemory;
use super::tenants::TenantGroup;
use crate::ids::{ApplicationId, MemoryId, RequestId};
use crate::system::{Entropy, StorageError, Timestamp};
use crate::validation::{self, InvalidValue};

/// A caller's own ID for a write, by which a repetition is recognized: 1 to 255 characters on one line.
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

/// A digest of a write's content, by which two writes with one key are compared.
pub type Fingerprint = [u8; 32];

/// An accepted write: from here on it must not be lost.
#[derive(Clone, Debug, PartialEq)]
pub struct QueuedWrite {
    /// The request that asked for it.
    pub request_id: RequestId,
    /// The application of that request.
    pub application_id: ApplicationId,
    /// The scope of the memory.
    pub scope: MemoryScope,
    /// The caller's ID for the write.
    pub idempotency_key: Option<IdempotencyKey>,
    /// The digest of its content.
    pub fingerprint: Fingerprint,
    /// The memory.
    pub memory: NewMemory,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// How long it is kept after it was stored or has failed; it is never deleted before that.
    pub keep_until: Timestamp,
}

/// The state of a write.
#[derive(Clone, Debug, PartialEq)]
pub enum WriteState {
    /// It is waiting or being delivered.
    Pending,
    /// The bank has stored it as this memory.
    Stored(Box<Memory>),
    /// The bank refused it, for this reason. It is a dead letter: an operator may retry or drop it.
    Failed(String),
}

/// The exclusive right to deliver a write. When it has expired, anybody may take the write over: its holder may be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// A unique ID.
    pub id: Uuid,
    /// When it expires.
    pub until: Timestamp,
}

impl Lease {
    /// A new lease starting at `now`.
    pub fn new(entropy: &dyn Entropy, now: Timestamp, length: Duration) -> Self {
        Self { id: entropy.uuid(), until: now.plus(length) }
    }
}

/// A write with its lease.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The write.
    pub write: QueuedWrite,
    /// The lease.
    pub lease: Lease,
    /// The number of this attempt; 1 for the first.
    pub attempt: u32,
}

/// The order of delivery of an accepted write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryOrder {
    /// After the earlier writes of its scope, which it must not overtake unless they are
    /// [set aside](WriteQueue::reschedule).
    Fifo {
        /// Maximum number of pending writes. When it is reached, an application below its share is still accepted: the share
        /// is this number divided by the number of applications with pending writes.
        ///
        /// A person of an application gets half of that at most, rounded up: half of the number, or half of the share once
        /// the number is reached. What a person has beyond half of the share does not count as the application's then, so
        /// that others of it still have some of it.
        capacity: u32,
    },
    /// Independently of all others, and never refused, for a bank in the same database.
    Unordered,
}

/// When an accepted write is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dispatch {
    /// Now: the caller holds its lease, and makes the first attempt.
    Claimed,
    /// As soon as the earlier writes of its scope, which are being delivered, are done.
    Queued,
    /// At an unknown time: an earlier write of its scope waits for its next attempt.
    Deferred,
}

/// The result of accepting a write.
#[derive(Clone, Debug, PartialEq)]
pub enum Acceptance {
    /// It is in the queue now.
    Accepted(Dispatch),
    /// A write with the same key, application and scope (its space and person) exists already.
    Duplicate {
        /// The existing write.
        write: Box<QueuedWrite>,
        /// Its state.
        state: WriteState,
    },
    /// The queue is full. Nothing was stored.
    Full,
}

/// A write and its delivery state.
#[derive(Clone, Debug, PartialEq)]
pub struct TrackedWrite {
    /// The write.
    pub write: QueuedWrite,
    /// Its state.
    pub state: WriteState,
    /// Number of delivery attempts, including one in progress.
    pub attempts: u32,
    /// It is not sent again before that.
    pub next_attempt_at: Timestamp,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// Whether the later writes of its scope do not wait for it.
    pub set_aside: bool,
}

impl TrackedWrite {
    /// Whether the bank may have stored it although nobody knows: it was sent, and neither confirmed nor refused.
    #[must_use]
    pub fn may_have_arrived(&self) -> bool {
        self.state == WriteState::Pending && self.attempts > 0
    }

    /// The ID of the memory that it has become, once the bank has stored it.
    #[must_use]
    pub fn delivered_as(&self) -> Option<&MemoryId> {
        match &self.state {
            WriteState::Stored(memory) => Some(&memory.id),
            WriteState::Pending | WriteState::Failed(_) => None,
        }
    }
}

/// Number of failures of a write although the bank was reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryFailures {
    /// Total number.
    pub total: u32,
    /// Number of those before which it had stored another write since the previous failure, or since this write was accepted.
    pub outvoted: u32,
}

/// A kind of undelivered writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undelivered {
    /// Pending writes.
    Pending,
    /// Dead letters.
    Failed,
}

/// Statistics of the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueStatistics {
    /// Number of pending writes.
    pub pending: u64,
    /// Number of dead letters.
    pub failed: u64,
    /// When the oldest pending write was accepted.
    pub oldest_pending: Option<Timestamp>,
}

impl QueueStatistics {
    /// The age of the oldest pending write at `now`; zero if there is none.
    #[must_use]
    pub fn oldest_pending_age(&self, now: Timestamp) -> Duration {
        self.oldest_pending.map_or(Duration::ZERO, |accepted| now.since(accepted))
    }
}

/// Maximum number of writes of a scope that are set aside.
pub const MAX_SET_ASIDE: u32 = 16;

/// Keeps accepted writes until the bank has stored them. Every method is atomic, and durable when it returns. Any number of
/// instances share one queue. No lock is held between two calls.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait WriteQueue: Send + Sync {
    /// Puts a write into the queue, unless one with the same idempotency key, application and scope exists: of any number of
    /// concurrent callers with one key exactly one gets [`Acceptance::Accepted`]. If it is due at once, the write is under
    /// `lease` from the start. With [`DeliveryOrder::Fifo`] at most one write of a scope that is not set aside is under a lease
    /// at a time, and the number of pending writes never exceeds the capacity and the shares, even with concurrent callers; a
    /// duplicate is recognized in a full queue too.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn accept(&self, write: &QueuedWrite, order: DeliveryOrder, lease: Lease)
    -> Result<Acceptance, StorageError>;

    /// Claims at most `limit` pending writes under `lease`, those that have been due longest first: of each scope the oldest
    /// that is not set aside, and those that are, only if the next attempt is due at `now`, and only if nobody else holds a
    /// valid lease at `now`. Of any number of concurrent callers exactly one gets a write.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn claim(&self, now: Timestamp, lease: Lease, limit: u32) -> Result<Vec<Claim>, StorageError>;

    /// Releases every lease. For an instance that starts as the only one: the holders are gone.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn release_leases(&self) -> Result<(), StorageError>;

    /// Records that the bank has stored the write at `now`, whoever holds its lease, and keeps it until `keep_until`, or longer
    /// if it is to be kept longer anyway, but no longer than the memory lives. Returns whether the write existed: it may have
    /// been [removed](Self::remove) meanwhile.
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

    /// Records that the bank has refused the write permanently: it is a dead letter until at least `keep_until`. Does nothing if
    /// the write was stored.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn mark_failed(&self, request: RequestId, reason: &str, keep_until: Timestamp) -> Result<(), StorageError>;

    /// Records at `now` that the bank failed at a pending write although it was reached. Does nothing if the lease is not the
    /// one with that ID any more.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn note_failure(
        &self,
        request: RequestId,
        lease: Uuid,
        now: Timestamp,
    ) -> Result<DeliveryFailures, StorageError>;

    /// Releases the lease of a pending write, to be retried at `next_attempt_at`, because of `reason`. With `set_aside` the
    /// later writes of its scope do not wait for it any more, unless [`MAX_SET_ASIDE`] others of the scope are set aside
    /// already; once set aside, it stays so. Does nothing if the lease is not the one with that ID any more.
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

    /// The undelivered write of a request, of any application.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn find_undelivered(&self, request: RequestId) -> Result<Option<TrackedWrite>, StorageError>;

    /// The write of the scope (its space and person, whatever its categories) that created the memory with this ID. Until it is
    /// stored, that is the ID that it proposes.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn find_by_memory(&self, scope: &MemoryScope, id: &MemoryId) -> Result<Option<TrackedWrite>, StorageError>;

    /// The write of the scope (its space and person, whatever its categories) that this request asked for, of any application.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn find_by_request(
        &self,
        scope: &MemoryScope,
        request: RequestId,
    ) -> Result<Option<TrackedWrite>, StorageError>;

    /// The write of an application in the scope (its space and person, whatever its categories) with this idempotency key.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn find_by_key(
        &self,
        application: ApplicationId,
        scope: &MemoryScope,
        key: &IdempotencyKey,
    ) -> Result<Option<TrackedWrite>, StorageError>;

    /// Deletes a write, as it was found. Returns false, and changes nothing, if another attempt to deliver it was started or
    /// its state has changed since, or if it is being delivered at `now`.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn remove(&self, found: &TrackedWrite, now: Timestamp) -> Result<bool, StorageError>;

    /// Replaces the memory kept by the stored write of the scope that created it, if there is one.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn replace_memory(&self, scope: &MemoryScope, memory: &Memory) -> Result<(), StorageError>;

    /// Deletes every write of the scope (its space and person, whatever their categories) that is not pending. Returns how
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

    /// At most `limit` undelivered writes, in the order in which they were accepted.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn list(&self, which: Undelivered, limit: u32) -> Result<Vec<TrackedWrite>, StorageError>;

    /// Makes a dead letter pending again, after all other writes of its scope, and a pending write due, at `now`; its failures
    /// are reset. Returns whether it existed.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn retry(&self, request: RequestId, now: Timestamp) -> Result<bool, StorageError>;

    /// Deletes a dead letter. Returns whether it existed.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn drop_failed(&self, request: RequestId) -> Result<bool, StorageError>;

    /// Deletes every write of these tenants, in any state. One that is being delivered may still reach the bank. Returns how
    /// many there were.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn erase(&self, group: &TenantGroup) -> Result<u64, StorageError>;

    /// The statistics of the queue.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn statistics(&self) -> Result<QueueStatistics, StorageError>;

    /// Deletes at most `limit` writes that are stored or failed and whose `keep_until` is before `now`. Returns how many.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn sweep(&self, now: Timestamp, limit: u32) -> Result<u64, StorageError>;
}

#[cfg(test)]
mod tests;
