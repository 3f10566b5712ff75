//! Delivery of accepted writes to the bank.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::bank::{MemoryBank, MemoryBankError};
use super::model::{Memory, MemoryScope};
use super::queue::{
    Acceptance, Claim, DeliveryOrder, Dispatch, Lease, QueuedWrite, TrackedWrite, WriteQueue, WriteState,
};
use super::tenants::{Admitted, TenantRegistry};
use crate::ids::MemoryId;
use crate::system::{Clock, Entropy, ErrorChain, StorageError, Timestamp};

/// The parameters of delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryPolicy {
    /// Maximum number of pending writes.
    pub capacity: u32,
    /// How long a write is kept after its delivery.
    pub retention: Duration,
    /// For how long a dead letter is kept.
    pub dead_letter_retention: Duration,
    /// Duration of a lease; longer than any call to the bank.
    pub lease: Duration,
    /// Maximum delay after the first failed attempt; each further one doubles it.
    pub first_backoff: Duration,
    /// Maximum delay after any attempt, unless the bank asks for more.
    pub longest_backoff: Duration,
    /// Number of failures of one write after which later ones of its scope do not wait for it any more.
    pub set_aside_after: u32,
    /// Number of failures of one write, each while others were stored, after which it becomes a dead letter.
    pub max_outvoted: u32,
}

impl DeliveryPolicy {
    /// Upper bound of the delay that a bank may ask for.
    const LONGEST_OBEYED: Duration = Duration::from_hours(1);

    /// Time allowed for an attempt, so that it cannot overlap with a takeover when the lease has expired.
    #[must_use]
    pub fn longest_attempt(&self) -> Duration {
        self.lease * 4 / 5
    }

    /// The delay after attempt number `attempt`: full jitter, in addition to what the bank asks for.
    pub(super) fn wait_after(&self, attempt: u32, asked_for: Option<Duration>, entropy: &dyn Entropy) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        let ceiling = self.first_backoff.saturating_mul(1 << doublings).min(self.longest_backoff);
        asked_for.unwrap_or_default().min(Self::LONGEST_OBEYED) + entropy.part_of(ceiling)
    }
}

impl Default for DeliveryPolicy {
    fn default() -> Self {
        Self {
            capacity: 10_000,
            retention: Duration::from_hours(24),
            dead_letter_retention: Duration::from_hours(30 * 24),
            lease: Duration::from_mins(1),
            first_backoff: Duration::from_secs(1),
            longest_backoff: Duration::from_secs(30),
            set_aside_after: 5,
            max_outvoted: 20,
        }
    }
}

/// Delivers queued writes to the bank. While the bank is unavailable, a write is retried until it is stored; one that the
/// bank refuses, or at which it fails again and again while it stores others, becomes a dead letter.
#[derive(Clone)]
pub struct Delivery {
    bank: Arc<dyn MemoryBank>,
    tenants: Arc<dyn TenantRegistry>,
    queue: Arc<dyn WriteQueue>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    policy: DeliveryPolicy,
}

/// The outcome of one attempt.
#[derive(Debug)]
pub enum Attempted {
    /// The bank has the memory.
    Stored(Memory),
    /// The bank refused it permanently.
    Refused(String),
    /// It will be retried.
    Postponed {
        /// When.
        until: Timestamp,
        /// The error of the bank, or the timeout.
        error: MemoryBankError,
        /// Whether the later writes of its scope do not wait for it.
        set_aside: bool,
    },
    /// It was deleted during delivery, and so was the memory, unless that failed.
    Withdrawn {
        /// Why the memory could not be deleted.
        left_behind: Option<MemoryBankError>,
    },
}

impl From<Attempted> for WriteState {
    fn from(attempted: Attempted) -> Self {
        match attempted {
            Attempted::Stored(memory) => Self::Stored(Box::new(memory)),
            Attempted::Refused(reason) => Self::Failed(reason),
            Attempted::Postponed { .. } => Self::Pending,
            Attempted::Withdrawn { .. } => Self::Failed("it was deleted before it was stored".to_owned()),
        }
    }
}

