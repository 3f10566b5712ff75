//! Deleting people and applications together with what is stored of them.

use std::sync::Arc;
use std::time::Duration;

use super::bank::{MemoryBank, MemoryBankError};
use super::query::Limit;
use super::queue::WriteQueue;
use super::tenants::{Tenant, TenantGroup, TenantRegistry};
use crate::applications::{Application, ApplicationError, ApplicationService, SpaceName};
use crate::ids::{ApplicationId, UserId};
use crate::people::{PeopleError, PeopleService};
use crate::system::{Clock, StorageError};

/// How soon after an erasure it is looked whether anything was stored nevertheless, and again after that.
const CHECK_AFTER: Duration = Duration::from_mins(2);
/// For how long it is looked: a request or a delivery that began before the erasure has ended long before.
const CHECKED_FOR: Duration = Duration::from_hours(1);

/// Whether the memories go along with their owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoriesOfDeleted {
    /// They are deleted.
    Delete,
    /// They stay in the bank.
    Keep,
}

/// What deleting an application concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationExtent {
    /// The application, unless it was deleted before and has left memories.
    pub application: Option<Arc<Application>>,
    /// Its space.
    pub space: SpaceName,
    /// The tenants in it that may have memories.
    pub tenants: Vec<Tenant>,
    /// How many other applications have the space.
    pub shared_with: usize,
}

/// What an erasure has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErasedApplication {
    /// How many memories were deleted.
    pub memories: u64,
    /// The space that the application had.
    pub space: SpaceName,
    /// The tenants in it that may have memories still.
    pub left: Vec<Tenant>,
    /// How many other applications have the space.
    pub shared_with: usize,
}

