//! All memories of some scopes, a page at a time, however many there are.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::bank::{Capability, Histories, MemoryBank, MemoryBankError};
use super::history::HistoryEvent;
use super::model::{Memory, MemoryScope};
use super::new_memory::OwnMemory;
use super::query::{Limit, ListQuery, Position};
use crate::ids::MemoryId;
use crate::system::{Clock, Timestamp};

/// An export under way. It holds one page at a time.
///
/// Memories may be stored, changed and deleted while it runs. It has every memory that is there throughout exactly once, and no
/// memory twice. One that was there when it began and is superseded meanwhile is in it itself or in the history of the one that
/// took its place. What else is stored, restored, changed or deleted meanwhile may be in it or not, a change as well. Each memory
/// is as it was at one moment; its history is read a moment later.
pub struct Export {
    bank: Arc<dyn MemoryBank>,
    clock: Arc<dyn Clock>,
    scopes: VecDeque<MemoryScope>,
    after: Option<Position>,
    began: Timestamp,
    phase: Phase,
    /// Those of the first scope that are dated after the beginning, and were looked at.
    seen: HashSet<MemoryId>,
    /// Memories of `scope` whose histories were not read yet.
    listed: VecDeque<Memory>,
    scope: Option<MemoryScope>,
}

/// What of the first scope is being listed.
enum Phase {
    /// All of it.
    All,
    /// What is dated after the beginning, from the newest on, until there is nothing that was not looked at: it may have superseded
    /// something that was not reached.
    Since {
        /// Whether something that was not looked at was there this time through the list.
        found: bool,
    },
}

