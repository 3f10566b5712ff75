//! Managing undelivered writes.

use std::collections::HashSet;
use std::sync::Arc;

use super::queue::{TrackedWrite, Undelivered, WriteQueue};
use crate::audit::{AuditEvent, AuditKind, AuditLog};
use crate::ids::RequestId;
use crate::system::{Clock, StorageError};

/// Number of dead letters read at a time.
const DEAD_LETTERS: u32 = 1_000;

/// Retries and drops undelivered writes in any state. Each time it leaves an audit event.
#[derive(Clone)]
pub struct QueueOperations {
    queue: Arc<dyn WriteQueue>,
    audit: Arc<dyn AuditLog>,
    clock: Arc<dyn Clock>,
}

/// The outcome of dropping a write.
#[derive(Clone, Debug, PartialEq)]
pub enum Dropped {
    /// The write was dropped. If it was sent before without a confirmation, the bank may have stored it nevertheless.
    Dropped(Box<TrackedWrite>),
    /// It is being delivered right now, so nothing was dropped: the attempt may succeed.
    BeingDelivered,
    /// This request has no undelivered write.
    NotFound,
}

impl QueueOperations {
    /// Assembles it.
    #[must_use]
    pub fn new(queue: Arc<dyn WriteQueue>, audit: Arc<dyn AuditLog>, clock: Arc<dyn Clock>) -> Self {
        Self { queue, audit, clock }
    }

