//! What a caller does with memories: permission, allowance, scope, bank, audit, in this order.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::bank::{Capabilities, Capability, MemoryBank, MemoryBankError};
use super::metadata::{Context, Metadata};
use super::model::{Category, Content, Memory, MemoryChanges, MemoryScope, NewMemory, Priority};
use super::query::{
    DateRange, Limit, ListQuery, MemoryFilter, MemoryQuery, Page, Position, QueryText, Relevance, SearchResults,
};
use super::queue::{Acceptance, Fingerprint, IdempotencyKey, QueuedWrite, WriteQueue, WriteState};
use crate::applications::{Permission, RequestsPerMinute};
use crate::audit::{AuditEvent, AuditKind, AuditLog};
use crate::ids::{MemoryId, RequestId};
use crate::limits::{RateLimited, RateLimiter};
use crate::oauth::{Caller, MissingPermission};
use crate::system::{Clock, StorageError, Timestamp};
use crate::validation::InvalidValue;

/// For how long a repetition of a write is recognised by its idempotency key.
pub const IDEMPOTENCY_WINDOW: Duration = Duration::from_hours(24);

/// What a caller asks to be remembered.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateMemory {
    /// See [`Memory::content`].
    pub content: Content,
    /// See [`Memory::categories`].
    pub categories: Vec<Category>,
    /// See [`Memory::metadata`].
    pub metadata: Metadata,
    /// Where the request comes from.
    pub context: Context,
    /// See [`Memory::priority`].
    pub priority: Priority,
    /// The caller's name for this write.
    pub idempotency_key: Option<IdempotencyKey>,
    /// See [`Memory::expires_at`].
    pub expires_at: Option<Timestamp>,
}

impl CreateMemory {
    /// Everything but the idempotency key, in a form in which equal writes are equal.
    fn fingerprint(&self) -> Fingerprint {
        let categories: Vec<&str> = self.categories.iter().map(Category::as_str).collect();
        let ids = [&self.context.custom_gpt_id, &self.context.conversation_id];
        let said = serde_json::json!([
            self.content.as_str(),
            categories,
            self.metadata.as_object(),
            ids.map(|id| id.as_ref().map(|id| id.as_str().to_owned())),
            self.priority.as_str(),
            self.expires_at.map(Timestamp::unix_millis),
        ]);
        Sha256::digest(said.to_string()).into()
    }
}

/// What a caller looks for.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchMemories {
    /// See [`MemoryQuery::text`].
    pub text: QueryText,
    /// See [`MemoryQuery::limit`].
    pub limit: Limit,
    /// See [`MemoryQuery::threshold`].
    pub threshold: Option<Relevance>,
    /// See [`MemoryQuery::filter`].
    pub filter: MemoryFilter,
    /// Where the request comes from.
    pub context: Context,
}

/// A memory that was stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredMemory {
    /// The request that stored it: for a repetition, the first one.
    pub request_id: RequestId,
    /// The memory as it was then.
    pub memory: Memory,
}

