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
mod reading;
mod resilience;
mod stored;
mod transport;
mod writing;

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
use self::key_locks::KeyLocks;
use self::resilience::{Deadline, Exchanged, Pipeline};
use self::stored::{BankTenant, Item, NotAMemory};
use crate::domain::ids::MemoryId;
use crate::domain::memories::{
    Capabilities, Capability, Limit, ListQuery, Memory, MemoryBank, MemoryBankError, MemoryQuery, MemoryScope,
    MemoryUpdate, NewMemory, Page, SearchResults,
};
use crate::domain::system::{Clock, Entropy, Timestamp};

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
}

#[async_trait]
impl MemoryBank for RemoteMemoryBank {
    async fn create(&self, scope: &MemoryScope, memory: &NewMemory) -> Result<Memory, MemoryBankError> {
        supersedes_nothing(memory)?;
        Ok(self.create_unless_there(scope, memory, true).await?)
    }

    async fn create_first(&self, scope: &MemoryScope, memory: &NewMemory) -> Result<Memory, MemoryBankError> {
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
        Ok(self.remove(scope, id).await?)
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
