//! Caches which tenants are admitted.

use std::convert::Infallible;
use std::sync::Arc;

use async_trait::async_trait;
use quick_cache::sync::Cache;

use super::freshness::{Era, Fresh};
use crate::domain::memories::{Tenant, TenantGroup, TenantRegistry};
use crate::domain::system::{Clock, StorageError, Timestamp};

/// Maximum number of cached tenants, a few hundred bytes each.
const CAPACITY: usize = 10_000;

/// Caches [`admit`](TenantRegistry::admit) for at most one second; everything else is delegated to the registry behind it.
pub struct CachedTenantRegistry {
    inner: Arc<dyn TenantRegistry>,
    admitted: Cache<String, Arc<Fresh<bool>>>,
    era: Era,
}

impl CachedTenantRegistry {
    /// Caches results of `inner` for one second of `clock`.
    pub fn new(inner: Arc<dyn TenantRegistry>, clock: Arc<dyn Clock>) -> Self {
        Self { inner, admitted: Cache::new(CAPACITY), era: Era::new(clock) }
    }
}

#[async_trait]
impl TenantRegistry for CachedTenantRegistry {
    async fn admit(&self, tenant: &Tenant) -> Result<bool, StorageError> {
        let Ok(fresh) = self.admitted.get_or_insert_with(&tenant.key(), || Ok::<_, Infallible>(Arc::default()));
        fresh.get(&self.era, |_| self.inner.admit(tenant)).await
    }

    async fn list(&self, group: &TenantGroup) -> Result<Vec<Tenant>, StorageError> {
        self.inner.list(group).await
    }

    async fn close(&self, tenant: &Tenant, at: Timestamp, check_at: Timestamp) -> Result<(), StorageError> {
        let _forget = self.era.forget_afterwards();
        self.inner.close(tenant, at, check_at).await
    }

    async fn take_due(
        &self,
        now: Timestamp,
        again_at: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Tenant, Timestamp)>, StorageError> {
        self.inner.take_due(now, again_at, limit).await
    }

    async fn forget(&self, tenant: &Tenant) -> Result<(), StorageError> {
        let _forget = self.era.forget_afterwards();
        self.inner.forget(tenant).await
    }
}
