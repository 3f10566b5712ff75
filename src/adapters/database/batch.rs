//! Group commit: operations of many callers in one transaction.
//!
//! A commit waits for the disk, and costs the same for one row as for a hundred. So callers hand their operation to one task,
//! which executes all waiting operations as one batch. Meanwhile the next ones accumulate. A lone caller does not wait: its
//! batch has one operation.

use std::sync::Arc;

use crate::domain::system::StorageError;
use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use crate::domain::system::SharedStorageError;

/// Maximum number of operations of several callers per batch. More would delay each by more than the shared commit saves.
pub(super) const MAX_BATCH: usize = 256;
/// Maximum number of waiting operations; further callers wait for a free place.
const MAX_WAITING: usize = 4 * MAX_BATCH;

/// Executes batches.
#[async_trait]
pub(super) trait BatchExecutor: Send + Sync + 'static {
    /// One caller's operation.
    type Op: Send + 'static;
    /// Its result.
    type Output: Send + 'static;

    /// Executes operations, of which there is at least one, in one commit. Returns a result for each, in order.
    async fn run(&self, ops: &[Self::Op]) -> Result<Vec<Self::Output>, StorageError>;
}

/// What a caller has submitted.
struct Pending<B: BatchExecutor> {
    ops: Vec<B::Op>,
    answer: oneshot::Sender<Result<Vec<B::Output>, SharedStorageError>>,
}

/// Collects operations into batches. Clones share the task, which ends with the last of them.
#[derive(Debug)]
pub(super) struct GroupCommit<B: BatchExecutor> {
    queue: mpsc::Sender<Pending<B>>,
}

impl<B: BatchExecutor> Clone for GroupCommit<B> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone() }
    }
}

impl<B: BatchExecutor> GroupCommit<B> {
    /// Starts the task on the current runtime.
    pub(super) fn start(batch: B) -> Self {
        let (queue, waiting) = mpsc::channel(MAX_WAITING);
        tokio::spawn(serve(Arc::new(batch), waiting));
        Self { queue }
    }

    /// Submits an operation and waits for its result. If the caller is cancelled before its batch has begun, the operation is
    /// skipped; later, it makes no difference to the others.
    pub(super) async fn submit(&self, op: B::Op) -> Result<B::Output, StorageError> {
        self.submit_all(vec![op]).await?.pop().ok_or_else(ended)
    }

    /// Submits several operations for one commit, and waits for their results, in order. More than [`MAX_BATCH`] have it for
    /// themselves.
    pub(super) async fn submit_all(&self, ops: Vec<B::Op>) -> Result<Vec<B::Output>, StorageError> {
        let (answer, answered) = oneshot::channel();
        self.queue.send(Pending { ops, answer }).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?.map_err(|error| error.to_storage_error())
    }
}

fn ended() -> StorageError {
    StorageError::Unavailable("the task that writes to the database has ended".into())
}

