//! Group commit for memories: operations of many callers in one transaction.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use async_trait::async_trait;
use futures_util::future::try_join_all;
use sea_orm::{ConnectionTrait as _, DbBackend};

use super::changes::apply_batch;
use super::failure::MemoryStoreError;
use super::operations::{WriteOp, WriteOutcome};
use crate::adapters::database::batch::{BatchExecutor, GroupCommit, MAX_BATCH};
use crate::adapters::database::connections::ConnectionPool;
use crate::domain::system::StorageError;

/// Number of tasks that write to PostgreSQL. A scope always has the same one, so that its writers do not wait in the database.
const POSTGRES_LANES: u64 = 4;

pub(super) type OpResult = Result<WriteOutcome, MemoryStoreError>;

/// Hands operations to the tasks, which end with it.
#[derive(Debug)]
pub(super) struct Writer {
    lanes: Vec<GroupCommit<Batches>>,
}

impl Writer {
    /// Starts the tasks, on the runtime of the caller.
    pub(super) fn start(connection: &ConnectionPool) -> Self {
        let count = match connection.get_database_backend() {
            DbBackend::Postgres => POSTGRES_LANES,
            _ => 1,
        };
        Self { lanes: (0..count).map(|_| GroupCommit::start(Batches(connection.clone()))).collect() }
    }

    /// Submits an operation and waits for its outcome. It is durable when this returns. If the caller is cancelled before its
    /// transaction has begun, the operation is skipped.
    pub(super) async fn submit(&self, op: WriteOp) -> OpResult {
        self.lanes[self.lane_of(&op.tenant)].submit(op).await.map_err(|_| MemoryStoreError::WriterEnded)?
    }

    /// Submits many operations, in commits of at most [`MAX_BATCH`]. Returns the result of each, in order.
    pub(super) async fn submit_all(&self, ops: Vec<WriteOp>) -> Result<Vec<OpResult>, MemoryStoreError> {
        self.submit_parts(ops, MAX_BATCH).await
    }

    /// The same, in as few commits as possible.
    pub(super) async fn submit_at_once(&self, ops: Vec<WriteOp>) -> Result<Vec<OpResult>, MemoryStoreError> {
        self.submit_parts(ops, usize::MAX).await
    }

    async fn submit_parts(&self, ops: Vec<WriteOp>, size: usize) -> Result<Vec<OpResult>, MemoryStoreError> {
        let mut by_lane: Vec<(Vec<usize>, Vec<WriteOp>)> = self.lanes.iter().map(|_| Default::default()).collect();
        for (place, op) in ops.into_iter().enumerate() {
            let (places, ops) = &mut by_lane[self.lane_of(&op.tenant)];
            places.push(place);
            ops.push(op);
        }
        let submitted = self.lanes.iter().zip(by_lane).map(async |(lane, (places, ops))| {
            let (mut ops, mut results) = (ops.into_iter(), Vec::with_capacity(places.len()));
            loop {
                let part: Vec<WriteOp> = ops.by_ref().take(size).collect();
                if part.is_empty() {
                    return Ok::<_, MemoryStoreError>(places.into_iter().zip(results));
                }
                results.extend(lane.submit_all(part).await.map_err(|_| MemoryStoreError::WriterEnded)?);
            }
        });
        let mut results: Vec<(usize, OpResult)> = try_join_all(submitted).await?.into_iter().flatten().collect();
        results.sort_unstable_by_key(|(place, _)| *place);
        Ok(results.into_iter().map(|(_, result)| result).collect())
    }

    fn lane_of(&self, tenant: &str) -> usize {
        let mut hasher = DefaultHasher::new();
        tenant.hash(&mut hasher);
        usize::try_from(hasher.finish() % self.lanes.len() as u64).unwrap_or(0)
    }
}

/// Applies batches, each in one transaction.
#[derive(Debug)]
struct Batches(ConnectionPool);

#[async_trait]
impl BatchExecutor for Batches {
    type Op = WriteOp;
    type Output = OpResult;

    async fn run(&self, ops: &[WriteOp]) -> Result<Vec<OpResult>, StorageError> {
        // The parts that are left to apply, the next one last.
        let (mut parts, mut results) = (vec![ops], Vec::with_capacity(ops.len()));
        while let Some(part) = parts.pop() {
            match apply_batch(&self.0, part).await {
                Ok(outcomes) => results.extend(outcomes),
                // One that the database rejects must not fail the others.
                Err(failure) if failure.is_refused_value() && part.len() > 1 => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
                Err(failure) => results.extend(part.iter().map(|_| Err(failure.clone()))),
            }
        }
        Ok(results)
    }
}
