//! The memory service for authorized callers: scope, bank, audit, in this order.

use std::sync::Arc;
use std::time::Duration;

use super::actor::Actor;
use super::bank::{Capabilities, Capability, MemoryBank, MemoryBankError};
use super::delivery::{Delivery, DeliveryWorker};
use super::export::Export;
use super::history::HistoryEntry;
use super::loading::{Import, ImportReport, ImportStopped, merging_reader};
use super::model::{Memory, MemoryChanges, MemoryScope, MemoryUpdate};
use super::new_memory::NewMemory;
use super::query::{ListQuery, MemoryFilter, MemoryQuery, Page, Position};
use super::queue::{Acceptance, Dispatch, QueuedWrite, TrackedWrite, WriteState};
use super::requests::{
    CreateMemory, Created, IDEMPOTENCY_WINDOW, ListMemories, MemoryError, MemoryHistory, RequestOutcome, RequestState,
    SearchMemories, UpdatedMemory,
};
use super::search::{Findings, PENDING_SEARCHED, StaleSearches};
use super::statistics::MemoryStatistics;
use crate::applications::{Category, Permission, SpaceName};
use crate::audit::{AuditEvent, AuditKind, AuditLog, Context};
use crate::ids::{MemoryId, RequestId};
use crate::oauth::{Authorized, Caller, Delete, Read, Write};
use crate::system::{Clock, Timestamp};
use crate::validation::InvalidValue;

/// When to retry a deletion that collided with the delivery of the same memory.
const BEING_STORED: Duration = Duration::from_secs(2);

/// The memory API.
#[derive(Clone)]
pub struct MemoryService {
    pub(super) delivery: Arc<Delivery>,
    worker: Arc<dyn DeliveryWorker>,
    pub(super) audit: Arc<dyn AuditLog>,
    pub(super) clock: Arc<dyn Clock>,
    stale: Option<Arc<StaleSearches>>,
}

impl MemoryService {
    /// Assembles the service. The delivery worker carries what `delivery` accepts.
    pub fn new(
        delivery: Arc<Delivery>,
        worker: Arc<dyn DeliveryWorker>,
        audit: Arc<dyn AuditLog>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { delivery, worker, audit, clock, stale: None }
    }

    /// Returns stale search results while the bank is unavailable.
    #[must_use]
    pub fn with_stale_searches(mut self, stale: StaleSearches) -> Self {
        self.stale = Some(Arc::new(stale));
        self
    }

    pub(super) fn bank(&self) -> &dyn MemoryBank {
        self.delivery.bank()
    }