async fn serve<B: BatchExecutor>(batch: Arc<B>, mut waiting: mpsc::Receiver<Pending<B>>) {
    // What did not fit into the previous batch.
    let mut left: Option<Pending<B>> = None;
    loop {
        let first = match left.take() {
            Some(first) => first,
            None => match waiting.recv().await {
                Some(first) => first,
                None => return,
            },
        };
        // Callers that were just answered are awake and may submit again. Yielding lets them join this batch, at the cost of
        // microseconds, rather than wait for the next.
        tokio::task::yield_now().await;
        let (mut ops, mut callers) = (Vec::new(), Vec::new());
        let mut next = Some(first);
        while let Some(pending) = next.take() {
            if ops.len() + pending.ops.len() > MAX_BATCH && !ops.is_empty() {
                left = Some(pending);
                break;
            }
            if !pending.answer.is_closed() {
                callers.push((pending.ops.len(), pending.answer));
                ops.extend(pending.ops);
            }
            next = waiting.try_recv().ok();
        }
        if ops.is_empty() {
            continue;
        }
        // In a task of its own, so that a panic costs one batch its results, and not every later caller.
        let batch = Arc::clone(&batch);
        let done = tokio::spawn(async move { batch.run(&ops).await }).await;
        let done = done.unwrap_or_else(|error| Err(StorageError::Unavailable(error.into())));
        match done {
            Ok(results) => {
                let mut results = results.into_iter();
                for (count, answer) in callers {
                    // The caller may have been cancelled.
                    answer.send(Ok(results.by_ref().take(count).collect())).ok();
                }
            }
            Err(error) => {
                let error = SharedStorageError::new(error);
                for (_, answer) in callers {
                    answer.send(Err(error.clone())).ok();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::sync::Semaphore;

    use super::*;

    /// Doubles a number, records each batch, and starts none without a permit.
    #[derive(Clone)]
    struct Doubling {
        permits: Arc<Semaphore>,
        batches: Arc<Mutex<Vec<Vec<u32>>>>,
    }

    impl Doubling {
        fn with_permits(permits: usize) -> Self {
            Self { permits: Arc::new(Semaphore::new(permits)), batches: Arc::default() }
        }

        fn batches(&self) -> Vec<Vec<u32>> {
            self.batches.lock().unwrap().clone()
        }
    }

    #[async_trait]
    impl BatchExecutor for Doubling {
        type Op = u32;
        type Output = u32;

        async fn run(&self, ops: &[u32]) -> Result<Vec<u32>, StorageError> {
            self.batches.lock().unwrap().push(ops.to_vec());
            self.permits.acquire().await.unwrap().forget();
            assert!(!ops.contains(&13), "an unlucky number, for this test");
            if ops.contains(&404) {
                return Err(StorageError::Unavailable("unavailable, for this test".into()));
            }
            Ok(ops.iter().map(|op| op * 2).collect())
        }
    }

    /// Submits each number in its own task, in order, and lets them all reach the queue.
    async fn submit_all(
        group: &GroupCommit<Doubling>,
        ops: impl IntoIterator<Item = u32>,
    ) -> Vec<tokio::task::JoinHandle<Result<u32, StorageError>>> {
        let mut callers = Vec::new();
        for op in ops {
            let group = group.clone();
            callers.push(tokio::spawn(async move { group.submit(op).await }));
            tokio::task::yield_now().await;
        }
        tokio::task::yield_now().await;
        callers
    }

    #[tokio::test]
    async fn a_lone_caller_waits_for_nobody() {
        let doubling = Doubling::with_permits(1);
        let group = GroupCommit::start(doubling.clone());
        assert_eq!(group.submit(21).await.unwrap(), 42);
        assert_eq!(doubling.batches(), [[21]]);
    }

    #[tokio::test]
    async fn callers_that_come_while_a_batch_is_under_way_are_the_next_one() {
        let doubling = Doubling::with_permits(0);
        let group = GroupCommit::start(doubling.clone());
        let callers = submit_all(&group, 0..5).await;
        doubling.permits.add_permits(2);
        for (op, caller) in (0..).zip(callers) {
            assert_eq!(caller.await.unwrap().unwrap(), op * 2);
        }
        assert_eq!(doubling.batches(), [vec![0], vec![1, 2, 3, 4]]);
    }

    #[tokio::test]
    async fn no_batch_is_larger_than_it_may_be() {
        let doubling = Doubling::with_permits(0);
        let group = GroupCommit::start(doubling.clone());
        let callers = submit_all(&group, 1000..1600).await;
        doubling.permits.add_permits(100);
        for caller in callers {
            caller.await.unwrap().unwrap();
        }
        let sizes: Vec<usize> = doubling.batches().iter().map(Vec::len).collect();
        assert_eq!(sizes, [1, MAX_BATCH, MAX_BATCH, 600 - 1 - 2 * MAX_BATCH]);
    }

    #[tokio::test]
    async fn what_one_caller_submits_together_is_one_batch_and_answered_in_order() {
        let doubling = Doubling::with_permits(0);
        let group = GroupCommit::start(doubling.clone());
        let mut callers = submit_all(&group, [1]).await;
        let many = group.clone();
        let many = tokio::spawn(async move { many.submit_all((100..355).collect()).await });
        tokio::task::yield_now().await;
        callers.extend(submit_all(&group, [2, 3]).await);
        doubling.permits.add_permits(3);
        assert_eq!(many.await.unwrap().unwrap(), (100..355).map(|op| op * 2).collect::<Vec<_>>());
        let answers: Vec<u32> = answers_of(callers).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(answers, [2, 4, 6]);
        let sizes: Vec<usize> = doubling.batches().iter().map(Vec::len).collect();
        assert_eq!(sizes, [1, MAX_BATCH, 1]);
    }

    #[tokio::test]
    async fn who_went_away_before_the_batch_has_not_asked_and_who_goes_away_later_harms_nobody() {
        let doubling = Doubling::with_permits(0);
        let group = GroupCommit::start(doubling.clone());
        let callers = submit_all(&group, 0..4).await;
        callers[0].abort();
        callers[2].abort();
        tokio::task::yield_now().await;
        doubling.permits.add_permits(2);
        for (op, caller) in (0..).zip(callers) {
            match caller.await {
                Ok(answer) => assert_eq!(answer.unwrap(), op * 2),
                Err(error) => assert!(error.is_cancelled() && op % 2 == 0),
            }
        }
        assert_eq!(doubling.batches(), [vec![0], vec![1, 3]]);
    }

    #[tokio::test]
    async fn a_failure_is_everybodys_in_the_batch_and_nobodys_after_it() {
        let doubling = Doubling::with_permits(0);
        let group = GroupCommit::start(doubling.clone());
        let callers = submit_all(&group, [1, 2, 404]).await;
        doubling.permits.add_permits(3);
        let answers = answers_of(callers).await;
        assert_eq!(*answers[0].as_ref().unwrap(), 2);
        for answer in &answers[1..] {
            let Err(StorageError::Unavailable(reason)) = answer else { panic!("{answer:?}") };
            assert_eq!(reason.to_string(), "unavailable, for this test");
        }
        assert_eq!(group.submit(3).await.unwrap(), 6);
    }

    #[tokio::test]
    async fn a_batch_that_panics_costs_nobody_else_an_answer() {
        let doubling = Doubling::with_permits(0);
        let group = GroupCommit::start(doubling.clone());
        let callers = submit_all(&group, [1, 13, 2]).await;
        doubling.permits.add_permits(3);
        let answers = answers_of(callers).await;
        assert_eq!(*answers[0].as_ref().unwrap(), 2);
        assert!(answers[1..].iter().all(|answer| matches!(answer, Err(StorageError::Unavailable(_)))));
        assert_eq!(group.submit(3).await.unwrap(), 6);
    }

    async fn answers_of(
        callers: Vec<tokio::task::JoinHandle<Result<u32, StorageError>>>,
    ) -> Vec<Result<u32, StorageError>> {
        let mut answers = Vec::new();
        for caller in callers {
            answers.push(caller.await.unwrap());
        }
        answers
    }
}