    /// Retries a dead letter, or a waiting write at once. Returns whether it existed.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn retry(&self, request: RequestId) -> Result<bool, StorageError> {
        let Some(found) = self.queue.find_undelivered(request).await? else { return Ok(false) };
        let is_retried = self.queue.retry(request, self.clock.now()).await?;
        if is_retried {
            self.record(AuditKind::QueuedWriteRetried, &found).await;
        }
        Ok(is_retried)
    }

    /// Retries all dead letters, each once: one that the bank refuses again meanwhile stays a dead letter. Returns which.
    ///
    /// # Errors
    /// [`StorageError`]; some may be retried.
    pub async fn retry_all(&self) -> Result<Vec<RequestId>, StorageError> {
        let (mut seen, mut retried) = (HashSet::new(), Vec::new());
        loop {
            let before = retried.len();
            for dead in self.queue.list(Undelivered::Failed, DEAD_LETTERS).await? {
                let id = dead.write.request_id;
                if seen.insert(id) && self.retry(id).await? {
                    retried.push(id);
                }
            }
            if retried.len() == before {
                return Ok(retried);
            }
        }
    }

    /// Deletes a dead letter or a waiting write permanently.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn drop(&self, request: RequestId) -> Result<Dropped, StorageError> {
        let Some(found) = self.queue.find_undelivered(request).await? else { return Ok(Dropped::NotFound) };
        if self.queue.remove(&found, self.clock.now()).await? {
            self.record(AuditKind::QueuedWriteDropped, &found).await;
            return Ok(Dropped::Dropped(Box::new(found)));
        }
        let is_there = self.queue.find_undelivered(request).await?.is_some();
        Ok(if is_there { Dropped::BeingDelivered } else { Dropped::NotFound })
    }

    async fn record(&self, kind: AuditKind, found: &TrackedWrite) {
        let write = &found.write;
        let mut event =
            AuditEvent::new(kind, self.clock.now()).application(write.application_id).request(write.request_id);
        event.person_id = write.scope.person();
        self.audit.record(&event).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use async_trait::async_trait;

    use super::*;
    use crate::ids::UserId;
    use crate::memories::{Acceptance, DeliveryOrder, Dispatch, Lease, QueuedWrite, WriteState};
    use crate::system::Timestamp;
    use crate::testing::{FixedClock, InMemoryAuditLog, InMemoryWriteQueue, now, queued_write, unique};

    struct OperatedQueue {
        queue: Arc<InMemoryWriteQueue>,
        audit: Arc<InMemoryAuditLog>,
        operations: QueueOperations,
        lease: Lease,
    }

    impl OperatedQueue {
        fn new() -> Self {
            let (queue, audit) = (Arc::new(InMemoryWriteQueue::default()), Arc::new(InMemoryAuditLog::default()));
            let operations = QueueOperations::new(queue.clone(), audit.clone(), Arc::new(FixedClock::default()));
            let lease = Lease { id: unique(), until: now().plus(Duration::from_mins(1)) };
            Self { queue, audit, operations, lease }
        }

        async fn delivering(&self) -> QueuedWrite {
            let write = queued_write();
            let accepted = self.queue.accept(&write, DeliveryOrder::Fifo { capacity: 10 }, self.lease).await.unwrap();
            assert_eq!(accepted, Acceptance::Accepted(Dispatch::Claimed));
            write
        }

        async fn waiting(&self) -> QueuedWrite {
            let write = self.delivering().await;
            let later = now().plus(Duration::from_hours(1));
            self.queue.reschedule(write.request_id, self.lease.id, later, "away", false).await.unwrap();
            write
        }

        async fn kinds(&self) -> Vec<AuditKind> {
            self.audit.recent(10).await.unwrap().iter().map(|event| event.kind).collect()
        }
    }

    #[tokio::test]
    async fn what_waits_and_what_was_refused_is_dropped_and_that_is_audited() {
        let operated = OperatedQueue::new();
        let (waiting, dead) = (operated.waiting().await, operated.waiting().await);
        operated.queue.mark_failed(dead.request_id, "no", now()).await.unwrap();
        for write in [&waiting, &dead] {
            let dropped = operated.operations.drop(write.request_id).await.unwrap();
            let Dropped::Dropped(tracked) = dropped else { panic!("{dropped:?}") };
            assert_eq!((tracked.attempts, tracked.may_have_arrived()), (1, write == &waiting));
            assert_eq!(operated.operations.drop(write.request_id).await.unwrap(), Dropped::NotFound);
        }
        assert_eq!(operated.queue.writes(), []);
        let events = operated.audit.recent(10).await.unwrap();
        assert_eq!(operated.kinds().await, [AuditKind::QueuedWriteDropped; 2]);
        assert_eq!(events[1].application_id, Some(waiting.application_id));
        assert_eq!(events[1].request_id, Some(waiting.request_id));
    }

    #[tokio::test]
    async fn what_is_being_delivered_or_was_is_not_dropped() {
        let operated = OperatedQueue::new();
        let write = operated.delivering().await;
        assert_eq!(operated.operations.drop(write.request_id).await.unwrap(), Dropped::BeingDelivered);
        let memory = write.memory.clone().into_memory();
        assert!(operated.queue.mark_stored(write.request_id, &memory, now(), now()).await.unwrap());
        assert_eq!(operated.operations.drop(write.request_id).await.unwrap(), Dropped::NotFound);
        assert!(!operated.operations.retry(write.request_id).await.unwrap());
        assert_eq!(operated.kinds().await, []);
    }

    #[tokio::test]
    async fn what_waits_and_what_was_refused_is_sent_again_at_once() {
        let operated = OperatedQueue::new();
        let (waiting, dead) = (operated.waiting().await, operated.waiting().await);
        operated.queue.mark_failed(dead.request_id, "no", now()).await.unwrap();
        for write in [&waiting, &dead] {
            assert!(operated.operations.retry(write.request_id).await.unwrap());
            let found = operated.queue.find_undelivered(write.request_id).await.unwrap().unwrap();
            assert_eq!((found.state, found.next_attempt_at), (WriteState::Pending, now()));
        }
        assert_eq!(operated.kinds().await, [AuditKind::QueuedWriteRetried; 2]);
    }

    /// An audit log beside a bank that refuses again at once what is retried.
    struct RefusedAgain {
        queue: Arc<InMemoryWriteQueue>,
        inner: InMemoryAuditLog,
    }

    #[async_trait]
    impl AuditLog for RefusedAgain {
        async fn record(&self, event: &AuditEvent) {
            self.queue.mark_failed(event.request_id.unwrap(), "no", now()).await.unwrap();
            self.inner.record(event).await;
        }

        async fn recent(&self, limit: u32) -> Result<Vec<AuditEvent>, StorageError> {
            self.inner.recent(limit).await
        }

        async fn recent_of_person(
            &self,
            person: UserId,
            skip: u32,
            limit: u32,
        ) -> Result<Vec<AuditEvent>, StorageError> {
            self.inner.recent_of_person(person, skip, limit).await
        }

        async fn sweep(&self, before: Timestamp, limit: u32) -> Result<u64, StorageError> {
            self.inner.sweep(before, limit).await
        }
    }

    #[tokio::test]
    async fn all_dead_letters_are_sent_again_and_none_twice() {
        let mut operated = OperatedQueue::new();
        let (waiting, first, second) = (operated.waiting().await, operated.waiting().await, operated.waiting().await);
        for dead in [&first, &second] {
            operated.queue.mark_failed(dead.request_id, "no", now()).await.unwrap();
        }
        let audit = Arc::new(RefusedAgain { queue: operated.queue.clone(), inner: InMemoryAuditLog::default() });
        operated.operations.audit = audit.clone();
        assert_eq!(operated.operations.retry_all().await.unwrap(), [first.request_id, second.request_id]);
        assert_eq!(audit.inner.kinds(), [AuditKind::QueuedWriteRetried; 2]);
        let waits = operated.queue.find_undelivered(waiting.request_id).await.unwrap().unwrap();
        assert_ne!(waits.next_attempt_at, now(), "what waits is no dead letter");
    }
}
