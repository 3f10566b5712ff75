//! The registry of tenants: memgate itself knows who has memories where, whatever bank stores them.

use std::sync::Arc;

use async_trait::async_trait;

use super::bank::{Capabilities, Histories, IsNew, MemoryBank, MemoryBankError};
use super::model::{Memory, MemoryScope, MemoryUpdate};
use super::new_memory::NewMemory;
use super::query::{Limit, ListQuery, MemoryQuery, Page, SearchAnswer, SearchResults, StaleAllowed};
use super::statistics::MemoryStatistics;
use crate::applications::SpaceName;
use crate::ids::{MemoryId, UserId};
use crate::system::{StorageError, Timestamp};

/// A tenant: a person, or the applications of a space themselves, in one space.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tenant {
    /// The space.
    pub space: SpaceName,
    /// The person; `None` for the memories of the applications themselves.
    pub person: Option<UserId>,
}

impl Tenant {
    /// The single text that identifies it; see [`MemoryScope::tenant`].
    #[must_use]
    pub fn key(&self) -> String {
        self.scope().tenant()
    }

    /// All of its memories.
    #[must_use]
    pub fn scope(&self) -> MemoryScope {
        MemoryScope::from_stored(self.space.clone(), self.person)
    }
}

impl From<&MemoryScope> for Tenant {
    fn from(scope: &MemoryScope) -> Self {
        Self { space: scope.space().clone(), person: scope.person() }
    }
}

/// A group of tenants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TenantGroup {
    /// Those of a person, in any space.
    OfPerson(UserId),
    /// Those in a space, of any owner.
    InSpace(SpaceName),
    /// This one.
    One(Tenant),
}

impl TenantGroup {
    /// Whether a tenant belongs to the group.
    #[must_use]
    pub fn contains(&self, tenant: &Tenant) -> bool {
        match self {
            Self::OfPerson(person) => tenant.person == Some(*person),
            Self::InSpace(space) => tenant.space == *space,
            Self::One(one) => tenant == one,
        }
    }
}

/// Knows every tenant for which memories were ever stored, and closes those that are erased. Every method is atomic, for
/// concurrent callers on any number of machines.
#[async_trait]
pub trait TenantRegistry: Send + Sync {
    /// Registers that memories of a tenant may be stored from now on, and returns whether they may. A known and open tenant
    /// may. One that is unknown or closed is opened if its owner exists: an enabled application uses its space, and its
    /// person, if it has one, is enabled. An adapter may answer from a cache that is at most one second old.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn admit(&self, tenant: &Tenant) -> Result<bool, StorageError>;

    /// The known tenants of a group, including closed ones, ordered by key.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn list(&self, group: &TenantGroup) -> Result<Vec<Tenant>, StorageError>;

    /// Closes a tenant, known or not, at `at`, and schedules a check at `check_at`.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn close(&self, tenant: &Tenant, at: Timestamp, check_at: Timestamp) -> Result<(), StorageError>;

    /// Takes at most `limit` closed tenants whose check is due at `now`, each with the time at which it was closed, and
    /// reschedules them to `again_at`. Of any number of concurrent callers exactly one gets a tenant.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn take_due(
        &self,
        now: Timestamp,
        again_at: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Tenant, Timestamp)>, StorageError>;

    /// Deletes a closed tenant.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn forget(&self, tenant: &Tenant) -> Result<(), StorageError>;
}

/// A bank that stores nothing for a tenant that the registry does not admit.
pub struct AdmittingMemoryBank {
    bank: Arc<dyn MemoryBank>,
    tenants: Arc<dyn TenantRegistry>,
}

impl AdmittingMemoryBank {
    /// Stores in `bank` what `tenants` admits.
    #[must_use]
    pub fn new(bank: Arc<dyn MemoryBank>, tenants: Arc<dyn TenantRegistry>) -> Self {
        Self { bank, tenants }
    }

