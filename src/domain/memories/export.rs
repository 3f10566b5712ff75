//! All memories of some scopes, a page at a time, however many there are.

use std::collections::VecDeque;
use std::sync::Arc;

use super::bank::{Capability, Histories, MemoryBank, MemoryBankError};
use super::model::{Memory, MemoryScope};
use super::new_memory::OwnMemory;
use super::query::{Limit, ListQuery, Position};
use crate::ids::MemoryId;
use crate::system::Timestamp;

/// An export under way. It holds one page at a time.
///
/// It has every memory that was there when it began and is not deleted while it runs; what is stored later is not in it.
pub struct Export {
    bank: Arc<dyn MemoryBank>,
    scopes: VecDeque<MemoryScope>,
    after: Option<Position>,
    now: Timestamp,
    /// Memories of `scope` whose histories were not read yet.
    listed: VecDeque<Memory>,
    scope: Option<MemoryScope>,
}

impl Export {
    /// Begins at `now`.
    ///
    /// # Errors
    /// [`MemoryBankError::Unsupported`] if the bank cannot list.
    pub fn begin(
        bank: Arc<dyn MemoryBank>,
        scopes: impl IntoIterator<Item = MemoryScope>,
        now: Timestamp,
    ) -> Result<Self, MemoryBankError> {
        if !bank.capabilities().list {
            return Err(MemoryBankError::Unsupported(Capability::List));
        }
        let (scopes, listed) = (scopes.into_iter().collect(), VecDeque::new());
        Ok(Self { bank, scopes, after: None, now, listed, scope: None })
    }

    /// The next memories, with their histories; `None` after the last.
    ///
    /// # Errors
    /// [`MemoryBankError`].
    pub async fn next(&mut self) -> Result<Option<Vec<OwnMemory>>, MemoryBankError> {
        if self.listed.is_empty() {
            self.list().await?;
        }
        let Some(scope) = self.scope.as_ref().filter(|_| !self.listed.is_empty()) else { return Ok(None) };
        let mut histories = Histories { read: self.listed.len(), ..Histories::default() };
        if self.bank.capabilities().history {
            let ids: Vec<MemoryId> = self.listed.iter().map(|memory| memory.id.clone()).collect();
            histories = self.bank.histories(scope, &ids, self.now).await?;
        }
        let read = histories.read.clamp(1, self.listed.len());
        let own = |memory: Memory| OwnMemory {
            history: histories.entries.remove(&memory.id).unwrap_or_default(),
            memory,
            space: scope.space().clone(),
        };
        Ok(Some(self.listed.drain(..read).map(own).collect()))
    }

    /// Lists the next memories, if there are any.
    async fn list(&mut self) -> Result<(), MemoryBankError> {
        while let Some(scope) = self.scopes.front() {
            let query = ListQuery { after: self.after.take(), ..ListQuery::new(Limit::PAGE, self.now) };
            let page = self.bank.list(scope, &query).await?;
            self.scope = Some(scope.clone());
            self.listed.extend(page.memories.into_iter().filter(|memory| memory.created_at <= self.now));
            match page.next {
                Some(next) => self.after = Some(next),
                None => drop(self.scopes.pop_front()),
            }
            if !self.listed.is_empty() {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::memories::{HistoryEvent, MemoryChanges, MemoryMember, NewMemory, Priority};
    use crate::testing::{InMemoryMemoryBank, new_memory, now, scope, update};

    async fn all(mut export: Export) -> Vec<Memory> {
        let mut memories = Vec::new();
        while let Some(page) = export.next().await.unwrap() {
            assert!(page.len() <= Limit::PAGE.get() as usize);
            memories.extend(page.into_iter().map(|own| own.memory));
        }
        memories
    }

    #[tokio::test]
    async fn every_memory_of_every_scope_is_exported_once() {
        let bank = Arc::new(InMemoryMemoryBank::default());
        let scopes = [scope(), scope(), scope()];
        let mut stored = Vec::new();
        for (scope, count) in scopes.iter().zip([450, 0, 3]) {
            for number in 0..count {
                let memory = NewMemory { created_at: now().minus(Duration::from_secs(number)), ..new_memory("x") };
                stored.push(bank.create(scope, &memory).await.unwrap());
            }
        }
        let export = Export::begin(bank.clone(), scopes.clone(), now()).unwrap();
        // What is stored after the beginning is not part of it.
        let late = NewMemory { created_at: now().plus(Duration::from_secs(1)), ..new_memory("late") };
        bank.create(&scopes[0], &late).await.unwrap();
        assert_eq!(all(export).await, stored);
    }

    #[tokio::test]
    async fn what_happened_to_a_memory_is_exported_with_it() {
        let (bank, scope) = (Arc::new(InMemoryMemoryBank::default()), scope());
        let older = bank.create(&scope, &new_memory("older")).await.unwrap();
        let newer = NewMemory { supersedes: Some(older.id.clone()), ..new_memory("newer") };
        let newer = bank.create(&scope, &newer).await.unwrap();
        let changes = MemoryChanges { priority: Some(Priority::High), ..MemoryChanges::default() };
        bank.update(&scope, &newer.id, &update(&changes, now())).await.unwrap();
        let mut export = Export::begin(bank, [scope], now()).unwrap();
        let exported = export.next().await.unwrap().unwrap();
        assert!(export.next().await.unwrap().is_none());
        let events: Vec<&HistoryEvent> = exported[0].history.iter().map(|entry| &entry.event).collect();
        let expected =
            [&HistoryEvent::Updated(vec![MemoryMember::Priority]), &HistoryEvent::Superseded(Box::new(older))];
        assert_eq!((exported.len(), events.as_slice()), (1, &expected[..]));
    }

    #[tokio::test]
    async fn a_bank_that_cannot_list_exports_nothing() {
        let mut capabilities = InMemoryMemoryBank::CAPABILITIES;
        capabilities.list = false;
        let bank = Arc::new(InMemoryMemoryBank::with_capabilities(capabilities));
        let refused = Export::begin(bank, [scope()], now()).err().unwrap();
        assert!(matches!(refused, MemoryBankError::Unsupported(Capability::List)));
    }
}