impl Delivery {
    /// Assembles the service.
    pub fn new(
        bank: Arc<dyn MemoryBank>,
        tenants: Arc<dyn TenantRegistry>,
        queue: Arc<dyn WriteQueue>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        policy: DeliveryPolicy,
    ) -> Self {
        Self { bank, tenants, queue, clock, entropy, policy }
    }

    /// The bank.
    #[must_use]
    pub fn bank(&self) -> &dyn MemoryBank {
        &*self.bank
    }

    /// The bank, for what outlives a call.
    #[must_use]
    pub fn shared_bank(&self) -> Arc<dyn MemoryBank> {
        Arc::clone(&self.bank)
    }

    /// The registry that admits what is stored, for what outlives a call.
    #[must_use]
    pub fn shared_tenants(&self) -> Arc<dyn TenantRegistry> {
        Arc::clone(&self.tenants)
    }

    /// Has the tenant of `scope` admitted, before something is stored for it.
    ///
    /// # Errors
    /// [`MemoryBankError`].
    pub async fn admit(&self, scope: &MemoryScope) -> Result<Admitted, MemoryBankError> {
        Ok(Admitted::by(&*self.tenants, scope).await?)
    }

    /// The write queue.
    #[must_use]
    pub fn queue(&self) -> &dyn WriteQueue {
        &*self.queue
    }

    /// The parameters.
    #[must_use]
    pub fn policy(&self) -> &DeliveryPolicy {
        &self.policy
    }