    /// The capabilities of the bank.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.bank().capabilities()
    }

    /// Checks the health of the bank.
    ///
    /// # Errors
    /// [`MemoryBankError`] with the reason.
    pub async fn check_health(&self) -> Result<(), MemoryBankError> {
        self.bank().check_health().await
    }

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
        let capabilities = self.bank().capabilities();
        let filter = &search.filter;
        require_filter(capabilities, filter)?;
        let query = MemoryQuery {
            text: search.text,
            limit: search.limit,
            threshold: search.threshold,
            filter: search.filter,
            now: self.clock.now(),
        };
        let scope = MemoryScope::of(caller);
        // Before the bank is searched: a write delivered in between is found twice rather than missed.
        let pending = if capabilities.local {
            Vec::new()
        } else {
            self.delivery.queue().pending(&scope, PENDING_SEARCHED).await?
        };
        let application = caller.application.id;
        let began = self.stale.as_ref().map(|stale| stale.begin());
        let (found, stale_for) = match (self.bank().search(&scope, &query).await, &self.stale) {
            (Ok(found), stale) => {
                if let (Some(stale), Some(began)) = (stale, began) {
                    stale.keep(began, application, &scope, &query, &found);
                }
                (found, None)
            }
            (Err(error @ MemoryBankError::Unavailable { .. }), Some(stale)) => {
                match stale.find(application, &scope, &query) {
                    Some((found, age)) => (found, Some(age)),
                    None => return Err(error.into()),
                }
            }
            (Err(error), _) => return Err(error.into()),
        };
        self.record(AuditKind::MemoriesSearched, caller, request, search.context).await;
        let findings = Findings::merge(found, &pending, &scope, &query).in_order(search.order);
        Ok(Findings { stale_for, ..findings })
    }

    /// Stores a memory. Needs `memory:write`. When it returns, the memory is stored, or durably queued.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub async fn create(
        &self,
        caller: &Authorized<Write>,
        request: RequestId,
        create: CreateMemory,
    ) -> Result<Created, MemoryError> {
        require(self.bank().capabilities().expiry || create.expires_at.is_none(), Capability::Expiry)?;
        let now = self.clock.now();
        if create.expires_at.is_some_and(|expiry| expiry <= now) {
            return Err(InvalidValue::new("expires_at", "must be in the future").into());
        }
        let scope = MemoryScope::of(caller);
        check_categories(&scope, &create.categories)?;
        if let Some(older) = &create.supersedes {
            self.check_superseded(caller, &scope, &create, older).await?;
        }
        let (context, supersedes) = (create.context.clone(), create.supersedes.is_some());
        let created = self.store(caller, request, scope.clone(), create, now).await;
        if supersedes {
            self.forget_searches(&scope);
        }
        let created = created?;
        self.record(AuditKind::MemoryCreated, caller, request, context).await;
        Ok(created)
    }

    /// Checks that `older` can be superseded: the scope contains it, and nothing is under way that would store it again. A
    /// repetition finds that its first request has superseded it.
    async fn check_superseded(
        &self,
        caller: &Caller,
        scope: &MemoryScope,
        create: &CreateMemory,
        older: &MemoryId,
    ) -> Result<(), MemoryError> {
        require(self.bank().capabilities().supersede, Capability::Supersede)?;
        if self.bank().get(scope, older, self.clock.now()).await?.is_none() {
            let is_repetition = self.is_repetition(caller, scope, create).await?;
            return if is_repetition { Ok(()) } else { Err(MemoryError::SupersededNotFound) };
        }
        match self.delivery.queue().find_by_memory(scope, older).await? {
            Some(TrackedWrite { state: WriteState::Pending, .. }) => Err(being_stored().into()),
            _ => Ok(()),
        }
    }

    /// Whether a request with the same idempotency key was accepted before.
    pub(super) async fn is_repetition(
        &self,
        caller: &Caller,
        scope: &MemoryScope,
        create: &CreateMemory,
    ) -> Result<bool, MemoryError> {
        let Some(key) = &create.idempotency_key else { return Ok(false) };
        Ok(self.delivery.queue().find_by_key(caller.application.id, scope, key).await?.is_some())
    }

    async fn store(
        &self,
        caller: &Caller,
        request: RequestId,
        scope: MemoryScope,
        create: CreateMemory,
        now: Timestamp,
    ) -> Result<Created, MemoryError> {
        let fingerprint = create.fingerprint();
        let memory = NewMemory {
            id: MemoryId::for_request(request),
            content: create.content,
            categories: create.categories,
            metadata: create.metadata.with_context(&create.context),
            priority: create.priority,
            created_at: now,
            occurred_at: create.occurred_at,
            updated_at: None,
            expires_at: create.expires_at,
            created_by: Some(Actor::of(caller)),
            supersedes: create.supersedes,
            history: Vec::new(),
        };
        let is_alone = create.idempotency_key.is_none() && memory.supersedes.is_none();
        if is_alone && self.writes_without_queue(caller) {
            let memory = self.bank().create_first(&scope, &memory).await?;
            return Ok(Created::stored(request, memory));
        }
        let write = QueuedWrite {
            request_id: request,
            application_id: caller.application.id,
            scope,
            idempotency_key: create.idempotency_key,
            fingerprint,
            memory,
            accepted_at: now,
            keep_until: now.plus(IDEMPOTENCY_WINDOW),
        };
        let mut accepted = self.delivery.accept(&write).await?;
        if let (Acceptance::Duplicate { write: known, state: WriteState::Stored(memory) }, _) = &accepted
            && self.bank().capabilities().local
            && self.forget_if_gone(known, memory).await?
        {
            accepted = self.delivery.accept(&write).await?;
        }
        match accepted {
            (Acceptance::Accepted(Dispatch::Deferred), _) => Ok(Created::Accepted { request_id: request }),
            (Acceptance::Accepted(Dispatch::Claimed | Dispatch::Queued), claim) => {
                answer(request, self.worker.carry(&write, claim).await)
            }
            (Acceptance::Duplicate { write: known, .. }, _) if known.fingerprint != fingerprint => {
                Err(MemoryError::IdempotencyConflict)
            }
            (Acceptance::Duplicate { write: known, state }, _) => {
                let state = match state {
                    WriteState::Pending => self.worker.carry(&known, None).await,
                    ended => ended,
                };
                match state {
                    // Others may have changed the memory since: who may not read learns no more than what it sent.
                    WriteState::Stored(memory) if !may_read(caller) => {
                        let sent = NewMemory { created_at: known.accepted_at, ..write.memory }.into_memory();
                        Ok(Created::stored(known.request_id, Memory { id: memory.id, ..sent }))
                    }
                    state => answer(known.request_id, state),
                }
            }
            (Acceptance::Full, _) => Err(MemoryError::QueueFull),
        }
    }

    /// Whether nothing but the memory itself is kept of a write: in an application's own space, where the requester is obvious,
    /// and in a bank in the same database.
    fn writes_without_queue(&self, caller: &Caller) -> bool {
        let application = &caller.application;
        self.bank().capabilities().local && application.space == SpaceName::own(application.id)
    }

    /// Deletes a write whose memory does not exist any more. Returns whether that is so. If the bank does not answer, the write is
    /// kept, and a remote bank is not asked: a duplicate must be answered quickly.
    async fn forget_if_gone(&self, write: &QueuedWrite, memory: &Memory) -> Result<bool, MemoryError> {
        let now = self.clock.now();
        if !matches!(self.bank().get(&write.scope, &memory.id, now).await, Ok(None)) {
            return Ok(false);
        }
        let queue = self.delivery.queue();
        if let Some(tracked) = queue.find_by_memory(&write.scope, &memory.id).await? {
            queue.remove(&tracked, now).await?;
        }
        Ok(true)
    }

    /// The status of an earlier request of the same application, and of the same person if it acted for one. Needs
    /// `memory:write`. The memory is included if the caller may read.
    ///
    /// # Errors
    /// [`MemoryError`], [`MemoryError::RequestNotFound`] among them.
    pub async fn outcome(&self, caller: &Authorized<Write>, of: RequestId) -> Result<RequestOutcome, MemoryError> {
        let scope = MemoryScope::of(caller);
        if let Some(tracked) = self.delivery.queue().find(caller.application.id, of).await? {
            let write = tracked.write;
            if write.scope.tenant() != scope.tenant() || !scope.categories().allows(&write.memory.categories) {
                return Err(MemoryError::RequestNotFound);
            }
            if let WriteState::Stored(memory) = &tracked.state
                && memory.has_expired_at(self.clock.now())
            {
                return Err(MemoryError::RequestNotFound);
            }
            let state = known_to(caller, tracked.state);
            return Ok(RequestOutcome { request_id: of, accepted_at: write.accepted_at, state });
        }
        if self.writes_without_queue(caller) {
            // The memory has the ID of the request.
            let id = MemoryId::for_request(of);
            if let Some(memory) = self.bank().get(&scope, &id, self.clock.now()).await? {
                let accepted_at = memory.created_at;
                let state = known_to(caller, WriteState::Stored(Box::new(memory)));
                return Ok(RequestOutcome { request_id: of, accepted_at, state });
            }
        }
        Err(MemoryError::RequestNotFound)
    }

    /// Lists memories, newest first. Needs `memory:read`.
    ///
    /// # Errors
    /// [`MemoryError`]; an unknown cursor is [`MemoryError::Invalid`].
    pub async fn list(
        &self,
        caller: &Authorized<Read>,
        request: RequestId,
        list: ListMemories,
    ) -> Result<(Page, Option<String>), MemoryError> {
        let ListMemories { limit, cursor, order, filter } = list;
        require(self.bank().capabilities().list, Capability::List)?;
        require_filter(self.bank().capabilities(), &filter)?;
        let scope = MemoryScope::of(caller);
        let after = cursor.map(|cursor| Position::from_cursor(&cursor, &scope, order)).transpose()?;
        let query = ListQuery { limit, after, order, filter, now: self.clock.now() };
        let page = self.bank().list(&scope, &query).await?;
        let next = page.next.as_ref().map(|position| position.to_cursor(&scope));
        self.record(AuditKind::MemoryRead, caller, request, Context::default()).await;
        Ok((page, next))
    }

    /// The statistics of the caller's scope. Needs `memory:read`.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub async fn statistics(
        &self,
        caller: &Authorized<Read>,
        request: RequestId,
    ) -> Result<MemoryStatistics, MemoryError> {
        require(self.bank().capabilities().list, Capability::List)?;
        let statistics = self.bank().statistics(&MemoryScope::of(caller), self.clock.now()).await?;
        self.record(AuditKind::MemoryRead, caller, request, Context::default()).await;
        Ok(statistics)
    }

    /// All memories of the caller's scope, a page at a time. Needs `memory:read`.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub async fn export(&self, caller: &Authorized<Read>, request: RequestId) -> Result<Export, MemoryError> {
        let export = Export::begin(self.delivery.shared_bank(), [MemoryScope::of(caller)], self.clock.now())?;
        self.record(AuditKind::MemoryRead, caller, request, Context::default()).await;
        Ok(export)
    }

    /// Begins an import into the caller's scope, which [`end_import`](Self::end_import) ends. Needs `memory:write`.
    #[must_use]
    pub fn begin_import(&self, caller: &Authorized<Write>) -> Import {
        self.import_into(MemoryScope::of(caller), Actor::of(caller))
    }

    pub(super) fn import_into(&self, scope: MemoryScope, actor: Actor) -> Import {
        Import::new(self.delivery.shared_bank(), merging_reader(scope, self.clock.now()).by(actor))
    }

    /// Stores what is left of an import, and says what became of all of it.
    ///
    /// # Errors
    /// [`ImportStopped`].
    pub async fn end_import(
        &self,
        caller: &Authorized<Write>,
        request: RequestId,
        import: Import,
    ) -> Result<ImportReport, ImportStopped> {
        let finished = import.finish().await;
        self.forget_searches(&MemoryScope::of(caller));
        self.record(AuditKind::MemoryCreated, caller, request, Context::default()).await;
        finished
    }

    /// One memory. Needs `memory:read`.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub async fn get(
        &self,
        caller: &Authorized<Read>,
        request: RequestId,
        id: &MemoryId,
    ) -> Result<Memory, MemoryError> {
        let memory = self.bank().get(&MemoryScope::of(caller), id, self.clock.now()).await?;
        self.record(AuditKind::MemoryRead, caller, request, Context::default()).await;
        memory.ok_or(MemoryError::NotFound)
    }

    /// What happened to a memory. Needs `memory:read`.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub async fn history(
        &self,
        caller: &Authorized<Read>,
        request: RequestId,
        id: &MemoryId,
    ) -> Result<MemoryHistory, MemoryError> {
        require(self.bank().capabilities().history, Capability::History)?;
        let (scope, now) = (MemoryScope::of(caller), self.clock.now());
        let memory = self.bank().get(&scope, id, now).await?;
        self.record(AuditKind::MemoryRead, caller, request, Context::default()).await;
        let memory = memory.ok_or(MemoryError::NotFound)?;
        let entries = self.history_of(&scope, id, now).await?;
        Ok(MemoryHistory { memory, entries })
    }

    /// The history of a memory of `scope`; empty if the bank keeps none.
    pub(super) async fn history_of(
        &self,
        scope: &MemoryScope,
        id: &MemoryId,
        now: Timestamp,
    ) -> Result<Vec<HistoryEntry>, MemoryError> {
        if !self.bank().capabilities().history {
            return Ok(Vec::new());
        }
        let mut histories = self.bank().histories(scope, std::slice::from_ref(id), now).await?;
        Ok(histories.entries.remove(id).unwrap_or_default())
    }

    /// Forgets what happened to a memory, and what it superseded. Needs `memory:delete`.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub async fn forget_history(
        &self,
        caller: &Authorized<Delete>,
        request: RequestId,
        id: &MemoryId,
    ) -> Result<(), MemoryError> {
        self.forget_history_in(&MemoryScope::of(caller), id).await?;
        self.record(AuditKind::MemoryDeleted, caller, request, Context::default()).await;
        Ok(())
    }

    pub(super) async fn forget_history_in(&self, scope: &MemoryScope, id: &MemoryId) -> Result<(), MemoryError> {
        require(self.bank().capabilities().history, Capability::History)?;
        let is_there = self.bank().forget_history(scope, id, self.clock.now()).await?;
        if is_there { Ok(()) } else { Err(MemoryError::NotFound) }
    }

    /// Updates a memory. Needs `memory:write`; the result is included if the caller may read.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub async fn update(
        &self,
        caller: &Authorized<Write>,
        request: RequestId,
        id: &MemoryId,
        changes: &MemoryChanges,
    ) -> Result<UpdatedMemory, MemoryError> {
        let memory = self.update_in(&MemoryScope::of(caller), id, changes, Actor::of(caller)).await?;
        self.record(AuditKind::MemoryUpdated, caller, request, Context::default()).await;
        let memory = memory.ok_or(MemoryError::NotFound)?;
        Ok(UpdatedMemory { id: memory.id.clone(), memory: may_read(caller).then_some(memory) })
    }

    /// Deletes a memory, and the record of the request that created it: its idempotency key can be used again. A pending memory
    /// is deleted by the ID that searches return. Needs `memory:delete`.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub async fn delete(
        &self,
        caller: &Authorized<Delete>,
        request: RequestId,
        id: &MemoryId,
    ) -> Result<(), MemoryError> {
        self.delete_in(&MemoryScope::of(caller), id).await?;
        self.record(AuditKind::MemoryDeleted, caller, request, Context::default()).await;
        Ok(())
    }

    /// Changes a memory of `scope`, and every copy of it. `None` if there is none.
    pub(super) async fn update_in(
        &self,
        scope: &MemoryScope,
        id: &MemoryId,
        changes: &MemoryChanges,
        by: Actor,
    ) -> Result<Option<Memory>, MemoryError> {
        let capabilities = self.bank().capabilities();
        require(capabilities.update, Capability::Update)?;
        require(capabilities.expiry || changes.expires_at.flatten().is_none(), Capability::Expiry)?;
        if changes.is_empty() {
            return Err(InvalidValue::new("body", "must name at least one member to change").into());
        }
        let now = self.clock.now();
        if changes.expires_at.flatten().is_some_and(|expiry| expiry <= now) {
            return Err(InvalidValue::new("expires_at", "must be in the future").into());
        }
        if let Some(categories) = &changes.categories {
            check_categories(scope, categories)?;
        }
        let update = MemoryUpdate { changes: changes.clone(), by, at: now };
        let memory = self.bank().update(scope, id, &update).await;
        self.forget_searches(scope);
        let memory = memory?;
        if let Some(memory) = &memory {
            // The request that created it must not show what it said before.
            self.delivery.queue().replace_memory(scope, memory).await?;
        }
        Ok(memory)
    }

    /// Deletes a memory of `scope`, and every copy of it.
    pub(super) async fn delete_in(&self, scope: &MemoryScope, id: &MemoryId) -> Result<(), MemoryError> {
        let under_way = self.write_under_way(scope, id).await?;
        let deleted = self.bank().delete(scope, id).await;
        self.forget_searches(scope);
        let was_stored = deleted?;
        let mut was_known = self.forget_request(scope, id, was_stored).await?;
        if let Some(write) = under_way.filter(|write| write != id) {
            was_known |= self.forget_request(scope, &write, was_stored).await?;
        }
        if !was_stored && !was_known {
            return Err(MemoryError::NotFound);
        }
        Ok(())
    }

    /// The ID of the write that created this memory, if it may still be pending though it has arrived: it would be delivered
    /// again.
    async fn write_under_way(&self, scope: &MemoryScope, id: &MemoryId) -> Result<Option<MemoryId>, MemoryError> {
        if self.bank().capabilities().local || self.delivery.queue().pending(scope, 1).await?.is_empty() {
            return Ok(None);
        }
        Ok(self.bank().write_of(scope, id).await?)
    }

    /// Deletes the record of the request that created this memory, after the bank was asked to delete it and said whether it
    /// existed. Returns whether there was such a request.
    async fn forget_request(&self, scope: &MemoryScope, id: &MemoryId, was_stored: bool) -> Result<bool, MemoryError> {
        let queue = self.delivery.queue();
        let Some(tracked) = queue.find_by_memory(scope, id).await? else { return Ok(false) };
        // The bank does not distinguish a memory that the application may not see from one that does not exist.
        if !was_stored && !scope.categories().allows(&tracked.write.memory.categories) {
            return Ok(false);
        }
        if tracked.state == WriteState::Pending && tracked.attempts > 0 {
            // It may have arrived nevertheless.
            if let Some(memory) = self.bank().find_written(scope, &tracked.write.memory).await? {
                self.bank().delete(scope, &memory.id).await?;
            }
        }
        let is_removed = queue.remove(&tracked, self.clock.now()).await?;
        if !is_removed && queue.find_by_memory(scope, id).await?.is_some() {
            return Err(being_stored().into());
        }
        Ok(true)
    }

    /// What was changed, or may have been, must not be returned as a stale result.
    pub(super) fn forget_searches(&self, scope: &MemoryScope) {
        if let Some(stale) = &self.stale {
            stale.forget(scope);
        }
    }

    pub(super) async fn record(&self, kind: AuditKind, caller: &Caller, request: RequestId, context: Context) {
        let event = AuditEvent::new(kind, self.clock.now()).application(caller.application.id).request(request);
        self.audit.record(&event.context(context)).await;
    }
}

