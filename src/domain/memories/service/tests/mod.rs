//! The memory service on in-memory ports.

mod bulk;
mod creating;
mod forgetting;
mod history;
mod near_duplicates;
mod queueing;
mod reading;

use std::time::Duration;

use async_trait::async_trait;

use super::*;
use crate::applications::Application;
use crate::audit::Context;
use crate::memories::{
    Admitted, CreateMemory, Created, DeliveryPolicy, Findings, Fingerprint, IDEMPOTENCY_WINDOW, Limit,
    MemoryBankDecorator, MemoryFilter, Metadata, NewMemory, Priority, QueuedWrite, Relevance, RequestState,
    ResultOrder, SearchMemories, StoredMemory, WriteState,
};
use crate::testing::{
    FixedClock, InMemoryAuditLog, InMemoryMemoryBank, InMemoryTenantRegistry, InMemoryWriteQueue, InlineDeliveryWorker,
    SeededEntropy, application, caller, content, unique,
};

/// A memory service, one caller, and everything behind the service.
struct Harness {
    clock: FixedClock,
    bank: Arc<InMemoryMemoryBank>,
    queue: Arc<InMemoryWriteQueue>,
    audit: Arc<InMemoryAuditLog>,
    worker: InlineDeliveryWorker,
    service: MemoryService,
    caller: Caller,
}

impl Harness {
    fn new() -> Self {
        Self::with_bank(InMemoryMemoryBank::default())
    }

    /// With a remote bank, whose every write goes through the queue.
    fn remote() -> Self {
        Self::with_capabilities(|capabilities| capabilities.local = false)
    }

    fn with_capabilities(change: impl FnOnce(&mut Capabilities)) -> Self {
        let mut capabilities = InMemoryMemoryBank::CAPABILITIES;
        change(&mut capabilities);
        Self::with_bank(InMemoryMemoryBank::with_capabilities(capabilities))
    }

    fn with_bank(bank: InMemoryMemoryBank) -> Self {
        let clock = FixedClock::default();
        let bank = Arc::new(bank);
        let queue = Arc::new(InMemoryWriteQueue::default());
        let audit = Arc::new(InMemoryAuditLog::default());
        let delivery = Arc::new(Delivery::new(
            bank.clone(),
            Arc::new(InMemoryTenantRegistry::open()),
            queue.clone(),
            Arc::new(clock.clone()),
            Arc::new(SeededEntropy::default()),
            DeliveryPolicy { capacity: 3, ..DeliveryPolicy::default() },
        ));
        let worker = InlineDeliveryWorker::new(delivery.clone());
        let service = MemoryService::new(delivery, Arc::new(worker.clone()), audit.clone(), Arc::new(clock.clone()));
        Self { clock, bank, queue, audit, worker, service, caller: caller(&application()) }
    }

    /// Replaces the bank behind the service.
    fn replace_bank(&mut self, bank: Arc<dyn MemoryBank>) {
        let (clock, entropy) = (Arc::new(self.clock.clone()), Arc::new(SeededEntropy::new(unique().as_u64_pair().0)));
        let (tenants, policy) = (self.service.delivery.shared_tenants(), *self.service.delivery.policy());
        let delivery = Delivery::new(bank, tenants, self.queue.clone(), clock, entropy, policy);
        self.service.delivery = Arc::new(delivery);
        self.worker = InlineDeliveryWorker::new(self.service.delivery.clone());
        self.service.worker = Arc::new(self.worker.clone());
    }

    /// Another caller, with the application that `change` makes of the caller's.
    fn caller_with(&self, change: impl FnOnce(&mut Application)) -> Caller {
        let mut application = Application::clone(&self.caller.application);
        change(&mut application);
        caller(&application)
    }

    /// A memory that the bank stores at once, or an error.
    async fn create(&self, create: CreateMemory) -> Result<StoredMemory, MemoryError> {
        match self.service.create(&Authorized::unguarded(&self.caller), request(), create).await? {
            Created::Stored(stored) => Ok(*stored),
            Created::Accepted { request_id } => panic!("{request_id} was only accepted"),
        }
    }

    /// The request ID of a memory that the bank does not store at once.
    async fn accepted(&self, create: CreateMemory) -> RequestId {
        match self.service.create(&Authorized::unguarded(&self.caller), request(), create).await.unwrap() {
            Created::Accepted { request_id } => request_id,
            Created::Stored(stored) => panic!("{} was stored", stored.request_id),
        }
    }

    async fn created(&self, text: &str) -> Memory {
        self.create(create(text)).await.unwrap().memory
    }
}

fn request() -> RequestId {
    RequestId::from_uuid(unique())
}

fn create(text: &str) -> CreateMemory {
    CreateMemory {
        content: content(text),
        categories: Vec::new(),
        metadata: Metadata::default(),
        context: Context::default(),
        priority: Priority::Normal,
        occurred_at: None,
        supersedes: None,
        idempotency_key: None,
        expires_at: None,
    }
}

fn search(text: &str) -> SearchMemories {
    SearchMemories {
        order: ResultOrder::Relevance,

        text: text.to_owned().try_into().unwrap(),
        limit: Limit::default(),
        threshold: None,
        filter: MemoryFilter::default(),
        context: Context::default(),
    }
}

/// A bank that does something right after it has created a memory.
struct HookedBank<F> {
    inner: Arc<InMemoryMemoryBank>,
    after_create: F,
}

#[async_trait]
impl<F: Fn() -> Result<(), MemoryBankError> + Send + Sync> MemoryBankDecorator for HookedBank<F> {
    fn inner(&self) -> &dyn MemoryBank {
        &*self.inner
    }

    async fn create_first(&self, scope: &Admitted, memory: &NewMemory) -> Result<Memory, MemoryBankError> {
        MemoryBankDecorator::create(self, scope, memory).await
    }

    async fn create(&self, scope: &Admitted, memory: &NewMemory) -> Result<Memory, MemoryBankError> {
        let created = self.inner.create(scope, memory).await?;
        (self.after_create)().map(|()| created)
    }
}
