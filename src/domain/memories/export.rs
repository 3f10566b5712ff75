//! All memories of some scopes, a page at a time, however many there are.

use std::collections::VecDeque;
use std::sync::Arc;

use super::bank::{Capability, MemoryBank, MemoryBankError};
use super::model::{MemoryScope, OwnMemory};
use super::query::{Limit, ListQuery, Position};
use crate::system::Timestamp;

/// An export under way. It holds one page at a time.
///
/// It has every memory that was there when it began and is not deleted while it runs; what is stored later is not in it.
pub struct Export {
    bank: Arc<dyn MemoryBank>,
    scopes: VecDeque<MemoryScope>,
    after: Option<Position>,
    now: Timestamp,
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
        Ok(Self { bank, scopes: scopes.into_iter().collect(), after: None, now })
    }

    /// The next memories; `None` after the last.
    ///
    /// # Errors
    /// [`MemoryBankError`].
    pub async fn next(&mut self) -> Result<Option<Vec<OwnMemory>>, MemoryBankError> {
        while let Some(scope) = self.scopes.front() {
            let query = ListQuery { after: self.after.take(), ..ListQuery::new(Limit::PAGE, self.now) };
            let page = self.bank.list(scope, &query).await?;
            let space = scope.space().clone();
            let memories: Vec<OwnMemory> = page
                .memories
                .into_iter()
                .filter(|memory| memory.created_at <= self.now)
                .map(|memory| OwnMemory { memory, space: space.clone() })
                .collect();
            match page.next {
                Some(next) => self.after = Some(next),
                None => drop(self.scopes.pop_front()),
            }
            if !memories.is_empty() {
                return Ok(Some(memories));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::memories::{Memory, NewMemory};
    use crate::testing::{InMemoryMemoryBank, new_memory, now, scope};

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
    async fn a_bank_that_cannot_list_exports_nothing() {
        let mut capabilities = InMemoryMemoryBank::CAPABILITIES;
        capabilities.list = false;
        let bank = Arc::new(InMemoryMemoryBank::with_capabilities(capabilities));
        let refused = Export::begin(bank, [scope()], now()).err().unwrap();
        assert!(matches!(refused, MemoryBankError::Unsupported(Capability::List)));
    }
}
