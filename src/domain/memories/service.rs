//! The memory service for authorized callers: scope, bank, audit, in this order.

use std::sync::Arc;
use std::time::Duration;

use super::actor::Actor;
use super::bank::{Capabilities, Capability, MemoryBank, MemoryBankError};
use super::delivery::{Delivery, DeliveryWorker};
use super::export::Export;
use super::history::HistoryEntry;
use super::loading::{Import, ImportReport, ImportStopped, streaming_reader};
use super::model::{Memory, MemoryChanges, MemoryScope, MemoryUpdate, is_past};
use super::query::{ListQuery, MemoryList, Position};
use super::queue::TrackedWrite;
use super::requests::{ListMemories, MemoryError, MemoryHistory, UpdatedMemory};
use super::statistics::MemoryStatistics;
use crate::applications::{Category, Permission};
use crate::audit::{AuditEvent, AuditKind, AuditLog};
use crate::ids::{MemoryId, RequestId};
use crate::oauth::{Authorized, Caller, Delete, Read, Subject, Write};
use crate::system::{Clock, StorageError, Timestamp};
use crate::validation::InvalidValue;

/// When to retry a deletion that collided with the delivery of the same memory.
const BEING_STORED: Duration = Duration::from_secs(2);

/// The memory API.
#[derive(Clone)]
pub struct MemoryService {
    pub(super) delivery: Arc<Delivery>,
    pub(super) worker: Arc<dyn DeliveryWorker>,
    pub(super) audit: Arc<dyn AuditLog>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) stale_for_at_most: Option<Duration>,
}

impl MemoryService {
    /// Assembles the service. The delivery worker carries what `delivery` accepts.
    pub fn new(
        delivery: Arc<Delivery>,
        worker: Arc<dyn DeliveryWorker>,
        audit: Arc<dyn AuditLog>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { delivery, worker, audit, clock, stale_for_at_most: None }
    }

    /// Allows search results of this age while the bank is unavailable.
    #[must_use]
    pub fn with_stale_searches(mut self, max_age: Duration) -> Self {
        self.stale_for_at_most = Some(max_age);
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

    /// Lists memories, newest first. Needs `memory:read`.
    ///
    /// # Errors
    /// [`MemoryError`]; an unknown cursor is [`MemoryError::Invalid`].
    pub async fn list(
        &self,
        caller: &Authorized<Read>,
        request: RequestId,
        list: ListMemories,
    ) -> Result<MemoryList, MemoryError> {
        let ListMemories { limit, cursor, order, filter } = list;
        require(self.bank().capabilities().list, Capability::List)?;
        self.bank().capabilities().require_filter(&filter)?;
        let scope = MemoryScope::of(caller);
        let after = cursor.map(|cursor| Position::from_cursor(&cursor, &scope, order)).transpose()?;
        let query = ListQuery { limit, after, order, filter, now: self.clock.now() };
        let page = self.bank().list(&scope, &query).await?;
        self.record(AuditKind::MemoryRead, caller, request).await;
        Ok(MemoryList::of(page, &scope, order))
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
        self.record(AuditKind::MemoryRead, caller, request).await;
        Ok(statistics)
    }

    /// All memories of the caller's scope, a page at a time. Needs `memory:read`.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub async fn export(&self, caller: &Authorized<Read>, request: RequestId) -> Result<Export, MemoryError> {
        let export = Export::begin(self.delivery.shared_bank(), [MemoryScope::of(caller)], Arc::clone(&self.clock))?;
        self.record(AuditKind::MemoryRead, caller, request).await;
        Ok(export)
    }

    /// Begins an import into the caller's scope, which [`end_import`](Self::end_import) ends. Needs `memory:write`.
    #[must_use]
    pub fn begin_import(&self, caller: &Authorized<Write>) -> Import {
        self.import_into(MemoryScope::of(caller), Actor::of(caller))
    }

    pub(super) fn import_into(&self, scope: MemoryScope, actor: Actor) -> Import {
        let reader = streaming_reader(scope, self.clock.now()).by(actor);
        Import::new(self.delivery.shared_bank(), self.delivery.shared_tenants(), reader)
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
        let report = finished.as_ref().unwrap_or_else(|stopped| &stopped.report);
        self.audit.record(&self.event(AuditKind::MemoryCreated, caller, request).times(report.created)).await;
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
        self.record(AuditKind::MemoryRead, caller, request).await;
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
        self.record(AuditKind::MemoryRead, caller, request).await;
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
        self.record(AuditKind::MemoryUpdated, caller, request).await;
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
        let memory = self.update_in(&MemoryScope::of(caller), id, changes, Actor::of(caller), None).await?;
        let memory = memory.ok_or(MemoryError::NotFound)?;
        self.record(AuditKind::MemoryUpdated, caller, request).await;
        Ok(UpdatedMemory { id: memory.id.clone(), memory: may_read(caller).then_some(memory) })
    }

