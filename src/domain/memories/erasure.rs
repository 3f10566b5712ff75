//! Deleting everything that is remembered of a person.

use std::sync::Arc;

use super::bank::{MemoryBank, MemoryBankError};
use super::model::MemoryScope;
use super::query::Limit;
use super::queue::{Undelivered, WriteQueue};
use crate::applications::SpaceName;
use crate::ids::UserId;
use crate::system::StorageError;

/// How many dead letters are looked at.
const DEAD_LETTERS: u32 = 100_000;

/// Deletes memories of people, in the bank and on the way to it.
#[derive(Clone)]
pub struct Erasure {
    bank: Arc<dyn MemoryBank>,
    queue: Arc<dyn WriteQueue>,
}

/// Why not everything was deleted. The call can be repeated.
#[derive(Debug, thiserror::Error)]
pub enum ErasureError {
    /// Something is still on its way to the bank, and would arrive there afterwards.
    #[error("memories of this person still wait for the memory bank")]
    Pending,
    /// The bank failed, or cannot list what it has.
    #[error(transparent)]
    Bank(#[from] MemoryBankError),
    /// The queue failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Erasure {
    /// Puts it together.
    #[must_use]
    pub fn new(bank: Arc<dyn MemoryBank>, queue: Arc<dyn WriteQueue>) -> Self {
        Self { bank, queue }
    }

    /// Deletes what `person` has in `space`, who must have been shut out before. Returns how many memories that were.
    ///
    /// # Errors
    /// [`ErasureError`].
    pub async fn erase(&self, person: UserId, space: &SpaceName) -> Result<u64, ErasureError> {
        let scope = MemoryScope::from_stored(space.clone(), Some(person));
        if !self.queue.pending(&scope, 1).await?.is_empty() {
            return Err(ErasureError::Pending);
        }
        let mut erased = 0;
        loop {
            // Not a list: a bank may have more of one scope than it lists.
            let ids = self.bank.sample(&scope, Limit::LARGEST).await?;
            if ids.is_empty() {
                // What was asked to create them is kept too.
                self.queue.forget_scope(&scope).await?;
                return Ok(erased);
            }
            for id in ids {
                erased += u64::from(self.bank.delete(&scope, &id).await?);
            }
        }
    }

    /// Deletes the dead letters of `person`.
    ///
    /// # Errors
    /// [`ErasureError::Storage`].
    pub async fn drop_dead_letters(&self, person: UserId) -> Result<(), ErasureError> {
        for tracked in self.queue.list(Undelivered::Failed, DEAD_LETTERS).await? {
            if tracked.write.scope.person() == Some(person) {
                self.queue.drop_failed(tracked.write.request_id).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::memories::{Lease, Line, ListQuery, MemoryScope, NewMemory, QueuedWrite};
    use crate::system::Timestamp;
    use crate::testing::{
        InMemoryMemoryBank, InMemoryWriteQueue, new_memory, now, queued_write, scope, scope_of_person, unique,
    };

    struct Harness {
        bank: Arc<InMemoryMemoryBank>,
        queue: Arc<InMemoryWriteQueue>,
        erasure: Erasure,
        own: MemoryScope,
        person: UserId,
    }

    impl Harness {
        fn new() -> Self {
            let (bank, queue) = (Arc::new(InMemoryMemoryBank::default()), Arc::new(InMemoryWriteQueue::default()));
            let own = scope_of_person(&scope());
            let person = own.person().unwrap();
            Self { erasure: Erasure::new(bank.clone(), queue.clone()), bank, queue, own, person }
        }

        async fn accept(&self, scope: &MemoryScope) -> QueuedWrite {
            let write = QueuedWrite { scope: scope.clone(), ..queued_write() };
            let lease = Lease { id: unique(), until: now().plus(Duration::from_mins(1)) };
            self.queue.accept(&write, Line::InOrder { capacity: 10 }, lease).await.unwrap();
            write
        }

        async fn count(&self, scope: &MemoryScope) -> usize {
            let now = Timestamp::from_unix_millis(i64::MIN);
            let query = ListQuery { limit: Limit::LARGEST, after: None, category: None, now };
            self.bank.list(scope, &query).await.unwrap().memories.len()
        }
    }

    #[tokio::test]
    async fn all_memories_of_the_person_go_and_nobody_elses() {
        let harness = Harness::new();
        let other = scope_of_person(&harness.own);
        let application = MemoryScope::from_stored(harness.own.space().clone(), None);
        for number in 0..250 {
            harness.bank.create(&harness.own, &new_memory(&format!("Fact {number}"))).await.unwrap();
        }
        let expired = NewMemory { expires_at: Some(now().minus(Duration::from_hours(1))), ..new_memory("Old") };
        harness.bank.create(&harness.own, &expired).await.unwrap();
        for kept in [&other, &application] {
            harness.bank.create(kept, &new_memory("Kept")).await.unwrap();
        }
        assert_eq!(harness.erasure.erase(harness.person, harness.own.space()).await.unwrap(), 251);
        assert_eq!(harness.count(&harness.own).await, 0);
        assert_eq!((harness.count(&other).await, harness.count(&application).await), (1, 1));
        assert_eq!(harness.erasure.erase(harness.person, harness.own.space()).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn what_is_still_on_its_way_stops_an_erasure_before_it_begins() {
        let harness = Harness::new();
        harness.bank.create(&harness.own, &new_memory("Stored")).await.unwrap();
        harness.accept(&harness.own).await;
        let answer = harness.erasure.erase(harness.person, harness.own.space()).await;
        assert!(matches!(answer, Err(ErasureError::Pending)), "{answer:?}");
        assert_eq!(harness.count(&harness.own).await, 1);
    }

    #[tokio::test]
    async fn dead_letters_of_the_person_are_dropped_and_nobody_elses() {
        let harness = Harness::new();
        let other = scope_of_person(&harness.own);
        for scope in [&harness.own, &other] {
            let write = harness.accept(scope).await;
            harness.queue.mark_failed(write.request_id, "refused", now().plus(Duration::from_hours(1))).await.unwrap();
        }
        harness.erasure.drop_dead_letters(harness.person).await.unwrap();
        let left = harness.queue.list(Undelivered::Failed, 10).await.unwrap();
        assert_eq!(left.iter().map(|tracked| &tracked.write.scope).collect::<Vec<_>>(), [&other]);
    }
}