fn being_stored() -> MemoryBankError {
    let source = "the memory is being stored right now".into();
    MemoryBankError::Unavailable { retry_after: Some(BEING_STORED), reached: false, source }
}

fn may_read(caller: &Caller) -> bool {
    caller.permissions.contains(Permission::MemoryRead)
}

fn known_to(caller: &Caller, state: WriteState) -> RequestState {
    match state {
        WriteState::Pending => RequestState::Pending,
        WriteState::Stored(memory) => {
            RequestState::Stored { id: memory.id.clone(), memory: may_read(caller).then_some(memory) }
        }
        WriteState::Failed(reason) => RequestState::Failed(reason),
    }
}

fn answer(request_id: RequestId, state: WriteState) -> Result<Created, MemoryError> {
    match state {
        WriteState::Stored(memory) => Ok(Created::stored(request_id, *memory)),
        WriteState::Pending => Ok(Created::Accepted { request_id }),
        WriteState::Failed(reason) => Err(MemoryBankError::Rejected(reason).into()),
    }
}

pub(super) fn require(supported: bool, capability: Capability) -> Result<(), MemoryBankError> {
    if supported { Ok(()) } else { Err(MemoryBankError::Unsupported(capability)) }
}

/// What the filter asks for must be supported.
pub(super) fn require_filter(capabilities: Capabilities, filter: &MemoryFilter) -> Result<(), MemoryBankError> {
    require(capabilities.date_filter || !filter.has_dates(), Capability::DateFilter)?;
    require(capabilities.metadata_filter || !filter.reads_metadata(), Capability::MetadataFilter)
}

fn check_categories(scope: &MemoryScope, categories: &[Category]) -> Result<(), MemoryError> {
    if scope.categories().allows(categories) { Ok(()) } else { Err(MemoryError::CategoryNotAllowed) }
}

#[cfg(test)]
mod tests;