    /// Puts a write into the queue. `Dispatch::Claimed` comes with the claim for the first attempt.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn accept(&self, write: &QueuedWrite) -> Result<(Acceptance, Option<Claim>), StorageError> {
        let order = if self.bank.capabilities().local {
            DeliveryOrder::Unordered
        } else {
            DeliveryOrder::Fifo { capacity: self.policy.capacity }
        };
        let lease = self.new_lease();
        let acceptance = self.queue.accept(write, order, lease).await?;
        let claim = (acceptance == Acceptance::Accepted(Dispatch::Claimed)).then(|| Claim {
            write: write.clone(),
            lease,
            attempt: 1,
        });
        Ok((acceptance, claim))
    }

    /// Claims at most `limit` due writes.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn claim(&self, limit: u32) -> Result<Vec<Claim>, StorageError> {
        self.queue.claim(self.clock.now(), self.new_lease(), limit).await
    }

    fn new_lease(&self) -> Lease {
        Lease::new(&*self.entropy, self.clock.now(), self.policy.lease)
    }

    /// Makes one attempt, and records the outcome.
    ///
    /// # Errors
    /// [`StorageError`] if the outcome could not be recorded; the write is retried when its lease expires, which is safe, since
    /// creating a memory is idempotent.
    pub async fn attempt(&self, claim: &Claim) -> Result<Attempted, StorageError> {
        let write = &claim.write;
        match self.create(claim).await {
            Ok(memory) => {
                if let Some(older) = &write.memory.supersedes {
                    self.forget_write_of(write, older).await?;
                }
                let now = self.clock.now();
                let keep_until = now.plus(self.policy.retention);
                if self.queue.mark_stored(write.request_id, &memory, now, keep_until).await? {
                    return Ok(Attempted::Stored(memory));
                }
                let left_behind = self.bank.delete(&write.scope, &memory.id).await.err();
                Ok(Attempted::Withdrawn { left_behind })
            }
            Err(MemoryBankError::Rejected(reason)) => self.refuse(claim, reason).await,
            Err(error @ MemoryBankError::Unsupported(_)) => self.refuse(claim, error.to_string()).await,
            // A misconfigured bank, or one that returns nonsense, can be fixed: the write waits for that.
            Err(
                error @ (MemoryBankError::Unavailable { .. }
                | MemoryBankError::Misconfigured(_)
                | MemoryBankError::Inconsistent(_)),
            ) => self.postpone(claim, error).await,
        }
    }

    async fn create(&self, claim: &Claim) -> Result<Memory, MemoryBankError> {
        let (scope, memory) = (self.admit(&claim.write.scope).await?, &claim.write.memory);
        if claim.attempt == 1 {
            self.bank.create_first(&scope, memory).await
        } else {
            self.bank.create(&scope, memory).await
        }
    }

    /// Deletes the record of the request that created a memory which this write has superseded.
    async fn forget_write_of(&self, write: &QueuedWrite, older: &MemoryId) -> Result<(), StorageError> {
        if let Some(tracked) = self.queue.find_by_memory(&write.scope, older).await?
            && tracked.write.request_id != write.request_id
        {
            self.queue.remove(&tracked, self.clock.now()).await?;
        }
        Ok(())
    }

    async fn refuse(&self, claim: &Claim, reason: String) -> Result<Attempted, StorageError> {
        let keep_until = self.clock.now().plus(self.policy.dead_letter_retention);
        self.queue.mark_failed(claim.write.request_id, &reason, keep_until).await?;
        Ok(Attempted::Refused(reason))
    }

    /// Releases a claim because of `error`, to be retried later; or gives it up, if the bank has failed at it too often while
    /// it stored others.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn postpone(&self, claim: &Claim, error: MemoryBankError) -> Result<Attempted, StorageError> {
        let (request, lease) = (claim.write.request_id, claim.lease.id);
        let mut set_aside = false;
        if error.may_be_the_request() {
            let failures = self.queue.note_failure(request, lease, self.clock.now()).await?;
            if failures.outvoted >= self.policy.max_outvoted {
                let (times, reason) = (failures.total, reason_of(&error));
                let reason = format!("the memory bank failed at it {times} times while it stored others: {reason}");
                return self.refuse(claim, reason).await;
            }
            set_aside = failures.total >= self.policy.set_aside_after;
        }
        let asked_for = match &error {
            MemoryBankError::Unavailable { retry_after, .. } => *retry_after,
            _ => Some(self.policy.longest_backoff),
        };
        let until = self.clock.now().plus(self.policy.wait_after(claim.attempt, asked_for, &*self.entropy));
        self.queue.reschedule(request, lease, until, &reason_of(&error), set_aside).await?;
        Ok(Attempted::Postponed { until, error, set_aside })
    }

    /// Releases a claim at once, for the next free slot.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn release(&self, claim: &Claim) -> Result<(), StorageError> {
        let now = self.clock.now();
        self.queue.reschedule(claim.write.request_id, claim.lease.id, now, "no delivery slot was free", false).await
    }

    /// Whether a write waits for its next attempt.
    #[must_use]
    pub fn is_postponed(&self, tracked: &TrackedWrite) -> bool {
        tracked.next_attempt_at > self.clock.now()
    }

    /// The state of a write; pending if it cannot be determined.
    pub async fn state(&self, write: &QueuedWrite) -> WriteState {
        match self.queue.find(write.application_id, write.request_id).await {
            Ok(Some(tracked)) => tracked.state,
            Ok(None) | Err(_) => WriteState::Pending,
        }
    }
}

/// An error and its causes on one line, for operators. No error of a bank contains content or credentials.
fn reason_of(error: &MemoryBankError) -> String {
    ErrorChain(error).to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect()
}

/// The port to the delivery worker, which delivers during requests and continues after they have ended.
#[async_trait]
pub trait DeliveryWorker: Send + Sync {
    /// Handles an accepted write: starts at once with `claim` if there is one, or soon. Waits for the outcome, but only as long
    /// as a caller should wait and the outcome can be expected; after that it returns [`WriteState::Pending`].
    async fn deliver(&self, write: &QueuedWrite, claim: Option<Claim>) -> WriteState;
}
