//! Tenants in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::{InMemoryApplicationRepository, InMemoryPersonRepository, Outage, at_most, lock};
use crate::applications::ApplicationRepository as _;
use crate::memories::{Tenant, TenantGroup, TenantRegistry};
use crate::people::PersonRepository as _;
use crate::system::{StorageError, Timestamp};

/// Keeps tenants in memory.
#[derive(Debug)]
pub struct InMemoryTenantRegistry {
    people: Arc<InMemoryPersonRepository>,
    applications: Arc<InMemoryApplicationRepository>,
    tenants: Mutex<BTreeMap<String, StoredTenant>>,
    is_open: bool,
    outage: Outage,
}

#[derive(Debug)]
struct StoredTenant {
    tenant: Tenant,
    /// When it was closed, and when it is to be looked at.
    closed: Option<(Timestamp, Timestamp)>,
}

impl InMemoryTenantRegistry {
    /// A registry of the tenants that `people` and `applications` own.
    #[must_use]
    pub fn of(people: Arc<InMemoryPersonRepository>, applications: Arc<InMemoryApplicationRepository>) -> Self {
        Self { people, applications, tenants: Mutex::default(), is_open: false, outage: Outage::default() }
    }

    /// A registry that admits every tenant, for tests of what is stored.
    #[must_use]
    pub fn open() -> Self {
        Self { is_open: true, ..Self::of(Arc::default(), Arc::default()) }
    }

    /// The switch that makes it fail.
    #[must_use]
    pub fn outage(&self) -> Outage {
        self.outage.clone()
    }
}

impl InMemoryTenantRegistry {
    async fn is_owned(&self, tenant: &Tenant) -> Result<bool, StorageError> {
        let applications = self.applications.list(None, u32::MAX).await?;
        let is_owned = applications.iter().any(|owner| owner.enabled && owner.space == tenant.space);
        Ok(match tenant.person {
            Some(person) => is_owned && self.people.is_enabled(person).await?,
            None => is_owned,
        })
    }
}

#[async_trait]
impl TenantRegistry for InMemoryTenantRegistry {
    async fn admit(&self, tenant: &Tenant) -> Result<bool, StorageError> {
        self.outage.check()?;
        if lock(&self.tenants).get(&tenant.key()).is_some_and(|entry| entry.closed.is_none()) {
            return Ok(true);
        }
        let is_admitted = self.is_open || self.is_owned(tenant).await?;
        if is_admitted {
            lock(&self.tenants).insert(tenant.key(), StoredTenant { tenant: tenant.clone(), closed: None });
        }
        Ok(is_admitted)
    }

    async fn list(&self, group: &TenantGroup) -> Result<Vec<Tenant>, StorageError> {
        self.outage.check()?;
        let tenants = lock(&self.tenants);
        Ok(tenants.values().map(|entry| &entry.tenant).filter(|tenant| group.contains(tenant)).cloned().collect())
    }

    async fn close(&self, tenant: &Tenant, at: Timestamp, check_at: Timestamp) -> Result<(), StorageError> {
        self.outage.check()?;
        lock(&self.tenants).insert(tenant.key(), StoredTenant { tenant: tenant.clone(), closed: Some((at, check_at)) });
        Ok(())
    }

    async fn take_due(
        &self,
        now: Timestamp,
        again_at: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Tenant, Timestamp)>, StorageError> {
        self.outage.check()?;
        let mut due = Vec::new();
        for StoredTenant { tenant, closed } in lock(&self.tenants).values_mut() {
            if let Some((at, check_at)) = closed
                && *check_at <= now
                && due.len() < at_most(limit)
            {
                *check_at = again_at;
                due.push((tenant.clone(), *at));
            }
        }
        Ok(due)
    }

    async fn forget(&self, tenant: &Tenant) -> Result<(), StorageError> {
        self.outage.check()?;
        let mut tenants = lock(&self.tenants);
        if tenants.get(&tenant.key()).is_some_and(|entry| entry.closed.is_some()) {
            tenants.remove(&tenant.key());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::conformance::Fixture;
    use crate::testing::conformance::tenant_registry::Owners;

    fn in_memory() -> Fixture<Owners> {
        let people = Arc::new(InMemoryPersonRepository::default());
        let applications = Arc::new(InMemoryApplicationRepository::default());
        let tenants = InMemoryTenantRegistry::of(Arc::clone(&people), Arc::clone(&applications));
        Fixture::new(Arc::new(Owners { people, applications, tenants: Arc::new(tenants) }))
    }

    crate::conformance!(tenant_registry, in_memory());
}