/// Why a caller's request about memories was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The token does not carry the permission.
    #[error(transparent)]
    Forbidden(#[from] MissingPermission),
    /// The application called more often than it may.
    #[error(transparent)]
    RateLimited(#[from] RateLimited),
    /// A value cannot be.
    #[error(transparent)]
    Invalid(#[from] InvalidValue),
    /// There is no such memory in the caller's scope.
    #[error("there is no memory with this id; search or list to find the ids of memories")]
    NotFound,
    /// The same idempotency key came with another body before.
    #[error("this idempotency key was used before with another body; use a new key for another memory")]
    IdempotencyConflict,
    /// The application may not write in these categories.
    #[error("this application may only write memories whose categories are among the ones it was given")]
    CategoryNotAllowed,
    /// The bank failed.
    #[error(transparent)]
    Bank(#[from] MemoryBankError),
    /// The queue failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The memory API.
#[derive(Clone)]
pub struct MemoryService {
    bank: Arc<dyn MemoryBank>,
    queue: Arc<dyn WriteQueue>,
    limiter: Arc<dyn RateLimiter>,
    default_limit: RequestsPerMinute,
    audit: Arc<dyn AuditLog>,
    clock: Arc<dyn Clock>,
}

impl MemoryService {
    /// Puts the service together.
    pub fn new(
        bank: Arc<dyn MemoryBank>,
        queue: Arc<dyn WriteQueue>,
        limiter: Arc<dyn RateLimiter>,
        default_limit: RequestsPerMinute,
        audit: Arc<dyn AuditLog>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { bank, queue, limiter, default_limit, audit, clock }
    }

    /// Takes one request out of the caller's allowance, for requests that no other method here stands for.
    ///
    /// # Errors
    /// [`RateLimited`].
    pub fn admit(&self, caller: &Caller) -> Result<(), RateLimited> {
        let application = &caller.application;
        let limit = self.rate_limit(caller);
        self.limiter.take(application.id, limit, self.clock.now())
    }

    /// How often the caller's application may call.
    #[must_use]
    pub fn rate_limit(&self, caller: &Caller) -> RequestsPerMinute {
        caller.application.rate_limit.unwrap_or(self.default_limit)
    }

    /// What the bank can do.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.bank.capabilities()
    }

    /// Whether the bank answers.
    ///
    /// # Errors
    /// [`MemoryBankError`] that says why not.
    pub async fn check_health(&self) -> Result<(), MemoryBankError> {
        self.bank.check_health().await
    }

    /// Finds memories. Needs `memory:read`.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub async fn search(
        &self,
        caller: &Caller,
        request: RequestId,
        search: SearchMemories,
    ) -> Result<SearchResults, MemoryError> {
        self.enter(caller, Permission::MemoryRead)?;
        let capabilities = self.bank.capabilities();
        let filter = &search.filter;
        require(capabilities.date_filter || filter.created == DateRange::default(), Capability::DateFilter)?;
        require(capabilities.metadata_filter || filter.metadata.is_empty(), Capability::MetadataFilter)?;
        let query = MemoryQuery {
            text: search.text,
            limit: search.limit,
            threshold: search.threshold,
            filter: search.filter,
            now: self.clock.now(),
        };
        let results = self.bank.search(&MemoryScope::of(caller), &query).await?;
        self.record(AuditKind::MemoriesSearched, caller, request, search.context).await;
        Ok(results)
    }

    /// Stores a memory. Needs `memory:write`. When it returns, the memory is kept for good.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub async fn create(
        &self,
        caller: &Caller,
        request: RequestId,
        create: CreateMemory,
    ) -> Result<StoredMemory, MemoryError> {
        self.enter(caller, Permission::MemoryWrite)?;
        require(self.bank.capabilities().expiry || create.expires_at.is_none(), Capability::Expiry)?;
        let now = self.clock.now();
        if create.expires_at.is_some_and(|expiry| expiry <= now) {
            return Err(InvalidValue::new("expires_at", "must be in the future").into());
        }
        let scope = MemoryScope::of(caller);
        check_categories(&scope, &create.categories)?;
        let context = create.context.clone();
        let stored = self.store(caller, request, scope, create, now).await?;
        self.record(AuditKind::MemoryCreated, caller, request, context).await;
        Ok(stored)
    }

    async fn store(
        &self,
        caller: &Caller,
        request: RequestId,
        scope: MemoryScope,
        create: CreateMemory,
        now: Timestamp,
    ) -> Result<StoredMemory, MemoryError> {
        let fingerprint = create.fingerprint();
        let memory = NewMemory {
            id: MemoryId::for_request(request),
            content: create.content,
            categories: create.categories,
            metadata: create.metadata.with_context(&create.context),
            priority: create.priority,
            created_at: now,
            expires_at: create.expires_at,
        };
        if create.idempotency_key.is_none() && self.bank.capabilities().local {
            let memory = self.bank.create(&scope, &memory).await?;
            return Ok(StoredMemory { request_id: request, memory });
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
        match self.queue.accept(&write).await? {
            Acceptance::Accepted => {
                let sent = self.bank.create_first(&write.scope, &write.memory).await;
                self.note(&write, sent).await
            }
            Acceptance::Known { write: known, .. } if known.fingerprint != fingerprint => {
                Err(MemoryError::IdempotencyConflict)
            }
            Acceptance::Known { write: known, state } => match state {
                WriteState::Stored(memory) => Ok(StoredMemory { request_id: known.request_id, memory: *memory }),
                WriteState::Failed(reason) => Err(MemoryBankError::Rejected(reason).into()),
                WriteState::Pending => {
                    // Since a bank knows a write by its name, it does no harm to send it twice.
                    let sent = self.bank.create(&known.scope, &known.memory).await;
                    self.note(&known, sent).await
                }
            },
        }
    }

    /// Notes in the queue what the bank said to an accepted write.
    async fn note(
        &self,
        write: &QueuedWrite,
        sent: Result<Memory, MemoryBankError>,
    ) -> Result<StoredMemory, MemoryError> {
        let memory = match sent {
            Ok(memory) => memory,
            Err(MemoryBankError::Rejected(reason)) => {
                self.queue.mark_failed(write.request_id, &reason).await?;
                return Err(MemoryBankError::Rejected(reason).into());
            }
            Err(error) => return Err(error.into()),
        };
        self.queue.mark_stored(write.request_id, &memory).await?;
        Ok(StoredMemory { request_id: write.request_id, memory })
    }

    /// Lists memories, newest first. Needs `memory:read`.
    ///
    /// # Errors
    /// [`MemoryError`]; an unknown cursor is [`MemoryError::Invalid`].
    pub async fn list(
        &self,
        caller: &Caller,
        request: RequestId,
        limit: Limit,
        cursor: Option<&str>,
        category: Option<Category>,
    ) -> Result<(Page, Option<String>), MemoryError> {
        self.enter(caller, Permission::MemoryRead)?;
        require(self.bank.capabilities().list, Capability::List)?;
        let scope = MemoryScope::of(caller);
        let after = cursor.map(|cursor| Position::from_cursor(cursor, &scope)).transpose()?;
        let query = ListQuery { limit, after, category, now: self.clock.now() };
        let page = self.bank.list(&scope, &query).await?;
        let next = page.next.as_ref().map(|position| position.to_cursor(&scope));
        self.record(AuditKind::MemoryRead, caller, request, Context::default()).await;
        Ok((page, next))
    }

    /// One memory. Needs `memory:read`.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub async fn get(&self, caller: &Caller, request: RequestId, id: &MemoryId) -> Result<Memory, MemoryError> {
        self.enter(caller, Permission::MemoryRead)?;
        let memory = self.bank.get(&MemoryScope::of(caller), id, self.clock.now()).await?;
        self.record(AuditKind::MemoryRead, caller, request, Context::default()).await;
        memory.ok_or(MemoryError::NotFound)
    }

    /// Changes a memory. Needs `memory:write`.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub async fn update(
        &self,
        caller: &Caller,
        request: RequestId,
        id: &MemoryId,
        changes: &MemoryChanges,
    ) -> Result<Memory, MemoryError> {
        self.enter(caller, Permission::MemoryWrite)?;
        let capabilities = self.bank.capabilities();
        require(capabilities.update, Capability::Update)?;
        require(capabilities.expiry || changes.expires_at.flatten().is_none(), Capability::Expiry)?;
        if changes.is_empty() {
            return Err(InvalidValue::new("body", "must name at least one member to change").into());
        }
        let (scope, now) = (MemoryScope::of(caller), self.clock.now());
        if changes.expires_at.flatten().is_some_and(|expiry| expiry <= now) {
            return Err(InvalidValue::new("expires_at", "must be in the future").into());
        }
        if let Some(categories) = &changes.categories {
            check_categories(&scope, categories)?;
        }
        let memory = self.bank.update(&scope, id, changes, now).await?;
        self.record(AuditKind::MemoryUpdated, caller, request, Context::default()).await;
        memory.ok_or(MemoryError::NotFound)
    }

    /// Deletes a memory. Needs `memory:delete`.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub async fn delete(&self, caller: &Caller, request: RequestId, id: &MemoryId) -> Result<(), MemoryError> {
        self.enter(caller, Permission::MemoryDelete)?;
        if !self.bank.delete(&MemoryScope::of(caller), id).await? {
            return Err(MemoryError::NotFound);
        }
        self.record(AuditKind::MemoryDeleted, caller, request, Context::default()).await;
        Ok(())
    }

    fn enter(&self, caller: &Caller, permission: Permission) -> Result<(), MemoryError> {
        caller.require(permission)?;
        Ok(self.admit(caller)?)
    }

    async fn record(&self, kind: AuditKind, caller: &Caller, request: RequestId, context: Context) {
        let event = AuditEvent::new(kind, self.clock.now()).application(caller.application.id).request(request);
        self.audit.record(&event.context(context)).await;
    }
}

fn require(supported: bool, capability: Capability) -> Result<(), MemoryBankError> {
    if supported { Ok(()) } else { Err(MemoryBankError::Unsupported(capability)) }
}

fn check_categories(scope: &MemoryScope, categories: &[Category]) -> Result<(), MemoryError> {
    if scope.categories().allows(categories) { Ok(()) } else { Err(MemoryError::CategoryNotAllowed) }
}

#[cfg(test)]
mod tests;
