//! Memories in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use async_trait::async_trait;

use super::{Outage, at_most, database_unavailable, lock};
use crate::ids::MemoryId;
use crate::memories::{
    Admitted, Capabilities, Capability, Histories, HistoryEntry, HistoryEvent, Hit, ListQuery, Memory, MemoryBank,
    MemoryBankError, MemoryMember, MemoryQuery, MemoryScope, MemoryUpdate, NewMemory, Page, Relevance, SearchResults,
};
use crate::system::Timestamp;

/// Keeps memories in memory. How well one fits a search is the share of the question's words that it holds.
#[derive(Debug)]
pub struct InMemoryMemoryBank {
    memories: Mutex<BTreeMap<(String, MemoryId), MemoryWithHistory>>,
    capabilities: Capabilities,
    outage: Outage,
}

/// A memory, and what happened to it, newest first.
#[derive(Clone, Debug)]
struct MemoryWithHistory {
    memory: Memory,
    history: Vec<HistoryEntry>,
}

impl MemoryWithHistory {
    /// Drops the oldest entries that are too many.
    fn shorten(&mut self) {
        let kept = HistoryEntry::kept(self.history.iter().map(|entry| entry.event.body().len()));
        self.history.truncate(kept);
    }
}

impl InMemoryMemoryBank {
    /// What an in-memory bank can do unless it is told otherwise: everything.
    pub const CAPABILITIES: Capabilities = Capabilities {
        kind: "in_memory",
        update: true,
        list: true,
        date_filter: true,
        metadata_filter: true,
        expiry: true,
        history: true,
        supersede: true,
        local: true,
        max_listed: None,
        max_searched: None,
    };

    /// An empty bank that can do no more than that.
    #[must_use]
    pub fn with_capabilities(capabilities: Capabilities) -> Self {
        Self { memories: Mutex::default(), capabilities, outage: Outage::default() }
    }

    /// The switch that makes it fail.
    #[must_use]
    pub fn outage(&self) -> Outage {
        self.outage.clone()
    }

    /// How many memories there are in all, expired ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        lock(&self.memories).len()
    }

    /// Whether there is no memory.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn check(&self) -> Result<(), MemoryBankError> {
        if self.outage.is_on() {
            let source = Box::new(database_unavailable());
            return Err(MemoryBankError::Unavailable { retry_after: None, reached: false, source });
        }
        Ok(())
    }

    fn delete_if(
        &self,
        scope: &MemoryScope,
        id: &MemoryId,
        is_meant: impl Fn(&Memory) -> bool,
    ) -> Result<bool, MemoryBankError> {
        self.check()?;
        let mut memories = lock(&self.memories);
        let key = (scope.tenant(), id.clone());
        let is_there = |kept: &MemoryWithHistory| is_visible(&kept.memory, scope, None) && is_meant(&kept.memory);
        Ok(memories.get(&key).is_some_and(is_there) && memories.remove(&key).is_some())
    }

    /// What can be seen in `scope` at `now`.
    fn visible(&self, scope: &MemoryScope, now: Timestamp) -> Vec<Memory> {
        let tenant = scope.tenant();
        let memories = lock(&self.memories);
        let of_tenant = memories.iter().filter(|((owner, _), _)| *owner == tenant).map(|(_, kept)| &kept.memory);
        of_tenant.filter(|memory| is_visible(memory, scope, Some(now))).cloned().collect()
    }
}

impl Default for InMemoryMemoryBank {
    fn default() -> Self {
        Self::with_capabilities(Self::CAPABILITIES)
    }
}