impl Export {
    /// Begins now.
    ///
    /// # Errors
    /// [`MemoryBankError::Unsupported`] if the bank cannot list.
    pub fn begin(
        bank: Arc<dyn MemoryBank>,
        scopes: impl IntoIterator<Item = MemoryScope>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, MemoryBankError> {
        if !bank.capabilities().list {
            return Err(MemoryBankError::Unsupported(Capability::List));
        }
        let (scopes, began) = (scopes.into_iter().collect(), clock.now());
        let (seen, listed) = (HashSet::new(), VecDeque::new());
        Ok(Self { bank, clock, scopes, after: None, began, phase: Phase::All, seen, listed, scope: None })
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
        let mut histories = self.histories(scope, &self.listed).await?;
        let own = |memory: Memory| OwnMemory {
            history: histories.entries.remove(&memory.id).unwrap_or_default(),
            ..OwnMemory::stored(memory, scope.space().clone())
        };
        Ok(Some(self.listed.drain(..histories.read).map(own).collect()))
    }

    /// Lists the next memories, if there are any.
    async fn list(&mut self) -> Result<(), MemoryBankError> {
        while self.listed.is_empty()
            && let Some(scope) = self.scopes.front().cloned()
        {
            let query = ListQuery { after: self.after.take(), ..ListQuery::new(Limit::PAGE, self.began) };
            let page = self.bank.list(&scope, &query).await?;
            self.scope = Some(scope.clone());
            let (seen, began) = (&mut self.seen, self.began);
            let mut is_new = |memory: &Memory| memory.created_at <= began || seen.insert(memory.id.clone());
            let Phase::Since { found } = &mut self.phase else {
                self.listed.extend(page.memories.into_iter().filter(|memory| is_new(memory)));
                self.after = page.next;
                if self.after.is_none() {
                    self.phase = Phase::Since { found: false };
                }
                continue;
            };
            let mut since = VecDeque::from(page.memories);
            let listed = since.len();
            since.retain(|memory| memory.created_at > began);
            let is_all_since = since.len() == listed;
            since.retain(|memory| is_new(memory));
            *found |= !since.is_empty();
            // What follows what is from before is from before, too.
            match page.next.filter(|_| is_all_since) {
                Some(next) => self.after = Some(next),
                // Something new may have come at the top meanwhile, and have superseded what was not reached yet.
                None if std::mem::take(found) => {}
                None => {
                    self.scopes.pop_front();
                    self.phase = Phase::All;
                    self.seen.clear();
                }
            }
            let superseding = self.superseding(&scope, since).await?;
            self.listed.extend(superseding);
        }
        Ok(())
    }

    /// Those of `memories` that superseded one from before the beginning.
    async fn superseding(
        &self,
        scope: &MemoryScope,
        mut memories: VecDeque<Memory>,
    ) -> Result<Vec<Memory>, MemoryBankError> {
        let mut chosen = Vec::new();
        while !memories.is_empty() {
            let histories = self.histories(scope, &memories).await?;
            let supersedes = |memory: &Memory| {
                let mut entries = histories.entries.get(&memory.id).into_iter().flatten();
                entries.any(
                    |entry| matches!(&entry.event, HistoryEvent::Superseded(older) if older.created_at <= self.began),
                )
            };
            chosen.extend(memories.drain(..histories.read).filter(supersedes));
        }
        Ok(chosen)
    }

    /// The histories of the first of `memories`.
    async fn histories(&self, scope: &MemoryScope, memories: &VecDeque<Memory>) -> Result<Histories, MemoryBankError> {
        if !self.bank.capabilities().history {
            return Ok(Histories { read: memories.len(), ..Histories::default() });
        }
        let ids: Vec<MemoryId> = memories.iter().map(|memory| memory.id.clone()).collect();
        let mut histories = self.bank.histories(scope, &ids, self.clock.now()).await?;
        histories.read = histories.read.clamp(1, memories.len());
        Ok(histories)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::memories::{Admitted, MemoryChanges, MemoryMember, NewMemory, Priority};
    use crate::testing::{FixedClock, InMemoryMemoryBank, new_memory, now, scope, update};

    async fn all(mut export: Export) -> Vec<Memory> {
        let mut memories = Vec::new();
        for number in 0.. {
            let Some(page) = export.next().await.unwrap() else { break };
            assert!(number < 100, "the export does not end");
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
        let export = Export::begin(bank, scopes.map(Admitted::into_scope), Arc::new(FixedClock::default())).unwrap();
        assert_eq!(all(export).await, stored);
    }

    #[tokio::test]
    async fn what_is_there_throughout_is_exported_once_whatever_changes_meanwhile() {
        for changes_after in 1..=3 {
            let (bank, scope, clock) = (Arc::new(InMemoryMemoryBank::default()), scope(), FixedClock::default());
            let mut stored = Vec::new();
            for number in 0..700 {
                let memory = NewMemory { created_at: now().minus(Duration::from_secs(number)), ..new_memory("x") };
                stored.push(bank.create(&scope, &memory).await.unwrap());
            }
            // Another instance's clock may be ahead.
            let ahead = NewMemory { created_at: now().plus(Duration::from_millis(500)), ..new_memory("x") };
            stored.push(bank.create(&scope, &ahead).await.unwrap());
            let mut export =
                Export::begin(bank.clone(), [scope.clone().into_scope()], Arc::new(clock.clone())).unwrap();
            let mut exported = Vec::new();
            for _ in 0..changes_after {
                exported.extend(export.next().await.unwrap().unwrap());
            }
            clock.advance(Duration::from_secs(1));
            let (mut edited, mut deleted) = (Vec::new(), Vec::new());
            for index in [1, 150, 250, 350, 450, 550, 650] {
                let changes = MemoryChanges { priority: Some(Priority::High), ..MemoryChanges::default() };
                let update = update(&changes, clock.now());
                edited.push(bank.update(&scope, &stored[index].id, &update).await.unwrap().unwrap());
                for gone in [&stored[index + 1], &stored[index + 2]] {
                    assert!(bank.delete(&scope, &gone.id).await.unwrap());
                }
                bank.create(&scope, &NewMemory::from(stored[index + 2].clone())).await.unwrap();
                deleted.extend([stored[index + 1].id.clone(), stored[index + 2].id.clone()]);
                let old = NewMemory { created_at: stored[index].created_at, ..new_memory("an old date") };
                bank.create(&scope, &old).await.unwrap();
                bank.create(&scope, &NewMemory { created_at: clock.now(), ..new_memory("late") }).await.unwrap();
            }
            while let Some(page) = export.next().await.unwrap() {
                exported.extend(page);
            }
            let ids: HashSet<&MemoryId> = exported.iter().map(|own| &own.memory.id).collect();
            assert_eq!(ids.len(), exported.len(), "nothing is in it twice");
            for memory in stored.iter().filter(|memory| !deleted.contains(&memory.id)) {
                let found = exported.iter().find(|own| own.memory.id == memory.id).expect("it is there throughout");
                let is_whole = found.memory == *memory || edited.contains(&found.memory);
                assert!(is_whole, "it is as it was before or after the change");
            }
        }
    }

    #[tokio::test]
    async fn what_happened_to_a_memory_is_exported_with_it() {
        let (bank, scope) = (Arc::new(InMemoryMemoryBank::default()), scope());
        let older = bank.create(&scope, &new_memory("older")).await.unwrap();
        let newer = NewMemory { supersedes: Some(older.id.clone()), ..new_memory("newer") };
        let newer = bank.create(&scope, &newer).await.unwrap();
        let changes = MemoryChanges { priority: Some(Priority::High), ..MemoryChanges::default() };
        bank.update(&scope, &newer.id, &update(&changes, now())).await.unwrap();
        let mut export = Export::begin(bank, [scope.into_scope()], Arc::new(FixedClock::default())).unwrap();
        let exported = export.next().await.unwrap().unwrap();
        assert!(export.next().await.unwrap().is_none());
        let events: Vec<&HistoryEvent> = exported[0].history.iter().map(|entry| &entry.event).collect();
        let expected =
            [&HistoryEvent::Updated(vec![MemoryMember::Priority]), &HistoryEvent::Superseded(Box::new(older))];
        assert_eq!((exported.len(), events.as_slice()), (1, &expected[..]));
    }

    #[tokio::test]
    async fn what_is_superseded_meanwhile_is_exported_with_what_took_its_place() {
        let (bank, scope, clock) = (Arc::new(InMemoryMemoryBank::default()), scope(), FixedClock::default());
        let mut stored = Vec::new();
        for number in 0..201 {
            let memory = NewMemory { created_at: now().minus(Duration::from_secs(number)), ..new_memory("x") };
            stored.push(bank.create(&scope, &memory).await.unwrap());
        }
        let mut export = Export::begin(bank.clone(), [scope.clone().into_scope()], Arc::new(clock.clone())).unwrap();
        let first = export.next().await.unwrap().unwrap();
        assert_eq!(first.len(), 200);
        let oldest = stored.pop().unwrap();
        let mut newest = oldest.clone();
        for _ in 0..2 {
            clock.advance(Duration::from_secs(1));
            for supersedes in [None, Some(newest.id.clone())] {
                let memory = NewMemory { created_at: clock.now(), supersedes, ..new_memory("late") };
                newest = bank.create(&scope, &memory).await.unwrap();
            }
        }
        let second = export.next().await.unwrap().unwrap();
        assert!(export.next().await.unwrap().is_none());
        assert_eq!(second.iter().map(|own| &own.memory).collect::<Vec<_>>(), [&newest]);
        let oldest = HistoryEvent::Superseded(Box::new(oldest));
        assert_eq!(second[0].history.last().map(|entry| &entry.event), Some(&oldest), "it is in the history");
    }

    #[tokio::test]
    async fn what_is_dated_in_the_future_is_exported_once() {
        let (bank, scope) = (Arc::new(InMemoryMemoryBank::default()), scope());
        let mut stored = Vec::new();
        for days in [400, 2, 1, 0] {
            let memory = NewMemory { created_at: now().plus(Duration::from_hours(24 * days)), ..new_memory("x") };
            stored.push(bank.create(&scope, &memory).await.unwrap());
        }
        let export = Export::begin(bank, [scope.into_scope()], Arc::new(FixedClock::default())).unwrap();
        let mut exported = all(export).await;
        exported.sort_by_key(|memory| std::cmp::Reverse(memory.created_at));
        assert_eq!(exported, stored);
    }

    #[tokio::test]
    async fn a_bank_that_cannot_list_exports_nothing() {
        let mut capabilities = InMemoryMemoryBank::CAPABILITIES;
        capabilities.list = false;
        let bank = Arc::new(InMemoryMemoryBank::with_capabilities(capabilities));
        let refused = Export::begin(bank, [scope().into_scope()], Arc::new(FixedClock::default())).err().unwrap();
        assert!(matches!(refused, MemoryBankError::Unsupported(Capability::List)));
    }
}
