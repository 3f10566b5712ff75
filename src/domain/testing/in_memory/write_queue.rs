//! Accepted writes in memory.

use std::sync::Mutex;

use async_trait::async_trait;

use super::{Outage, at_most, lock};
use crate::ids::RequestId;
use crate::memories::{Acceptance, Memory, MemoryScope, QueuedWrite, WriteQueue, WriteState};
use crate::system::{StorageError, Timestamp};

/// Keeps accepted writes in memory.
#[derive(Debug, Default)]
pub struct InMemoryWriteQueue {
    writes: Mutex<Vec<(QueuedWrite, WriteState)>>,
    outage: Outage,
}

impl InMemoryWriteQueue {
    /// Every write that is remembered, oldest first, and how far it has come.
    #[must_use]
    pub fn writes(&self) -> Vec<(QueuedWrite, WriteState)> {
        lock(&self.writes).clone()
    }

    /// The switch that makes it fail.
    #[must_use]
    pub fn outage(&self) -> Outage {
        self.outage.clone()
    }

    fn set_state(&self, request: RequestId, new: &WriteState) {
        for (_, state) in lock(&self.writes).iter_mut().filter(|(write, _)| write.request_id == request) {
            *state = new.clone();
        }
    }
}

fn is_same_write(one: &QueuedWrite, other: &QueuedWrite) -> bool {
    one.idempotency_key.is_some()
        && one.idempotency_key == other.idempotency_key
        && one.application_id == other.application_id
        && one.scope.tenant() == other.scope.tenant()
}

#[async_trait]
impl WriteQueue for InMemoryWriteQueue {
    async fn accept(&self, write: &QueuedWrite) -> Result<Acceptance, StorageError> {
        self.outage.check()?;
        let mut writes = lock(&self.writes);
        if let Some((known, state)) = writes.iter().find(|(known, _)| is_same_write(known, write)) {
            return Ok(Acceptance::Known { write: Box::new(known.clone()), state: state.clone() });
        }
        let mut write = write.clone();
        write.scope = MemoryScope::from_stored(write.scope.space().clone(), write.scope.person());
        writes.push((write, WriteState::Pending));
        Ok(Acceptance::Accepted)
    }

    async fn mark_stored(&self, request: RequestId, memory: &Memory) -> Result<(), StorageError> {
        self.outage.check()?;
        self.set_state(request, &WriteState::Stored(Box::new(memory.clone())));
        Ok(())
    }

    async fn mark_failed(&self, request: RequestId, reason: &str) -> Result<(), StorageError> {
        self.outage.check()?;
        self.set_state(request, &WriteState::Failed(reason.to_owned()));
        Ok(())
    }

    async fn sweep(&self, now: Timestamp, limit: u32) -> Result<u64, StorageError> {
        self.outage.check()?;
        let mut swept = 0;
        lock(&self.writes).retain(|(write, state)| {
            let is_over = *state != WriteState::Pending && write.keep_until < now && swept < at_most(limit);
            swept += usize::from(is_over);
            !is_over
        });
        Ok(u64::try_from(swept).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::testing::conformance::Fixture;

    fn in_memory() -> Fixture<dyn WriteQueue> {
        Fixture::new(Arc::new(InMemoryWriteQueue::default()))
    }

    crate::conformance!(write_queue, in_memory());
}
