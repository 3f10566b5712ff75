//! Searches: the results of the bank, and pending writes beside them.

use std::cell::LazyCell;
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use super::answer_size::AnswerSize;
use super::model::{Memory, MemoryScope};
use super::query::{Hit, MemoryQuery, Relevance, SearchAnswer, SearchResults, StaleAllowed};
use super::queue::QueuedWrite;
use super::requests::{MemoryError, ResultOrder, SearchMemories};
use super::service::MemoryService;
use crate::audit::AuditKind;
use crate::ids::RequestId;
use crate::oauth::{Authorized, Read};

/// Maximum number of pending writes of a scope that a search considers, newest first.
const PENDING_SEARCHED: u32 = 200;

/// The results of a search, best first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// The memories, up to the limit.
    pub hits: Vec<Finding>,
    /// Total number of matches, as far as is known; at least as many as `hits`.
    pub total_found: u64,
    /// Whether requested results are left out, because the memories are large ([`AnswerSize`]).
    pub left_out: bool,
    /// The age of the result, if the bank is unavailable and an earlier result is returned.
    pub stale_for: Option<Duration>,
}

/// One result.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The memory and its relevance.
    pub hit: Hit,
    /// Whether it is still pending. Its ID is then the one that memgate proposes to the bank.
    pub pending: bool,
}

impl MemoryService {
    /// Searches memories, including pending ones. Needs `memory:read`.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub async fn search(
        &self,
        caller: &Authorized<Read>,
        request: RequestId,
        search: SearchMemories,
    ) -> Result<Findings, MemoryError> {
        let SearchMemories { text, limit, threshold, filter, order, context } = search;
        let query = MemoryQuery { text, limit, threshold, filter, now: self.clock.now() };
        let application = caller.application.id;
        let stale = self.stale_for_at_most.map(|max_age| StaleAllowed { application, max_age });
        let findings = self.search_in(&MemoryScope::of(caller), &query, stale).await?;
        self.audit.record(&self.event(AuditKind::MemoriesSearched, caller, request).context(context)).await;
        Ok(findings.in_order(order))
    }

    /// Searches a scope, including its pending writes. Earlier results of the bank are used only if they are allowed.
    pub(super) async fn search_in(
        &self,
        scope: &MemoryScope,
        query: &MemoryQuery,
        stale: Option<StaleAllowed>,
    ) -> Result<Findings, MemoryError> {
        let capabilities = self.bank().capabilities();
        capabilities.require_filter(&query.filter)?;
        // Before the bank is searched: a write delivered in between is found twice rather than missed.
        let pending = if capabilities.local {
            Vec::new()
        } else {
            self.delivery.queue().pending(scope, PENDING_SEARCHED).await?
        };
        let SearchAnswer { results, stale_for } = match stale {
            Some(allowed) => self.bank().search_allowing_stale(scope, query, allowed).await?,
            None => SearchAnswer { results: self.bank().search(scope, query).await?, stale_for: None },
        };
        Ok(Findings { stale_for, ..Findings::merge(results, &pending, scope, query) })
    }
}

impl Findings {
    /// Merges the bank's results with the matching `pending` writes, by relevance; of equals the pending one is first, since it
    /// is newer. A write that the bank already returns is not repeated.
    fn merge(found: SearchResults, pending: &[QueuedWrite], scope: &MemoryScope, query: &MemoryQuery) -> Self {
        // Usually nothing is pending.
        let terms = LazyCell::new(|| terms(query.text.as_str()));
        let is_new = |memory: &Memory| {
            !found.hits.iter().any(|hit| {
                hit.memory.id == memory.id
                    || (hit.memory.created_at == memory.created_at && hit.memory.content == memory.content)
            })
        };
        let waiting: Vec<Hit> = pending
            .iter()
            .map(|write| write.memory.clone().into_memory())
            .filter(|memory| fits(memory, scope, query) && is_new(memory))
            .filter_map(|memory| overlap(&terms, &memory).map(|relevance| Hit { memory, relevance }))
            .filter(|hit| query.threshold.is_none_or(|threshold| hit.relevance >= threshold))
            .collect();
        let total_found = found.total_found + u64::try_from(waiting.len()).unwrap_or(0);
        let waiting = waiting.into_iter().map(|hit| Finding { hit, pending: true });
        let stored = found.hits.into_iter().map(|hit| Finding { hit, pending: false });
        let mut hits: Vec<Finding> = waiting.chain(stored).collect();
        hits.sort_by(|a, b| b.hit.relevance.get().total_cmp(&a.hit.relevance.get()));
        hits.truncate(usize::try_from(query.limit.get()).unwrap_or(usize::MAX));
        let mut size = AnswerSize::default();
        let fitting = hits.iter().take_while(|finding| size.take(&finding.hit.memory)).count();
        let left_out = fitting < hits.len();
        hits.truncate(fitting);
        Self { hits, total_found, left_out, stale_for: None }
    }

    /// The same results in another order.
    fn in_order(mut self, order: ResultOrder) -> Self {
        match order {
            ResultOrder::Relevance => {}
            ResultOrder::Occurred => self.hits.sort_by_key(|finding| Reverse(finding.hit.memory.occurred())),
        }
        self
    }
}

fn fits(memory: &Memory, scope: &MemoryScope, query: &MemoryQuery) -> bool {
    scope.sees(memory, query.now) && query.filter.passes(memory)
}

/// The share of the query's terms that the memory contains; `None` if it contains none. A simple measure: it ranks the few
/// pending memories until the bank does.
fn overlap(wanted: &BTreeSet<String>, memory: &Memory) -> Option<Relevance> {
    let held = terms(memory.content.as_str());
    let count = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    let shared = wanted.intersection(&held).count();
    (shared > 0).then(|| Relevance::clamped(count(shared) / count(wanted.len())))
}

/// The words of a text, in lower case, without the most common plural, and without stop words, unless the text has no
/// others.
fn terms(text: &str) -> BTreeSet<String> {
    const STOP_WORDS: &str = " a an and are as at be been but by can could did do does for from had has have he her his how i in \
                              is it its me my not of on or our she should so that the their them they this to was we were what \
                              when where which who why will with would you your ";
    let folded = text.to_lowercase();
    let words = || folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let stem = |word: &str| word.strip_suffix('s').filter(|stem| stem.chars().count() > 2).unwrap_or(word).to_owned();
    let telling: BTreeSet<String> =
        words().filter(|word| !STOP_WORDS.contains(&format!(" {word} "))).map(stem).collect();
    if telling.is_empty() { words().map(stem).collect() } else { telling }
}

#[cfg(test)]
mod tests;
