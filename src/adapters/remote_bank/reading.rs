//! Searching, listing and getting.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::failure::{BankFailure, Cause};
use super::resilience::Deadline;
use super::stored::{BankTenant, Item, NotAMemory};
use super::{LeftOut, RemoteMemoryBank};
use crate::domain::applications::CategoryAccess;
use crate::domain::ids::MemoryId;
use crate::domain::memories::{
    AnswerSize, Hit, ListQuery, Memory, MemoryFilter, MemoryQuery, MemoryScope, Page, SearchResults,
};
use crate::domain::system::Timestamp;

/// Growth factor of the requested number of results when filtering leaves too few.
const GROWTH: u32 = 4;
/// Minimum number of results to request when they will be filtered.
const LEAST_TO_FILTER: u32 = 50;
/// Number of memories of a scope that are sampled at a time.
const SAMPLE: u32 = 50;
/// A lower relevance counts as zero: rounding error of banks that compute with 32-bit floats.
const NOTHING: f64 = 0.000_1;

impl RemoteMemoryBank {
    /// Results are always filtered here, never by the bank. As long as filtering leaves too few and the bank has more, more
    /// are requested.
    pub(super) async fn find(&self, scope: &MemoryScope, query: &MemoryQuery) -> Result<SearchResults, BankFailure> {
        let (deadline, tenant) = (self.deadline(), BankTenant::of(scope));
        let (limit, most) = (query.limit.get(), self.driver.capabilities().max_searched.unwrap_or(u32::MAX));
        let is_narrowed = query.filter != MemoryFilter::default() || *scope.categories() != CategoryAccess::All;
        let mut wanted = if is_narrowed { (limit * GROWTH).max(LEAST_TO_FILTER) } else { limit }.min(most);
        loop {
            let request = self.driver.search(&tenant, query.text.as_str(), wanted, query.threshold);
            let exchanged = self.exchange(&tenant, request, deadline).await?;
            let items = self.driver.read_items(Arc::unwrap_or_clone(exchanged.response))?.items;
            let is_all = u32::try_from(items.len()).is_ok_and(|number| number < wanted) || wanted == most;
            let hits = self.hits(&items, &tenant, scope, query);
            if is_all || hits.len() >= count(limit) {
                return Ok(best_of(hits, count(limit)));
            }
            wanted = wanted.saturating_mul(GROWTH).min(most);
        }
    }

    fn hits(&self, items: &[Item], tenant: &BankTenant, scope: &MemoryScope, query: &MemoryQuery) -> Vec<Hit> {
        items
            .iter()
            .filter_map(|item| {
                let relevance = self.driver.relevance(item.score.unwrap_or_default());
                let fits = relevance.get() >= NOTHING && query.threshold.is_none_or(|threshold| relevance >= threshold);
                let memory = if fits { self.recognize(item, tenant)? } else { return None };
                let is_seen = scope.categories().allows(&memory.categories) && !memory.has_expired_at(query.now);
                (is_seen && query.filter.passes(&memory)).then_some(Hit { memory, relevance })
            })
            .collect()
    }

    /// A page of the list; `None` if the bank does not list. The bank's order differs from ours, so all memories of the scope
    /// are read, but only those that may be on the page are kept.
    pub(super) async fn page_of(&self, scope: &MemoryScope, query: &ListQuery) -> Result<Option<Page>, BankFailure> {
        let (deadline, tenant) = (self.deadline(), BankTenant::of(scope));
        let mut newest = Newest::default();
        let max_listed = self.driver.capabilities().max_listed.unwrap_or(u32::MAX);
        let mut seen = 0;
        for page in 1.. {
            let Some(request) = self.driver.list(&tenant, page) else { return Ok(None) };
            let exchanged = self.exchange(&tenant, request, deadline).await?;
            let items = self.driver.read_items(Arc::unwrap_or_clone(exchanged.response))?;
            seen += items.items.len();
            if seen > count(max_listed) {
                return Err(BankFailure::new(Cause::Rejected).detail(format!(
                    "there are more than {max_listed} memories here, which is more than this memory bank can list; search instead"
                )));
            }
            for memory in items.items.iter().filter_map(|item| self.recognize(item, &tenant)) {
                if scope.categories().allows(&memory.categories) && !memory.has_expired_at(query.now) {
                    newest.add(memory, query);
                }
            }
            newest.drop_oldest(query);
            if !items.has_more || items.items.is_empty() {
                break;
            }
        }
        Ok(Some(newest.into_page(query)))
    }

