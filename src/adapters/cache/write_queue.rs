//! Caches that a tenant has no pending writes, which every search checks and which is almost always the case.

use std::convert::Infallible;
use std::sync::Arc;

use async_trait::async_trait;
use quick_cache::sync::Cache;
use uuid::Uuid;

use super::freshness::{Era, Fresh};
use crate::domain::ids::{ApplicationId, MemoryId, RequestId};
use crate::domain::memories::{
    Acceptance, Claim, DeliveryFailures, DeliveryOrder, IdempotencyKey, Lease, Memory, MemoryScope, QueueStatistics,
    QueuedWrite, TenantGroup, TrackedWrite, Undelivered, WriteQueue,
};
use crate::domain::system::{Clock, StorageError, Timestamp};

/// Maximum number of cached tenants, a few hundred bytes each.
const CAPACITY: usize = 10_000;

/// Caches for at most one second that nothing of a tenant is [`pending`](WriteQueue::pending); everything else is delegated
/// to the queue behind it.
///
/// A write accepted through this cache is pending immediately; one accepted by another process, within a second. Intended
/// for a database that a single instance uses.
pub struct CachedWriteQueue {
    inner: Arc<dyn WriteQueue>,
    nothing_waits: Cache<String, Arc<Fresh<bool>>>,
    era: Era,
}

impl CachedWriteQueue {
    /// Caches results of `inner` for one second of `clock`.
    pub fn new(inner: Arc<dyn WriteQueue>, clock: Arc<dyn Clock>) -> Self {
        Self { inner, nothing_waits: Cache::new(CAPACITY), era: Era::new(clock) }
    }
}

#[async_trait]
impl WriteQueue for CachedWriteQueue {
    async fn accept(
        &self,
        write: &QueuedWrite,
        order: DeliveryOrder,
        lease: Lease,
    ) -> Result<Acceptance, StorageError> {
        let _forget = self.era.forget_afterwards();
        self.inner.accept(write, order, lease).await
    }

    async fn claim(&self, now: Timestamp, lease: Lease, limit: u32) -> Result<Vec<Claim>, StorageError> {
        self.inner.claim(now, lease, limit).await
    }

    async fn release_leases(&self) -> Result<(), StorageError> {
        self.inner.release_leases().await
    }

    async fn mark_stored(
        &self,
        request: RequestId,
        memory: &Memory,
        now: Timestamp,
        keep_until: Timestamp,
    ) -> Result<bool, StorageError> {
        self.inner.mark_stored(request, memory, now, keep_until).await
    }

    async fn mark_failed(&self, request: RequestId, reason: &str, keep_until: Timestamp) -> Result<(), StorageError> {
        self.inner.mark_failed(request, reason, keep_until).await
    }

    async fn note_failure(
        &self,
        request: RequestId,
        lease: Uuid,
        now: Timestamp,
    ) -> Result<DeliveryFailures, StorageError> {
        self.inner.note_failure(request, lease, now).await
    }

    async fn reschedule(
        &self,
        request: RequestId,
        lease: Uuid,
        next_attempt_at: Timestamp,
        reason: &str,
        set_aside: bool,
    ) -> Result<(), StorageError> {
        self.inner.reschedule(request, lease, next_attempt_at, reason, set_aside).await
    }

    async fn find(&self, application: ApplicationId, request: RequestId) -> Result<Option<TrackedWrite>, StorageError> {
        self.inner.find(application, request).await
    }

    async fn find_undelivered(&self, request: RequestId) -> Result<Option<TrackedWrite>, StorageError> {
        self.inner.find_undelivered(request).await
    }

    async fn find_by_memory(&self, scope: &MemoryScope, id: &MemoryId) -> Result<Option<TrackedWrite>, StorageError> {
        self.inner.find_by_memory(scope, id).await
    }

    async fn find_by_request(
        &self,
        scope: &MemoryScope,
        request: RequestId,
    ) -> Result<Option<TrackedWrite>, StorageError> {
        self.inner.find_by_request(scope, request).await
    }

    async fn find_by_key(
        &self,
        application: ApplicationId,
        scope: &MemoryScope,
        key: &IdempotencyKey,
    ) -> Result<Option<TrackedWrite>, StorageError> {
        self.inner.find_by_key(application, scope, key).await
    }

    async fn remove(&self, found: &TrackedWrite, now: Timestamp) -> Result<bool, StorageError> {
        self.inner.remove(found, now).await
    }

    async fn replace_memory(&self, scope: &MemoryScope, memory: &Memory) -> Result<(), StorageError> {
        self.inner.replace_memory(scope, memory).await
    }

    async fn forget_scope(&self, scope: &MemoryScope) -> Result<u64, StorageError> {
        self.inner.forget_scope(scope).await
    }

    async fn pending(&self, scope: &MemoryScope, limit: u32) -> Result<Vec<QueuedWrite>, StorageError> {
        let Ok(fresh) = self.nothing_waits.get_or_insert_with(&scope.tenant(), || Ok::<_, Infallible>(Arc::default()));
        let look_up = |_| async { Ok(self.inner.pending(scope, 1).await?.is_empty()) };
        if fresh.get(&self.era, look_up).await? {
            return Ok(Vec::new());
        }
        self.inner.pending(scope, limit).await
    }

    async fn list(&self, which: Undelivered, limit: u32) -> Result<Vec<TrackedWrite>, StorageError> {
        self.inner.list(which, limit).await
    }

    async fn retry(&self, request: RequestId, now: Timestamp) -> Result<bool, StorageError> {
        let _forget = self.era.forget_afterwards();
        self.inner.retry(request, now).await
    }

    async fn drop_failed(&self, request: RequestId) -> Result<bool, StorageError> {
        self.inner.drop_failed(request).await
    }

    async fn erase(&self, group: &TenantGroup) -> Result<u64, StorageError> {
        self.inner.erase(group).await
    }

    async fn statistics(&self) -> Result<QueueStatistics, StorageError> {
        self.inner.statistics().await
    }

    async fn sweep(&self, now: Timestamp, limit: u32) -> Result<u64, StorageError> {
        self.inner.sweep(now, limit).await
    }
}
