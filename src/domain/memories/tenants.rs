//! The registry of tenants: memgate itself knows who has memories where, whatever bank stores them.

use std::ops::Deref;

use async_trait::async_trait;

use super::model::MemoryScope;
use crate::applications::SpaceName;
use crate::ids::UserId;
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

/// The scope of a tenant that was admitted: the proof without which a bank stores nothing, so that every tenant with memories
/// is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted(MemoryScope);

impl Admitted {
    /// Has the tenant of `scope` admitted.
    ///
    /// # Errors
    /// [`NotAdmitted`].
    pub async fn by(tenants: &dyn TenantRegistry, scope: &MemoryScope) -> Result<Self, NotAdmitted> {
        if tenants.admit(&Tenant::from(scope)).await? { Ok(Self(scope.clone())) } else { Err(NotAdmitted::Closed) }
    }

    /// Proves nothing: for tests of what stores.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn unchecked(scope: MemoryScope) -> Self {
        Self(scope)
    }

    /// The scope.
    #[must_use]
    pub fn into_scope(self) -> MemoryScope {
        self.0
    }
}

impl Deref for Admitted {
    type Target = MemoryScope;

    fn deref(&self) -> &MemoryScope {
        &self.0
    }
}

/// Why a tenant is not admitted.
#[derive(Debug, thiserror::Error)]
pub enum NotAdmitted {
    /// It has no enabled owner.
    #[error("the application or the person that this belongs to is disabled or has been deleted")]
    Closed,
    /// The registry failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}
