//! Stores memories: at once, or durably queued; and what became of that.

use super::actor::Actor;
use super::bank::{Capability, MemoryBankError};
use super::model::{Memory, MemoryScope, is_past};
use super::new_memory::NewMemory;
use super::queue::{Acceptance, Dispatch, QueuedWrite, TrackedWrite, WriteState};
use super::requests::{CreateMemory, Created, IDEMPOTENCY_WINDOW, MemoryError, RequestOutcome, RequestState};
use super::service::{MemoryService, being_stored, check_categories, may_read, require};
use crate::applications::SpaceName;
use crate::audit::AuditKind;
use crate::ids::{MemoryId, RequestId};
use crate::oauth::{Authorized, Caller, Write};
use crate::system::Timestamp;
use crate::validation::InvalidValue;

impl MemoryService {
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
        if is_past(create.expires_at, now) {
            return Err(InvalidValue::new("expires_at", "must be in the future").into());
        }
        let scope = MemoryScope::of(caller);
        check_categories(&scope, &create.categories)?;
        if let Some(older) = &create.supersedes {
            self.check_superseded(caller, &scope, &create, older).await?;
        }
        let context = create.context.clone();
        let created = self.store(caller, request, scope, create, now).await?;
        let event = self.event(AuditKind::MemoryCreated, caller, request).context(context);
        self.audit.record(&event.times(u64::from(!created.is_repetition(request)))).await;
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
            let memory = self.bank().create_first(&self.delivery.admit(&scope).await?, &memory).await?;
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
                answer(request, self.worker.deliver(&write, claim).await)
            }
            (Acceptance::Duplicate { write: known, .. }, _) if known.fingerprint != fingerprint => {
                Err(MemoryError::IdempotencyConflict)
            }
            (Acceptance::Duplicate { write: known, state }, _) => {
                let state = match state {
                    WriteState::Pending => self.worker.deliver(&known, None).await,
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
