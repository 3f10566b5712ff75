//! A memory bank over HTTP.
//!
//! Three parts: a [driver](drivers) per kind of service, which only translates; the [pipeline](resilience) that every
//! request goes through; and [`RemoteMemoryBank`], which knows which requests an operation needs, in which order.

mod breaker_state;
mod config;
mod drivers;
mod exchange;
mod failure;
mod key_locks;
mod metrics;
mod resilience;
mod stored;
mod transport;
mod writing;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tracing::warn;

pub use breaker_state::BreakerState;
pub use config::{AuthScheme, BankKind, BreakerConfig, HedgeAfter, ProxyUrl, RemoteBankConfig, ResilienceConfig};
pub use exchange::{Access, BankResponse, Method, Operation, Precondition, RawResponse, Request, ResponseRoom};
pub use failure::{BankFailure, Cause};
pub use metrics::{BankMetrics, LeftOut, Rejection};
pub use resilience::BreakerMode;
pub use transport::{HttpTransport, RemoteBankError, Transport};

use self::drivers::{Driver, UnexpectedResponse};
use self::exchange::Exchanged;
use self::key_locks::KeyLocks;
use self::resilience::{Deadline, Pipeline};
use self::stored::{BankTenant, Item, NotAMemory};
use crate::domain::applications::CategoryAccess;
use crate::domain::ids::MemoryId;
use crate::domain::memories::{
    Admitted, AnswerSize, Capabilities, Capability, Hit, Limit, ListQuery, Memory, MemoryBank, MemoryBankError,
    MemoryFilter, MemoryQuery, MemoryScope, MemoryUpdate, NewMemory, Page, SearchResults,
};
use crate::domain::system::{Clock, Entropy, Timestamp};

/// Growth factor of the requested number of results when filtering leaves too few.
const GROWTH: u32 = 4;
/// Minimum number of results to request when they will be filtered.
const LEAST_TO_FILTER: u32 = 50;
/// Number of memories of a scope that are sampled at a time.
const SAMPLE: u32 = 50;
/// A lower relevance counts as zero: rounding error of banks that compute with 32-bit floats.
const NOTHING: f64 = 0.000_1;

/// A memory bank over HTTP, behind the port [`MemoryBank`].
pub struct RemoteMemoryBank {
    driver: Arc<dyn Driver>,
    pipeline: Arc<Pipeline>,
    locks: KeyLocks,
    config: RemoteBankConfig,
    metrics: Arc<BankMetrics>,
}

impl RemoteMemoryBank {
    /// A client of the configured bank.
    ///
    /// # Errors
    /// [`RemoteBankError`].
    pub fn new(
        config: RemoteBankConfig,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, RemoteBankError> {
        config.validate()?;
        let transport = Arc::new(HttpTransport::new(&config)?);
        Self::with_transport(config, transport, clock, entropy)
    }

    /// A client that sends its requests through `transport`.
    ///
    /// # Errors
    /// [`RemoteBankError::Invalid`].
    pub fn with_transport(
        config: RemoteBankConfig,
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, RemoteBankError> {
        config.validate()?;
        let metrics = Arc::new(BankMetrics::default());
        let pipeline = Pipeline::new(&config.resilience, transport, clock, entropy, Arc::clone(&metrics));
        let driver = drivers::driver(&config);
        Ok(Self { driver, pipeline: Arc::new(pipeline), locks: KeyLocks::default(), config, metrics })
    }

    /// The client's metrics.
    #[must_use]
    pub fn metrics(&self) -> Arc<BankMetrics> {
        Arc::clone(&self.metrics)
    }

    /// The state of a breaker, and whether an operator has forced it.
    #[must_use]
    pub fn breaker(&self, access: Access) -> (BreakerState, BreakerMode) {
        let breaker = self.pipeline.breaker(access);
        (breaker.state(), breaker.mode())
    }

    /// Lets an operator force a breaker open or closed, or returns it to automatic mode.
    pub fn set_breaker_mode(&self, access: Access, mode: BreakerMode) {
        self.pipeline.breaker(access).set_mode(mode);
    }

    fn deadline(&self) -> Deadline {
        Deadline::after(self.config.resilience.deadline)
    }

    async fn exchange(
        &self,
        tenant: &BankTenant,
        request: Request,
        deadline: Deadline,
    ) -> Result<Exchanged, BankFailure> {
        self.pipeline.exchange(tenant, request, deadline).await
    }

    /// The memory that an item holds; `None`, and a log entry, if it is not a memory of the tenant.
    fn recognize(&self, item: &Item, tenant: &BankTenant) -> Option<Memory> {
        match item.to_memory(tenant) {
            Ok(memory) => Some(memory),
            Err(NotAMemory::Foreign) => {
                self.metrics.count_left_out(LeftOut::Foreign);
                warn!(
                    bank = self.config.kind.as_str(),
                    "the memory bank returned a memory of another tenant; it was left out"
                );
                None
            }
            Err(NotAMemory::Unreadable(what)) => {
                self.metrics.count_left_out(LeftOut::Unreadable);
                let (bank, id) = (self.config.kind.as_str(), item.id.as_str());
                warn!(bank, memory.id = id, what, "the memory bank returned an invalid memory; it was left out");
                None
            }
        }
    }

    /// Results are always filtered here, never by the bank. As long as filtering leaves too few and the bank has more, more
    /// are requested.
    async fn find(&self, scope: &MemoryScope, query: &MemoryQuery) -> Result<SearchResults, BankFailure> {
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
                (scope.sees(&memory, query.now) && query.filter.passes(&memory)).then_some(Hit { memory, relevance })
            })
            .collect()
    }