#[async_trait]
impl MemoryBank for InMemoryMemoryBank {
    async fn create(&self, scope: &Admitted, memory: &NewMemory) -> Result<Memory, MemoryBankError> {
        self.check()?;
        require(self.capabilities.expiry || memory.expires_at.is_none(), Capability::Expiry)?;
        require(self.capabilities.supersede || memory.supersedes.is_none(), Capability::Supersede)?;
        let mut memories = lock(&self.memories);
        let key = (scope.tenant(), memory.id.clone());
        if let Some(kept) = memories.get(&key) {
            return Ok(kept.memory.clone());
        }
        let mut kept = MemoryWithHistory { memory: memory.clone().into_memory(), history: memory.history.clone() };
        if let Some(older) = &memory.supersedes {
            let older = (scope.tenant(), older.clone());
            let is_there = |kept: &MemoryWithHistory| is_visible(&kept.memory, scope, Some(memory.created_at));
            if let Some(older) = memories.get(&older).is_some_and(is_there).then(|| memories.remove(&older)).flatten() {
                let event = HistoryEvent::Superseded(Box::new(older.memory));
                kept.history = older.history;
                kept.history.insert(0, HistoryEntry { at: memory.created_at, by: memory.created_by, event });
            }
        }
        kept.shorten();
        Ok(memories.entry(key).or_insert(kept).memory.clone())
    }

    async fn search(&self, scope: &MemoryScope, query: &MemoryQuery) -> Result<SearchResults, MemoryBankError> {
        self.check()?;
        let filter = &query.filter;
        require(self.capabilities.date_filter || !filter.has_dates(), Capability::DateFilter)?;
        require(self.capabilities.metadata_filter || !filter.reads_metadata(), Capability::MetadataFilter)?;
        let wanted = terms(query.text.as_str());
        let mut hits: Vec<Hit> = self
            .visible(scope, query.now)
            .into_iter()
            .filter(|memory| filter.passes(memory))
            .filter_map(|memory| relevance(&wanted, &memory).map(|relevance| Hit { memory, relevance }))
            .filter(|hit| query.threshold.is_none_or(|threshold| hit.relevance >= threshold))
            .collect();
        hits.sort_by(|a, b| {
            let key = |hit: &Hit| (hit.memory.priority, hit.memory.occurred(), hit.memory.id.clone());
            b.relevance.get().total_cmp(&a.relevance.get()).then_with(|| key(b).cmp(&key(a)))
        });
        let total_found = u64::try_from(hits.len()).unwrap_or(u64::MAX);
        hits.truncate(at_most(query.limit.get()));
        Ok(SearchResults { hits, total_found })
    }

    async fn list(&self, scope: &MemoryScope, query: &ListQuery) -> Result<Page, MemoryBankError> {
        self.check()?;
        require(self.capabilities.list, Capability::List)?;
        let mut memories = self.visible(scope, query.now);
        memories.retain(|memory| query.lists(memory));
        memories.sort_by_key(|memory| std::cmp::Reverse((query.order.date_of(memory), memory.id.clone())));
        Ok(Page::of(memories, query.limit, query.order))
    }

    async fn get(&self, scope: &MemoryScope, id: &MemoryId, now: Timestamp) -> Result<Option<Memory>, MemoryBankError> {
        self.check()?;
        Ok(self.visible(scope, now).into_iter().find(|memory| memory.id == *id))
    }

    async fn update(
        &self,
        scope: &MemoryScope,
        id: &MemoryId,
        update: &MemoryUpdate,
    ) -> Result<Option<Memory>, MemoryBankError> {
        let MemoryUpdate { changes, by, at, .. } = update;
        self.check()?;
        require(self.capabilities.update, Capability::Update)?;
        require(self.capabilities.expiry || changes.expires_at.flatten().is_none(), Capability::Expiry)?;
        let mut memories = lock(&self.memories);
        let kept = memories.get_mut(&(scope.tenant(), id.clone()));
        let applies = |kept: &&mut MemoryWithHistory| {
            is_visible(&kept.memory, scope, Some(*at)) && update.applies_to(&kept.memory)
        };
        let Some(kept) = kept.filter(applies) else { return Ok(None) };
        let before = kept.memory.clone();
        changes.apply_to(&mut kept.memory, *at);
        let members = MemoryMember::changed(&before, &kept.memory);
        if !members.is_empty() {
            let event = HistoryEvent::Updated(members);
            kept.history.insert(0, HistoryEntry { at: *at, by: Some(*by), event });
            kept.shorten();
        }
        Ok(Some(kept.memory.clone()))
    }