    /// The IDs of some memories of the scope, from the first non-empty page; `None` if the bank does not list. Without a
    /// restriction these are also items that are no memories any more: whoever erases a scope wants nothing of it to stay.
    pub(super) async fn some_of(&self, scope: &MemoryScope, limit: u32) -> Result<Option<Vec<MemoryId>>, BankFailure> {
        let (deadline, tenant) = (self.deadline(), BankTenant::of(scope));
        let (mut page, mut size) = (1, SAMPLE.min(limit));
        loop {
            let Some(request) = self.driver.sample(&tenant, page, size) else { return Ok(None) };
            let exchanged = match self.exchange(&tenant, request, deadline).await {
                Ok(exchanged) => exchanged,
                // So many are too large for one response. A single one never is.
                Err(failure) if failure.cause == Cause::TooLarge && size > 1 => {
                    (page, size) = (1, (size / GROWTH).max(1));
                    continue;
                }
                Err(failure) => return Err(failure),
            };
            let items = self.driver.read_items(Arc::unwrap_or_clone(exchanged.response))?;
            let seen = items.items.iter().filter(|item| match scope.categories() {
                CategoryAccess::All => item.is_of(&tenant),
                access @ CategoryAccess::Only(_) => {
                    self.recognize(item, &tenant).is_some_and(|memory| access.allows(&memory.categories))
                }
            });
            let ids: Vec<MemoryId> = seen.filter_map(|item| item.id.parse().ok()).take(count(limit)).collect();
            if !ids.is_empty() || !items.has_more || items.items.is_empty() {
                return Ok(Some(ids));
            }
            page += 1;
        }
    }

    /// The memory with that ID and the item it was read from, if it is within the scope. It may have expired.
    pub(super) async fn reach(
        &self,
        scope: &MemoryScope,
        id: &MemoryId,
        deadline: Deadline,
    ) -> Result<Option<(Item, Memory)>, BankFailure> {
        if !self.driver.is_possible_id(id) {
            return Ok(None);
        }
        let tenant = BankTenant::of(scope);
        let exchanged = self.exchange(&tenant, self.driver.get(&tenant, id), deadline).await?;
        let Some(item) = self.driver.read_item(&exchanged.response)? else { return Ok(None) };
        match item.to_memory(&tenant) {
            Ok(memory) if memory.id != *id => Err(BankFailure::inconsistent("another memory than the one asked for")),
            Ok(memory) => Ok(scope.categories().allows(&memory.categories).then_some((item, memory))),
            // Somebody guessed another tenant's ID: the bank is not at fault.
            Err(NotAMemory::Foreign) => Ok(None),
            Err(NotAMemory::Unreadable(what)) => {
                self.metrics.count_left_out(LeftOut::Unreadable);
                Err(BankFailure::inconsistent(what))
            }
        }
    }

    /// Whether there is a memory with that ID that may be deleted. Without a restriction it need not be readable.
    pub(super) async fn holds(
        &self,
        scope: &MemoryScope,
        id: &MemoryId,
        deadline: Deadline,
    ) -> Result<bool, BankFailure> {
        if *scope.categories() != CategoryAccess::All || !self.driver.is_possible_id(id) {
            return Ok(self.reach(scope, id, deadline).await?.is_some());
        }
        let tenant = BankTenant::of(scope);
        let exchanged = self.exchange(&tenant, self.driver.get(&tenant, id), deadline).await?;
        match self.driver.read_item(&exchanged.response)? {
            Some(item) if item.id != id.as_str() => {
                Err(BankFailure::inconsistent("another memory than the one asked for"))
            }
            item => Ok(item.is_some_and(|item| item.is_of(&tenant))),
        }
    }
}

/// The newest memories that a list has seen so far: one page, and one more. A memory that moves to the bank's next page
/// while this one is read is seen twice, and kept once.
#[derive(Default)]
struct Newest {
    by_place: BTreeMap<Reverse<(Timestamp, MemoryId)>, Memory>,
}

impl Newest {
    fn add(&mut self, memory: Memory, query: &ListQuery) {
        if query.lists(&memory) {
            self.by_place.insert(Reverse((query.order.date_of(&memory), memory.id.clone())), memory);
        }
    }

    /// Drops what is not on the page.
    fn drop_oldest(&mut self, query: &ListQuery) {
        let mut size = AnswerSize::default();
        let on_page = self.by_place.values().take_while(|memory| size.take(memory)).count();
        let kept = on_page.min(count(query.limit.get())) + 1;
        if let Some(first) = self.by_place.keys().nth(kept).cloned() {
            self.by_place.split_off(&first);
        }
    }

    fn into_page(self, query: &ListQuery) -> Page {
        Page::of(self.by_place.into_values(), query.limit, query.order)
    }
}

/// By relevance, then by priority, then what was said last first.
fn best_of(mut hits: Vec<Hit>, limit: usize) -> SearchResults {
    let key = |hit: &Hit| (hit.memory.priority, hit.memory.occurred());
    hits.sort_by(|a, b| b.relevance.get().total_cmp(&a.relevance.get()).then_with(|| key(b).cmp(&key(a))));
    let total_found = u64::try_from(hits.len()).unwrap_or(u64::MAX);
    hits.truncate(limit);
    SearchResults { hits, total_found }
}

fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