    /// Deletes a memory, and the record of the request that created it: its idempotency key can be used again. A pending memory
    /// is deleted by the ID that searches return, also if it is delivered meanwhile. Needs `memory:delete`.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub async fn delete(
        &self,
        caller: &Authorized<Delete>,
        request: RequestId,
        id: &MemoryId,
    ) -> Result<(), MemoryError> {
        self.delete_in(&MemoryScope::of(caller), id, None).await?;
        self.record(AuditKind::MemoryDeleted, caller, request).await;
        Ok(())
    }

    /// Changes a memory of `scope`, and every copy of it. `None` if there is none, or it is not as the
    /// [condition](MemoryUpdate::if_updated_at) wants it.
    pub(super) async fn update_in(
        &self,
        scope: &MemoryScope,
        id: &MemoryId,
        changes: &MemoryChanges,
        by: Actor,
        if_updated_at: Option<Timestamp>,
    ) -> Result<Option<Memory>, MemoryError> {
        let capabilities = self.bank().capabilities();
        require(capabilities.update, Capability::Update)?;
        require(capabilities.expiry || changes.expires_at.flatten().is_none(), Capability::Expiry)?;
        if changes.is_empty() {
            return Err(InvalidValue::new("body", "must name at least one member to change").into());
        }
        let now = self.clock.now();
        if is_past(changes.expires_at.flatten(), now) {
            return Err(InvalidValue::new("expires_at", "must be in the future").into());
        }
        if let Some(categories) = &changes.categories {
            check_categories(scope, categories)?;
        }
        let update = MemoryUpdate { changes: changes.clone(), by, at: now, if_updated_at };
        let memory = self.bank().update(scope, id, &update).await?;
        if let Some(memory) = &memory {
            // The request that created it must not show what it said before.
            self.delivery.queue().replace_memory(scope, memory).await?;
        }
        Ok(memory)
    }

    /// Deletes a memory of `scope`, and every copy of it; with `if_updated_at` only if it was last updated then. Returns whether
    /// it was.
    pub(super) async fn delete_in(
        &self,
        scope: &MemoryScope,
        id: &MemoryId,
        if_updated_at: Option<Timestamp>,
    ) -> Result<bool, MemoryError> {
        let under_way = self.write_under_way(scope, id).await?;
        let was_stored = match if_updated_at {
            None => self.bank().delete(scope, id).await?,
            Some(updated_at) => {
                let is_deleted = self.bank().delete_unchanged(scope, id, updated_at).await?;
                if !is_deleted && !self.is_not_there_yet(scope, id).await? {
                    return Ok(false);
                }
                is_deleted
            }
        };
        let mut was_known = self.forget_request(scope, id, was_stored).await?;
        if let Some(write) = under_way.filter(|write| write != id) {
            was_known |= self.forget_request(scope, &write, was_stored).await?;
        }
        if !was_stored && !was_known {
            let Some(delivered) = self.delivered_as(scope, id).await? else { return Err(MemoryError::NotFound) };
            return Box::pin(self.delete_in(scope, &delivered, None)).await;
        }
        Ok(true)
    }

    /// The write of `scope` that proposes this ID, if the bank is remote: its memories may be pending.
    pub(super) async fn write_proposing(
        &self,
        scope: &MemoryScope,
        id: &MemoryId,
    ) -> Result<Option<TrackedWrite>, StorageError> {
        match id.as_request().filter(|_| !self.bank().capabilities().local) {
            Some(request) => self.delivery.queue().find_by_request(scope, request).await,
            None => Ok(None),
        }
    }

    /// Whether the bank has nothing with this ID yet, since the memory is pending or refused, or was delivered under another:
    /// nobody has changed it.
    async fn is_not_there_yet(&self, scope: &MemoryScope, id: &MemoryId) -> Result<bool, StorageError> {
        let write = self.write_proposing(scope, id).await?;
        Ok(write.is_some_and(|write| write.delivered_as().is_none_or(|delivered| delivered != id)))
    }

    /// The ID that the bank has given to a memory which had this one while it was pending, if they differ: who saw it then may
    /// still call it so.
    async fn delivered_as(&self, scope: &MemoryScope, id: &MemoryId) -> Result<Option<MemoryId>, StorageError> {
        let write = self.write_proposing(scope, id).await?;
        Ok(write.and_then(|write| write.delivered_as().cloned()).filter(|delivered| delivered != id))
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
        if tracked.may_have_arrived()
            && let Some(memory) = self.bank().find_written(scope, &tracked.write.memory).await?
        {
            self.bank().delete(scope, &memory.id).await?;
        }
        let is_removed = queue.remove(&tracked, self.clock.now()).await?;
        if !is_removed && queue.find_by_memory(scope, id).await?.is_some() {
            return Err(being_stored().into());
        }
        Ok(true)
    }

    pub(super) async fn record(&self, kind: AuditKind, caller: &Caller, request: RequestId) {
        self.audit.record(&self.event(kind, caller, request)).await;
    }

    pub(super) fn event(&self, kind: AuditKind, caller: &Caller, request: RequestId) -> AuditEvent {
        let event = AuditEvent::new(kind, self.clock.now()).application(caller.application.id).request(request);
        match caller.subject {
            Subject::Application => event,
            Subject::Person(person) => event.person(person),
        }
    }
}

pub(super) fn being_stored() -> MemoryBankError {
    let source = "the memory is being stored right now".into();
    MemoryBankError::Unavailable { retry_after: Some(BEING_STORED), reached: false, source }
}

pub(super) fn may_read(caller: &Caller) -> bool {
    caller.permissions.contains(Permission::MemoryRead)
}

pub(super) fn require(supported: bool, capability: Capability) -> Result<(), MemoryBankError> {
    if supported { Ok(()) } else { Err(MemoryBankError::Unsupported(capability)) }
}

pub(super) fn check_categories(scope: &MemoryScope, categories: &[Category]) -> Result<(), MemoryError> {
    if scope.categories().allows(categories) { Ok(()) } else { Err(MemoryError::CategoryNotAllowed) }
}

#[cfg(test)]
mod tests;
