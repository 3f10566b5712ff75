//! Search results beside those of the bank: pending writes, and stale results.

use std::cell::LazyCell;
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::answer_size::AnswerSize;
use super::model::{Memory, MemoryScope};
use super::query::{Hit, MemoryQuery, Relevance, SearchResults};
use super::queue::QueuedWrite;
use super::requests::ResultOrder;
use crate::applications::CategoryAccess;
use crate::ids::ApplicationId;
use crate::system::Timestamp;

/// Maximum number of pending writes of a scope that a search considers, newest first.
pub(super) const PENDING_SEARCHED: u32 = 200;

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

impl Findings {
    /// Merges the bank's results with the matching `pending` writes, by relevance; of equals the pending one is first, since it
    /// is newer. A write that the bank already returns is not repeated.
    pub(super) fn merge(
        found: SearchResults,
        pending: &[QueuedWrite],
        scope: &MemoryScope,
        query: &MemoryQuery,
    ) -> Self {
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
    pub(super) fn in_order(mut self, order: ResultOrder) -> Self {
        match order {
            ResultOrder::Relevance => {}
            ResultOrder::Occurred => self.hits.sort_by_key(|finding| Reverse(finding.hit.memory.occurred())),
        }
        self
    }
}

fn fits(memory: &Memory, scope: &MemoryScope, query: &MemoryQuery) -> bool {
    scope.categories().allows(&memory.categories)
        && query.filter.passes(memory)
        && memory.expires_at.is_none_or(|expiry| query.now < expiry)
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

/// Earlier search results, for when the bank is unavailable. Bounded in number and in size; the oldest are evicted first.
pub struct StaleSearches {
    max_age: Duration,
    answers: Mutex<Answers>,
}

type Key = [u8; 32];

#[derive(Default)]
struct Answers {
    by_key: HashMap<Key, Answer>,
    /// The keys ordered by the time of their results. A key whose result was replaced or dropped has outdated entries here,
    /// recognized by their number.
    order: VecDeque<(Key, u64)>,
    bytes: usize,
    count: u64,
    /// The tenants whose results were dropped recently, each with its sequence number.
    forgotten: VecDeque<(String, u64)>,
    forgettings: u64,
}

/// When a search began, as a sequence number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Began(u64);

struct Answer {
    tenant: String,
    at: Timestamp,
    results: SearchResults,
    bytes: usize,
    number: u64,
}

impl StaleSearches {
    /// Maximum number of cached results.
    pub const MAX_ANSWERS: usize = 2_000;
    /// Maximum total size of their memories in bytes.
    pub const MAX_BYTES: usize = 32 * 1024 * 1024;
    /// Number of invalidations that are remembered; results of searches that began before them are not cached.
    const MAX_FORGOTTEN: usize = 1_024;

    /// Results are returned for at most `max_age`.
    #[must_use]
    pub fn new(max_age: Duration) -> Self {
        Self { max_age, answers: Mutex::default() }
    }

    /// A search begins: its result may be cached, unless its scope is invalidated meanwhile.
    pub(super) fn begin(&self) -> Began {
        Began(self.answers.lock().unwrap_or_else(PoisonError::into_inner).forgettings)
    }

    pub(super) fn keep(
        &self,
        began: Began,
        application: ApplicationId,
        scope: &MemoryScope,
        query: &MemoryQuery,
        results: &SearchResults,
    ) {
        let bytes = results.hits.iter().map(|hit| size_of(&hit.memory)).sum();
        if bytes > Self::MAX_BYTES / 16 {
            return;
        }
        let key = key_of(application, scope, query);
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.was_forgotten_since(began, &scope.tenant()) {
            return;
        }
        answers.remove(&key);
        answers.count += 1;
        let number = answers.count;
        answers.bytes += bytes;
        answers.order.push_back((key, number));
        let answer = Answer { tenant: scope.tenant(), at: query.now, results: results.clone(), bytes, number };
        answers.by_key.insert(key, answer);
        answers.make_room();
    }

    /// The result that the same application got for the same search, and its age.
    pub(super) fn find(
        &self,
        application: ApplicationId,
        scope: &MemoryScope,
        query: &MemoryQuery,
    ) -> Option<(SearchResults, Duration)> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = answers.by_key.get(&key_of(application, scope, query))?;
        let age = query.now.since(answer.at);
        if age > self.max_age {
            return None;
        }
        let mut results = answer.results.clone();
        // What was invalidated meanwhile stays invalid.
        results.hits.retain(|hit| hit.memory.expires_at.is_none_or(|expiry| query.now < expiry));
        Some((results, age))
    }

    /// Invalidates the results of a scope in which something was changed or deleted.
    pub(super) fn forget(&self, scope: &MemoryScope) {
        let tenant = scope.tenant();
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let keys: Vec<Key> =
            answers.by_key.iter().filter(|(_, answer)| answer.tenant == tenant).map(|(key, _)| *key).collect();
        for key in keys {
            answers.remove(&key);
        }
        answers.forgettings += 1;
        let number = answers.forgettings;
        answers.forgotten.push_back((tenant, number));
        if answers.forgotten.len() > Self::MAX_FORGOTTEN {
            answers.forgotten.pop_front();
        }
    }
}

impl Answers {
    fn was_forgotten_since(&self, began: Began, tenant: &str) -> bool {
        let is_known = |number: u64| self.forgotten.front().is_some_and(|(_, first)| *first <= number);
        began.0 < self.forgettings
            && (!is_known(began.0 + 1)
                || self.forgotten.iter().any(|(forgotten, number)| *number > began.0 && forgotten == tenant))
    }

    fn remove(&mut self, key: &Key) {
        if let Some(answer) = self.by_key.remove(key) {
            self.bytes -= answer.bytes;
        }
    }

    fn make_room(&mut self) {
        while self.by_key.len() > StaleSearches::MAX_ANSWERS
            || self.bytes > StaleSearches::MAX_BYTES
            || self.order.len() > 2 * StaleSearches::MAX_ANSWERS
        {
            let Some((key, number)) = self.order.pop_front() else { return };
            if self.by_key.get(&key).is_some_and(|answer| answer.number == number) {
                self.remove(&key);
            }
        }
    }
}

fn size_of(memory: &Memory) -> usize {
    const REST: usize = 512;
    let metadata = serde_json::to_string(memory.metadata.as_object()).map_or(0, |text| text.len());
    memory.content.as_str().len() + metadata + REST
}

/// Everything that the result depends on except the time.
fn key_of(application: ApplicationId, scope: &MemoryScope, query: &MemoryQuery) -> Key {
    let categories = match scope.categories() {
        CategoryAccess::All => None,
        CategoryAccess::Only(categories) => Some(categories.iter().map(ToString::to_string).collect::<Vec<_>>()),
    };
    let filter = &query.filter;
    let wanted: Vec<String> = filter.categories.iter().map(ToString::to_string).collect();
    let metadata: Vec<_> = filter.metadata.iter().map(|(name, value)| (name, format!("{value:?}"))).collect();
    let asked = serde_json::json!([
        application.to_string(),
        scope.tenant(),
        categories,
        query.text.as_str(),
        query.limit.get(),
        query.threshold.map(Relevance::get),
        wanted,
        filter.created.start().map(Timestamp::unix_millis),
        filter.created.end().map(Timestamp::unix_millis),
        filter.occurred.start().map(Timestamp::unix_millis),
        filter.occurred.end().map(Timestamp::unix_millis),
        metadata,
        filter.condition.as_ref().map(|condition| format!("{condition:?}")),
    ]);
    Sha256::digest(asked.to_string()).into()
}

#[cfg(test)]
mod tests;
