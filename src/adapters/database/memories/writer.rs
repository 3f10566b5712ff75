//! Group commit for memories: operations of many callers in one transaction.
//!
//! A commit waits for the disk, and costs about the same for one memory as for many. So callers hand their operations to a
//! task that applies all waiting ones together, while the next ones accumulate. A lone caller does not wait.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use sea_orm::{ConnectionTrait as _, DbBackend};
use tokio::sync::{mpsc, oneshot};

use super::changes::{WriteOp, WriteOutcome, apply_batch};
use super::failure::MemoryStoreError;
use crate::adapters::database::connections::ConnectionPool;

/// Maximum number of operations per transaction. On SQLite all other writers wait for it, including those of tokens.
const MAX_BATCH: usize = 64;
/// Maximum number of waiting operations per task; further callers wait for a free place.
const MAX_WAITING: usize = 4 * MAX_BATCH;
/// Number of tasks that write to PostgreSQL. A scope always has the same one, so that its writers do not wait in the database.
const POSTGRES_LANES: u64 = 4;

pub(super) type OpResult = Result<WriteOutcome, MemoryStoreError>;

struct QueuedOp {
    op: WriteOp,
    answer: oneshot::Sender<OpResult>,
}

/// Hands operations to the tasks, which end with it.
#[derive(Debug)]
pub(super) struct Writer {
    lanes: Vec<mpsc::Sender<QueuedOp>>,
}

impl Writer {
    /// Starts the tasks, on the runtime of the caller.
    pub(super) fn start(connection: &ConnectionPool) -> Self {
        let count = match connection.get_database_backend() {
            DbBackend::Postgres => POSTGRES_LANES,
            _ => 1,
        };
        let start_lane = |_| {
            let (lane, waiting) = mpsc::channel(MAX_WAITING);
            tokio::spawn(serve(connection.clone(), waiting));
            lane
        };
        Self { lanes: (0..count).map(start_lane).collect() }
    }

    /// Submits an operation and waits for its outcome. It is durable when this returns. If the caller is cancelled before its
    /// transaction has begun, the operation is skipped.
    pub(super) async fn submit(&self, op: WriteOp) -> OpResult {
        self.enqueue(op).await?.await.map_err(|_| MemoryStoreError::WriterEnded)?
    }

    /// Submits many operations, in as few commits as possible.
    pub(super) async fn submit_all(&self, ops: Vec<WriteOp>) -> Result<Vec<WriteOutcome>, MemoryStoreError> {
        self.submit_each(ops).await?.into_iter().collect()
    }

    /// The same, with the result of each.
    pub(super) async fn submit_each(&self, ops: Vec<WriteOp>) -> Result<Vec<OpResult>, MemoryStoreError> {
        let mut waiting = Vec::with_capacity(ops.len());
        for op in ops {
            waiting.push(self.enqueue(op).await?);
        }
        let mut answers = Vec::with_capacity(waiting.len());
        for answered in waiting {
            answers.push(answered.await.map_err(|_| MemoryStoreError::WriterEnded)?);
        }
        Ok(answers)
    }

    async fn enqueue(&self, op: WriteOp) -> Result<oneshot::Receiver<OpResult>, MemoryStoreError> {
        let mut hasher = DefaultHasher::new();
        op.tenant.hash(&mut hasher);
        let lanes = self.lanes.len() as u64;
        let lane = usize::try_from(hasher.finish() % lanes).unwrap_or(0);
        let (answer, answered) = oneshot::channel();
        self.lanes[lane].send(QueuedOp { op, answer }).await.map_err(|_| MemoryStoreError::WriterEnded)?;
        Ok(answered)
    }
}

async fn serve(connection: ConnectionPool, mut waiting: mpsc::Receiver<QueuedOp>) {
    let mut gathered = Vec::with_capacity(MAX_BATCH);
    while waiting.recv_many(&mut gathered, MAX_BATCH).await > 0 {
        let (ops, callers): (Vec<_>, Vec<_>) = gathered
            .drain(..)
            .filter(|caller| !caller.answer.is_closed())
            .map(|caller| (caller.op, caller.answer))
            .unzip();
        // In a task of its own, so that a panic costs one batch its results, and not every later caller.
        let connection = connection.clone();
        let answers = tokio::spawn(async move { apply_each(&connection, ops).await }).await;
        for (caller, answer) in callers.into_iter().zip(answers.unwrap_or_default()) {
            // The caller may have been cancelled.
            caller.send(answer).ok();
        }
    }
}

async fn apply_each(connection: &ConnectionPool, ops: Vec<WriteOp>) -> Vec<OpResult> {
    match apply_batch(connection, &ops).await {
        Ok(answers) => answers,
        // One that the database rejects must not fail the others.
        Err(failure) if failure.is_refused_value() && ops.len() > 1 => {
            let mut answers = Vec::with_capacity(ops.len());
            for op in &ops {
                let alone = apply_batch(connection, std::slice::from_ref(op)).await;
                answers.push(alone.and_then(|mut answers| answers.pop().unwrap_or(Err(MemoryStoreError::WriterEnded))));
            }
            answers
        }
        Err(failure) => vec![Err(failure); ops.len()],
    }
}