    async fn admit(&self, scope: &MemoryScope) -> Result<(), MemoryBankError> {
        match self.tenants.admit(&Tenant::from(scope)).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(MemoryBankError::Rejected(
                "the application or the person that this belongs to is disabled or has been deleted".to_owned(),
            )),
            Err(error @ StorageError::Unavailable(_)) => {
                Err(MemoryBankError::Unavailable { retry_after: None, reached: false, source: error.into() })
            }
            Err(error @ StorageError::InconsistentRow { .. }) => Err(MemoryBankError::Inconsistent(error.into())),
        }
    }
}

#[async_trait]
impl MemoryBank for AdmittingMemoryBank {
    async fn create(&self, scope: &MemoryScope, memory: &NewMemory) -> Result<Memory, MemoryBankError> {
        self.admit(scope).await?;
        self.bank.create(scope, memory).await
    }

    async fn create_first(&self, scope: &MemoryScope, memory: &NewMemory) -> Result<Memory, MemoryBankError> {
        self.admit(scope).await?;
        self.bank.create_first(scope, memory).await
    }

    async fn create_all(&self, scope: &MemoryScope, memories: Vec<NewMemory>) -> Result<Vec<IsNew>, MemoryBankError> {
        self.admit(scope).await?;
        self.bank.create_all(scope, memories).await
    }

    async fn search(&self, scope: &MemoryScope, query: &MemoryQuery) -> Result<SearchResults, MemoryBankError> {
        self.bank.search(scope, query).await
    }

    async fn search_allowing_stale(
        &self,
        scope: &MemoryScope,
        query: &MemoryQuery,
        allowed: StaleAllowed,
    ) -> Result<SearchAnswer, MemoryBankError> {
        self.bank.search_allowing_stale(scope, query, allowed).await
    }

    async fn list(&self, scope: &MemoryScope, query: &ListQuery) -> Result<Page, MemoryBankError> {
        self.bank.list(scope, query).await
    }

    async fn get(&self, scope: &MemoryScope, id: &MemoryId, now: Timestamp) -> Result<Option<Memory>, MemoryBankError> {
        self.bank.get(scope, id, now).await
    }

    async fn update(
        &self,
        scope: &MemoryScope,
        id: &MemoryId,
        update: &MemoryUpdate,
    ) -> Result<Option<Memory>, MemoryBankError> {
        self.bank.update(scope, id, update).await
    }

    async fn histories(
        &self,
        scope: &MemoryScope,
        ids: &[MemoryId],
        now: Timestamp,
    ) -> Result<Histories, MemoryBankError> {
        self.bank.histories(scope, ids, now).await
    }

    async fn forget_history(
        &self,
        scope: &MemoryScope,
        id: &MemoryId,
        now: Timestamp,
    ) -> Result<bool, MemoryBankError> {
        self.bank.forget_history(scope, id, now).await
    }

    async fn delete(&self, scope: &MemoryScope, id: &MemoryId) -> Result<bool, MemoryBankError> {
        self.bank.delete(scope, id).await
    }

    async fn sample(&self, scope: &MemoryScope, limit: Limit) -> Result<Vec<MemoryId>, MemoryBankError> {
        self.bank.sample(scope, limit).await
    }

    async fn statistics(&self, scope: &MemoryScope, now: Timestamp) -> Result<MemoryStatistics, MemoryBankError> {
        self.bank.statistics(scope, now).await
    }

    async fn find_written(&self, scope: &MemoryScope, write: &NewMemory) -> Result<Option<Memory>, MemoryBankError> {
        self.bank.find_written(scope, write).await
    }

    async fn write_of(&self, scope: &MemoryScope, id: &MemoryId) -> Result<Option<MemoryId>, MemoryBankError> {
        self.bank.write_of(scope, id).await
    }

    fn capabilities(&self) -> Capabilities {
        self.bank.capabilities()
    }

    async fn check_health(&self) -> Result<(), MemoryBankError> {
        self.bank.check_health().await
    }
}