    /// A page of the list; `None` if the bank does not list. The bank's order differs from ours, so all memories of the scope
    /// are read, but only those that may be on the page are kept.
    async fn page_of(&self, scope: &MemoryScope, query: &ListQuery) -> Result<Option<Page>, BankFailure> {
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
                if scope.sees(&memory, query.now) {
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
    async fn some_of(&self, scope: &MemoryScope, limit: u32) -> Result<Option<Vec<MemoryId>>, BankFailure> {
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
    async fn reach(
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
    async fn holds(&self, scope: &MemoryScope, id: &MemoryId, deadline: Deadline) -> Result<bool, BankFailure> {
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

#[async_trait]
impl MemoryBank for RemoteMemoryBank {
    async fn create(&self, scope: &Admitted, memory: &NewMemory) -> Result<Memory, MemoryBankError> {
        supersedes_nothing(memory)?;
        Ok(self.create_unless_there(scope, memory, true).await?)
    }

    async fn create_first(&self, scope: &Admitted, memory: &NewMemory) -> Result<Memory, MemoryBankError> {
        supersedes_nothing(memory)?;
        Ok(self.create_unless_there(scope, memory, false).await?)
    }

    async fn search(&self, scope: &MemoryScope, query: &MemoryQuery) -> Result<SearchResults, MemoryBankError> {
        Ok(self.find(scope, query).await?)
    }

    async fn list(&self, scope: &MemoryScope, query: &ListQuery) -> Result<Page, MemoryBankError> {
        self.page_of(scope, query).await?.ok_or(MemoryBankError::Unsupported(Capability::List))
    }

    async fn get(&self, scope: &MemoryScope, id: &MemoryId, now: Timestamp) -> Result<Option<Memory>, MemoryBankError> {
        let reached = self.reach(scope, id, self.deadline()).await?;
        Ok(reached.map(|(_, memory)| memory).filter(|memory| !memory.has_expired_at(now)))
    }

    async fn update(
        &self,
        scope: &MemoryScope,
        id: &MemoryId,
        update: &MemoryUpdate,
    ) -> Result<Option<Memory>, MemoryBankError> {
        if !self.driver.capabilities().update {
            return Err(MemoryBankError::Unsupported(Capability::Update));
        }
        Ok(self.change(scope, id, update).await?)
    }

    async fn delete(&self, scope: &MemoryScope, id: &MemoryId) -> Result<bool, MemoryBankError> {
        Ok(self.remove(scope, id, None).await?)
    }

    async fn delete_unchanged(
        &self,
        scope: &MemoryScope,
        id: &MemoryId,
        updated_at: Timestamp,
    ) -> Result<bool, MemoryBankError> {
        Ok(self.remove(scope, id, Some(updated_at)).await?)
    }

    fn capabilities(&self) -> Capabilities {
        self.driver.capabilities()
    }

    async fn sample(&self, scope: &MemoryScope, limit: Limit) -> Result<Vec<MemoryId>, MemoryBankError> {
        let some = self.some_of(scope, limit.get()).await?;
        some.ok_or(MemoryBankError::Unsupported(Capability::List))
    }

    async fn find_written(&self, scope: &MemoryScope, write: &NewMemory) -> Result<Option<Memory>, MemoryBankError> {
        Ok(self.look_up(&BankTenant::of(scope), write, self.deadline()).await?)
    }

    async fn write_of(&self, scope: &MemoryScope, id: &MemoryId) -> Result<Option<MemoryId>, MemoryBankError> {
        let reached = self.reach(scope, id, self.deadline()).await?;
        Ok(reached.and_then(|(item, _)| item.write_id()?.parse().ok()))
    }

    async fn check_health(&self) -> Result<(), MemoryBankError> {
        let response = self.pipeline.probe(&self.driver.health()).await?;
        Ok(self.driver.read_health(&response).map_err(BankFailure::from)?)
    }
}

/// A bank cannot replace one memory by another in one step.
fn supersedes_nothing(memory: &NewMemory) -> Result<(), MemoryBankError> {
    match memory.supersedes {
        None => Ok(()),
        Some(_) => Err(MemoryBankError::Unsupported(Capability::Supersede)),
    }
}

impl From<UnexpectedResponse> for BankFailure {
    fn from(response: UnexpectedResponse) -> Self {
        Self::inconsistent(response.0)
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
