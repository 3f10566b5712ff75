//! Many callers, one commit.
//!
//! A commit waits for the disk, and costs the same for one row as for a hundred. So callers hand their wish to one task,
//! which takes all that are waiting and does them together. While it does, the next ones gather. A lone caller waits for
//! nobody: its batch has one wish.

use std::sync::Arc;

use crate::domain::system::StorageError;
use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use super::error::SharedError;

/// The most wishes of one batch. More would make each caller wait longer than the shared commit saves.
pub(super) const MAX_BATCH: usize = 256;
/// How many wishes may wait; further callers wait for a place.
const MAX_WAITING: usize = 4 * MAX_BATCH;

/// What is done for a batch.
#[async_trait]
pub(super) trait Batch: Send + Sync + 'static {
    /// What a caller wants.
    type Wish: Send + 'static;
    /// What it gets.
    type Answer: Send + 'static;

    /// Does 1 to [`MAX_BATCH`] wishes, in one commit. Returns an answer for each, in their order.
    async fn run(&self, wishes: &[Self::Wish]) -> Result<Vec<Self::Answer>, StorageError>;
}

struct Waiting<B: Batch> {
    wish: B::Wish,
    answer: oneshot::Sender<Result<B::Answer, SharedError>>,
}

/// Gathers wishes into batches. Clones share the task, which ends with the last of them.
pub(super) struct GroupCommit<B: Batch> {
    queue: mpsc::Sender<Waiting<B>>,
}

impl<B: Batch> Clone for GroupCommit<B> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone() }
    }
}

impl<B: Batch> GroupCommit<B> {
    /// Starts the task, on the runtime of the caller.
    pub(super) fn start(batch: B) -> Self {
        let (queue, waiting) = mpsc::channel(MAX_WAITING);
        tokio::spawn(serve(Arc::new(batch), waiting));
        Self { queue }
    }

    /// Has a wish done. A caller that goes away before its batch has begun has not asked; one that goes away later does no
    /// harm to the others.
    pub(super) async fn submit(&self, wish: B::Wish) -> Result<B::Answer, StorageError> {
        let (answer, answered) = oneshot::channel();
        let ended = || StorageError::Unavailable("the task that writes to the database has ended".into());
        self.queue.send(Waiting { wish, answer }).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?.map_err(|error| error.to_storage_error())
    }
}

async fn serve<B: Batch>(batch: Arc<B>, mut waiting: mpsc::Receiver<Waiting<B>>) {
    let mut gathered = Vec::with_capacity(MAX_BATCH);
    while waiting.recv_many(&mut gathered, MAX_BATCH).await > 0 {
        let (wishes, answers): (Vec<_>, Vec<_>) = gathered
            .drain(..)
            .filter(|caller| !caller.answer.is_closed())
            .map(|caller| (caller.wish, caller.answer))
            .unzip();
        if wishes.is_empty() {
            continue;
        }
        // In a task of its own, so that a bug that panics costs one batch its answers, and not every later caller.
        let batch = Arc::clone(&batch);
        let done = tokio::spawn(async move { batch.run(&wishes).await }).await;
        let done = done.unwrap_or_else(|error| Err(StorageError::Unavailable(error.into())));
        match done {
            Ok(results) => {
                for (answer, result) in answers.into_iter().zip(results) {
                    // Who does not wait any more does not want to know.
                    answer.send(Ok(result)).ok();
                }
            }
            Err(error) => {
                let error = SharedError::new(error);
                for answer in answers {
                    answer.send(Err(error.clone())).ok();
                }
            }
        }
    }
}