/// Why not everything was deleted. The call can be repeated, unless it is said otherwise.
#[derive(Debug, thiserror::Error)]
pub enum ErasureError {
    /// The bank says that it deleted memories, and lists them still.
    #[error("the memory bank still lists memories that it was told to delete")]
    StillListed,
    /// Other applications have the space too: their memories would go along.
    #[error("{0} other applications have the space {1}, and their memories are in it too")]
    SharedSpace(usize, SpaceName),
    /// The bank failed, or cannot list what it has.
    #[error(transparent)]
    Bank(#[from] MemoryBankError),
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The person could not be disabled or deleted.
    #[error(transparent)]
    Person(#[from] PeopleError),
    /// The application could not be disabled or deleted.
    #[error(transparent)]
    Application(#[from] ApplicationError),
}

/// Deletes memories of tenants, in the bank and on the way to it.
#[derive(Clone)]
pub struct Erasure {
    bank: Arc<dyn MemoryBank>,
    queue: Arc<dyn WriteQueue>,
    tenants: Arc<dyn TenantRegistry>,
    clock: Arc<dyn Clock>,
}

impl Erasure {
    /// Puts it together.
    #[must_use]
    pub fn new(
        bank: Arc<dyn MemoryBank>,
        queue: Arc<dyn WriteQueue>,
        tenants: Arc<dyn TenantRegistry>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { bank, queue, tenants, clock }
    }

    /// Deletes everything of these tenants, whose owner must have been disabled before, and keeps it from coming back: what is
    /// stored by a request or a delivery that is under way is deleted by [`check_closed`](Self::check_closed). Returns how many
    /// memories the bank had.
    ///
    /// # Errors
    /// [`ErasureError`].
    pub async fn erase(&self, group: &TenantGroup) -> Result<u64, ErasureError> {
        let mut erased = 0;
        for tenant in self.tenants.list(group).await? {
            let now = self.clock.now();
            self.tenants.close(&tenant, now, now.plus(CHECK_AFTER)).await?;
            self.queue.erase(&TenantGroup::One(tenant.clone())).await?;
            erased += self.delete_all(&tenant).await?;
        }
        // What was accepted of tenants of which nothing was ever stored.
        self.queue.erase(group).await?;
        Ok(erased)
    }

    /// Looks at most `limit` times whether anything was stored of a tenant after it had been closed, and deletes it. Returns
    /// how many memories that were.
    ///
    /// # Errors
    /// [`ErasureError`].
    pub async fn check_closed(&self, limit: u32) -> Result<u64, ErasureError> {
        let now = self.clock.now();
        let mut erased = 0;
        for (tenant, closed_at) in self.tenants.take_due(now, now.plus(CHECK_AFTER), limit).await? {
            self.queue.erase(&TenantGroup::One(tenant.clone())).await?;
            let late = self.delete_all(&tenant).await?;
            erased += late;
            if late == 0 && now.since(closed_at) >= CHECKED_FOR {
                self.tenants.forget(&tenant).await?;
            }
        }
        Ok(erased)
    }

    async fn delete_all(&self, tenant: &Tenant) -> Result<u64, ErasureError> {
        let scope = tenant.scope();
        let mut erased = 0;
        loop {
            // Not a list: a bank may have more of one scope than it lists.
            let ids = self.bank.sample(&scope, Limit::LARGEST).await?;
            if ids.is_empty() {
                // What was asked to create them is kept too.
                self.queue.forget_scope(&scope).await?;
                return Ok(erased);
            }
            let before = erased;
            for id in ids {
                erased += u64::from(self.bank.delete(&scope, &id).await?);
            }
            if erased == before {
                return Err(ErasureError::StillListed);
            }
        }
    }
}

/// Deletes people and applications. First they are disabled, so that nothing new is stored; then what is stored of them goes,
/// and they themselves last, so that a call that failed half-way can be repeated.
#[derive(Clone)]
pub struct OwnerEraser {
    people: PeopleService,
    applications: ApplicationService,
    erasure: Erasure,
}

impl OwnerEraser {
    /// Puts it together.
    #[must_use]
    pub fn new(people: PeopleService, applications: ApplicationService, erasure: Erasure) -> Self {
        Self { people, applications, erasure }
    }

    /// Deletes a person, with memories or without, and returns how many memories that were. The memories of somebody who was
    /// deleted before can be deleted too.
    ///
    /// # Errors
    /// [`ErasureError`]; [`PeopleError::NotFound`] if nothing is known of such a person.
    pub async fn erase_person(&self, id: UserId, memories: MemoriesOfDeleted) -> Result<u64, ErasureError> {
        let group = TenantGroup::OfPerson(id);
        let is_there = match self.people.disable(id).await {
            Ok(_) => true,
            Err(PeopleError::NotFound) => {
                self.tenants_of_person(id, memories).await?;
                false
            }
            Err(error) => return Err(error.into()),
        };
        let erased = match memories {
            MemoriesOfDeleted::Delete => self.erasure.erase(&group).await?,
            MemoriesOfDeleted::Keep => 0,
        };
        if is_there {
            self.people.delete(id).await?;
        }
        Ok(erased)
    }

    /// What [`erase_person`](Self::erase_person) would concern: the tenants of the person that may have memories.
    ///
    /// # Errors
    /// As [`erase_person`](Self::erase_person), except those of the bank.
    pub async fn tenants_of_person(
        &self,
        id: UserId,
        memories: MemoriesOfDeleted,
    ) -> Result<Vec<Tenant>, ErasureError> {
        let tenants = self.erasure.tenants.list(&TenantGroup::OfPerson(id)).await?;
        match self.people.get(id).await {
            Err(PeopleError::NotFound) if memories == MemoriesOfDeleted::Delete && !tenants.is_empty() => {}
            person => drop(person?),
        }
        Ok(tenants)
    }

    /// What [`erase_application`](Self::erase_application) would concern.
    ///
    /// # Errors
    /// As [`erase_application`](Self::erase_application), except those of the bank.
    pub async fn extent_of_application(
        &self,
        id: ApplicationId,
        memories: MemoriesOfDeleted,
    ) -> Result<ApplicationExtent, ErasureError> {
        let application = match self.applications.get(id).await {
            Ok(application) => Some(application),
            Err(ApplicationError::NotFound) if memories == MemoriesOfDeleted::Delete => None,
            Err(error) => return Err(error.into()),
        };
        let space = application.as_ref().map_or_else(|| SpaceName::own(id), |application| application.space.clone());
        let tenants = self.erasure.tenants.list(&TenantGroup::InSpace(space.clone())).await?;
        if application.is_none() && tenants.is_empty() {
            return Err(ApplicationError::NotFound.into());
        }
        let shared_with = self.others_with(id, &space).await?;
        if memories == MemoriesOfDeleted::Delete && shared_with > 0 {
            return Err(ErasureError::SharedSpace(shared_with, space));
        }
        Ok(ApplicationExtent { application, space, tenants, shared_with })
    }

    /// Deletes an application, with everything that is stored in its space or without. What was left in the own space of an
    /// application that was deleted before can be deleted too.
    ///
    /// # Errors
    /// [`ErasureError`]; [`ErasureError::SharedSpace`] if the memories are to go and other applications have the space, which a
    /// repetition does not change.
    pub async fn erase_application(
        &self,
        id: ApplicationId,
        memories: MemoriesOfDeleted,
    ) -> Result<ErasedApplication, ErasureError> {
        let ApplicationExtent { application, space, shared_with, .. } =
            self.extent_of_application(id, memories).await?;
        let group = TenantGroup::InSpace(space.clone());
        let mut erased = 0;
        if memories == MemoriesOfDeleted::Delete {
            if application.is_some() {
                self.applications.set_enabled(id, false).await?;
            }
            erased = self.erasure.erase(&group).await?;
        }
        if application.is_some() {
            self.applications.delete(id).await?;
        }
        let left = match memories {
            MemoriesOfDeleted::Delete => Vec::new(),
            MemoriesOfDeleted::Keep => self.erasure.tenants.list(&group).await?,
        };
        Ok(ErasedApplication { memories: erased, space, left, shared_with })
    }

    async fn others_with(&self, id: ApplicationId, space: &SpaceName) -> Result<usize, ErasureError> {
        const AT_A_TIME: u32 = 500;
        let (mut others, mut after) = (0, None);
        loop {
            let page = self.applications.list(after, AT_A_TIME).await?;
            let Some(last) = page.last() else { return Ok(others) };
            after = Some(last.id);
            others += page.iter().filter(|other| other.id != id && other.space == *space).count();
        }
    }
}

#[cfg(test)]
mod tests;
