//! The cache that says whether anything waits for the bank.

use std::sync::Arc;
use std::time::Duration;

use memgate::adapters::cache::CachedWriteQueue;
use memgate::domain::memories::{Acceptance, DeliveryOrder, Dispatch, Lease, MockWriteQueue, QueuedWrite, WriteQueue};
use memgate::domain::system::Clock as _;
use memgate_domain::testing::{FixedClock, InMemoryWriteQueue, SeededEntropy, database_unavailable, queued_write};

const IN_ORDER: DeliveryOrder = DeliveryOrder::Fifo { capacity: 100 };

fn cached(inner: impl WriteQueue + 'static) -> (FixedClock, CachedWriteQueue) {
    let clock = FixedClock::default();
    let queue = CachedWriteQueue::new(Arc::new(inner), Arc::new(clock.clone()));
    (clock, queue)
}

fn lease(clock: &FixedClock) -> Lease {
    Lease::new(&SeededEntropy::new(7), clock.now(), Duration::from_mins(1))
}

async fn waiting(queue: &CachedWriteQueue, write: &QueuedWrite) -> usize {
    queue.pending(&write.scope, 10).await.unwrap().len()
}

#[tokio::test]
async fn that_nothing_waits_is_cached_for_a_second() {
    let write = queued_write();
    let mut inner = MockWriteQueue::new();
    inner.expect_pending().times(2).returning(|_, _| Ok(Vec::new()));
    let (clock, queue) = cached(inner);
    for _ in 0..10 {
        assert_eq!(waiting(&queue, &write).await, 0);
    }
    clock.advance(Duration::from_millis(1_001));
    assert_eq!(waiting(&queue, &write).await, 0);
}

#[tokio::test]
async fn what_waits_is_never_cached() {
    let write = queued_write();
    let mut inner = MockWriteQueue::new();
    let found = write.clone();
    // Once to see whether there is anything, and each time for what it is.
    inner.expect_pending().times(1 + 3).returning(move |_, _| Ok(vec![found.clone()]));
    let (_, queue) = cached(inner);
    for _ in 0..3 {
        assert_eq!(waiting(&queue, &write).await, 1);
    }
}

#[tokio::test]
async fn what_is_accepted_or_sent_again_is_pending_at_once() {
    let (clock, queue) = cached(InMemoryWriteQueue::default());
    let write = queued_write();
    assert_eq!(waiting(&queue, &write).await, 0);
    let accepted = queue.accept(&write, IN_ORDER, lease(&clock)).await.unwrap();
    assert_eq!(accepted, Acceptance::Accepted(Dispatch::Claimed));
    assert_eq!(waiting(&queue, &write).await, 1);

    queue.mark_failed(write.request_id, "no", clock.now()).await.unwrap();
    assert_eq!(waiting(&queue, &write).await, 0);
    clock.advance(Duration::from_secs(2));
    assert_eq!(waiting(&queue, &write).await, 0);
    assert!(queue.retry(write.request_id, clock.now()).await.unwrap());
    assert_eq!(waiting(&queue, &write).await, 1);
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_no_empty_queue() {
    let mut inner = MockWriteQueue::new();
    inner.expect_pending().returning(|_, _| Err(database_unavailable()));
    let (_, queue) = cached(inner);
    assert!(queue.pending(&queued_write().scope, 10).await.is_err());
}