    async fn histories(
        &self,
        scope: &MemoryScope,
        ids: &[MemoryId],
        now: Timestamp,
    ) -> Result<Histories, MemoryBankError> {
        self.check()?;
        require(self.capabilities.history, Capability::History)?;
        let memories = lock(&self.memories);
        let mut entries = BTreeMap::new();
        for id in ids {
            let kept = memories.get(&(scope.tenant(), id.clone()));
            let Some(kept) = kept.filter(|kept| is_visible(&kept.memory, scope, Some(now))) else { continue };
            let is_seen =
                |entry: &&HistoryEntry| entry.superseded().is_none_or(|memory| is_visible(memory, scope, Some(now)));
            let seen: Vec<HistoryEntry> = kept.history.iter().filter(is_seen).cloned().collect();
            if !seen.is_empty() {
                entries.insert(id.clone(), seen);
            }
        }
        Ok(Histories { read: ids.len(), entries })
    }

    async fn forget_history(
        &self,
        scope: &MemoryScope,
        id: &MemoryId,
        now: Timestamp,
    ) -> Result<bool, MemoryBankError> {
        self.check()?;
        require(self.capabilities.history, Capability::History)?;
        let mut memories = lock(&self.memories);
        let kept = memories.get_mut(&(scope.tenant(), id.clone()));
        let kept = kept.filter(|kept| is_visible(&kept.memory, scope, Some(now)));
        Ok(kept.map(|kept| kept.history.clear()).is_some())
    }

    async fn delete(&self, scope: &MemoryScope, id: &MemoryId) -> Result<bool, MemoryBankError> {
        self.delete_if(scope, id, |_| true)
    }

    async fn delete_unchanged(
        &self,
        scope: &MemoryScope,
        id: &MemoryId,
        updated_at: Timestamp,
    ) -> Result<bool, MemoryBankError> {
        self.delete_if(scope, id, |memory| memory.updated_at == updated_at)
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    async fn check_health(&self) -> Result<(), MemoryBankError> {
        self.check()
    }
}

fn require(supported: bool, capability: Capability) -> Result<(), MemoryBankError> {
    if supported { Ok(()) } else { Err(MemoryBankError::Unsupported(capability)) }
}

fn is_visible(memory: &Memory, scope: &MemoryScope, now: Option<Timestamp>) -> bool {
    match now {
        Some(now) => scope.sees(memory, now),
        None => scope.categories().allows(&memory.categories),
    }
}

/// The share of the wanted terms that `memory` holds; `None` if it holds none.
fn relevance(wanted: &BTreeSet<String>, memory: &Memory) -> Option<Relevance> {
    let held = terms(memory.content.as_str());
    let count = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    let shared = wanted.intersection(&held).count();
    (shared > 0).then(|| Relevance::clamped(count(shared) / count(wanted.len())))
}

/// The words that say something, without the ending that most often makes two words of one.
fn terms(text: &str) -> BTreeSet<String> {
    const STOP_WORDS: &str = " a an and are at did do does for from has have he her his how i in is it my of on or \
                              our she that the their they to was we were what when where which who why with you your ";
    text.to_lowercase()
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty() && !STOP_WORDS.contains(&format!(" {word} ")))
        .map(|word| word.strip_suffix('s').filter(|stem| stem.len() > 2).unwrap_or(word).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::testing::conformance::Fixture;

    fn able() -> Fixture<dyn MemoryBank> {
        Fixture::new(Arc::new(InMemoryMemoryBank::default()))
    }

    /// A bank that can do nothing beside what every bank can.
    fn modest() -> Fixture<dyn MemoryBank> {
        Fixture::new(Arc::new(InMemoryMemoryBank::with_capabilities(Capabilities {
            kind: "modest",
            update: false,
            list: false,
            date_filter: false,
            metadata_filter: false,
            expiry: false,
            history: false,
            supersede: false,
            local: false,
            max_listed: None,
            max_searched: None,
        })))
    }

    mod with_every_capability {
        crate::conformance!(memory_bank, super::able());
    }

    mod without_any_capability {
        crate::conformance!(memory_bank, super::modest());
    }
}
