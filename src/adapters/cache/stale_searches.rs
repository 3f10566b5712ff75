//! Keeps what searches found, for when the bank is unavailable.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use crate::domain::applications::CategoryAccess;
use crate::domain::ids::{ApplicationId, MemoryId};
use crate::domain::memories::{
    Admitted, IsNew, Memory, MemoryBank, MemoryBankDecorator, MemoryBankError, MemoryQuery, MemoryScope, MemoryUpdate,
    NewMemory, Relevance, SearchAnswer, SearchResults, StaleAllowed,
};
use crate::domain::system::Timestamp;

/// Gives earlier answers to searches while the bank behind it is unavailable; everything else is delegated to it. What changes or
/// deletes memories, or may have, invalidates the answers of their scope.
pub struct StaleSearchMemoryBank {
    inner: Arc<dyn MemoryBank>,
    searches: StaleSearches,
}

impl StaleSearchMemoryBank {
    /// Keeps answers of `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn MemoryBank>) -> Self {
        Self { inner, searches: StaleSearches::default() }
    }
}

#[async_trait]
impl MemoryBankDecorator for StaleSearchMemoryBank {
    fn inner(&self) -> &dyn MemoryBank {
        &*self.inner
    }

    async fn create(&self, scope: &Admitted, memory: &NewMemory) -> Result<Memory, MemoryBankError> {
        let created = self.inner.create(scope, memory).await;
        if memory.supersedes.is_some() {
            self.searches.forget(scope);
        }
        created
    }

    async fn create_first(&self, scope: &Admitted, memory: &NewMemory) -> Result<Memory, MemoryBankError> {
        let created = self.inner.create_first(scope, memory).await;
        if memory.supersedes.is_some() {
            self.searches.forget(scope);
        }
        created
    }

    async fn create_all(&self, scope: &Admitted, memories: Vec<NewMemory>) -> Result<Vec<IsNew>, MemoryBankError> {
        let created = self.inner.create_all(scope, memories).await;
        self.searches.forget(scope);
        created
    }

    async fn search_allowing_stale(
        &self,
        scope: &MemoryScope,
        query: &MemoryQuery,
        allowed: StaleAllowed,
    ) -> Result<SearchAnswer, MemoryBankError> {
        let began = self.searches.begin();
        match self.inner.search(scope, query).await {
            Ok(results) => {
                self.searches.keep(began, allowed.application, scope, query, &results);
                Ok(SearchAnswer { results, stale_for: None })
            }
            Err(error @ MemoryBankError::Unavailable { .. }) => {
                let (results, age) = self.searches.find(allowed, scope, query).ok_or(error)?;
                Ok(SearchAnswer { results, stale_for: Some(age) })
            }
            Err(error) => Err(error),
        }
    }

    async fn update(
        &self,
        scope: &MemoryScope,
        id: &MemoryId,
        update: &MemoryUpdate,
    ) -> Result<Option<Memory>, MemoryBankError> {
        let updated = self.inner.update(scope, id, update).await;
        self.searches.forget(scope);
        updated
    }

    async fn delete(&self, scope: &MemoryScope, id: &MemoryId) -> Result<bool, MemoryBankError> {
        let deleted = self.inner.delete(scope, id).await;
        self.searches.forget(scope);
        deleted
    }

    async fn delete_unchanged(
        &self,
        scope: &MemoryScope,
        id: &MemoryId,
        updated_at: Timestamp,
    ) -> Result<bool, MemoryBankError> {
        let deleted = self.inner.delete_unchanged(scope, id, updated_at).await;
        self.searches.forget(scope);
        deleted
    }
}

/// Earlier answers. Bounded in number and in size; the oldest are evicted first.
#[derive(Default)]
struct StaleSearches {
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
    invalidations: u64,
}

/// When a search began, as a sequence number.
#[derive(Clone, Copy, Debug)]
struct Began(u64);

struct Answer {
    tenant: String,
    at: Timestamp,
    results: SearchResults,
    bytes: usize,
    number: u64,
}

impl StaleSearches {
    /// Maximum number of cached results.
    const MAX_ANSWERS: usize = 2_000;
    /// Maximum total size of their memories in bytes.
    const MAX_BYTES: usize = 32 * 1024 * 1024;
    /// Number of invalidations that are kept; results of searches that began before them are not cached.
    const MAX_FORGOTTEN: usize = 1_024;

    /// A search begins: its result may be cached, unless its scope is invalidated meanwhile.
    fn begin(&self) -> Began {
        Began(self.answers.lock().unwrap_or_else(PoisonError::into_inner).invalidations)
    }

    fn keep(
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
    fn find(
        &self,
        allowed: StaleAllowed,
        scope: &MemoryScope,
        query: &MemoryQuery,
    ) -> Option<(SearchResults, Duration)> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = answers.by_key.get(&key_of(allowed.application, scope, query))?;
        let age = query.now.since(answer.at);
        if age > allowed.max_age {
            return None;
        }
        let mut results = answer.results.clone();
        // What was invalidated meanwhile stays invalid.
        results.hits.retain(|hit| !hit.memory.has_expired_at(query.now));
        Some((results, age))
    }

    /// Invalidates the results of a scope in which something was changed or deleted.
    fn forget(&self, scope: &MemoryScope) {
        let tenant = scope.tenant();
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let keys: Vec<Key> =
            answers.by_key.iter().filter(|(_, answer)| answer.tenant == tenant).map(|(key, _)| *key).collect();
        for key in keys {
            answers.remove(&key);
        }
        answers.invalidations += 1;
        let number = answers.invalidations;
        answers.forgotten.push_back((tenant, number));
        if answers.forgotten.len() > Self::MAX_FORGOTTEN {
            answers.forgotten.pop_front();
        }
    }
}

impl Answers {
    fn was_forgotten_since(&self, began: Began, tenant: &str) -> bool {
        let is_known = |number: u64| self.forgotten.front().is_some_and(|(_, first)| *first <= number);
        began.0 < self.invalidations
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
