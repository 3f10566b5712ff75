//! Erasure of people and applications together with their data.

use std::sync::Arc;
use std::time::Duration;

use super::bank::{Capability, MemoryBank, MemoryBankError};
use super::query::Limit;
use super::queue::WriteQueue;
use super::tenants::{Tenant, TenantGroup, TenantRegistry};
use crate::applications::{Application, ApplicationError, ApplicationService, SpaceName};
use crate::ids::{ApplicationId, UserId};
use crate::people::{PeopleError, PeopleService};
use crate::system::{Clock, StorageError, Timestamp};

/// Interval at which closed tenants are checked for data stored after the erasure.
const CHECK_AFTER: Duration = Duration::from_mins(2);
/// How long they are checked: a request or a delivery that began before the erasure has ended long before.
const CHECKED_FOR: Duration = Duration::from_hours(1);

/// Whether memories are deleted with their owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoriesOfDeleted {
    /// They are deleted.
    Delete,
    /// They stay in the bank.
    Keep,
}

/// What deleting an application affects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationExtent {
    /// The application, unless it was deleted before and left memories behind.
    pub application: Option<Arc<Application>>,
    /// Its space.
    pub space: SpaceName,
    /// The tenants in it that may have memories.
    pub tenants: Vec<Tenant>,
    /// Number of other applications that use the space.
    pub shared_with: usize,
}

/// The result of an erasure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErasedApplication {
    /// Number of deleted memories.
    pub memories: u64,
    /// The space of the application.
    pub space: SpaceName,
    /// The tenants in it that may still have memories.
    pub left: Vec<Tenant>,
    /// Number of other applications that use the space.
    pub shared_with: usize,
}

/// What became of an account that a person closed. In any case nobody signs in to it any more, and nothing is stored in its name.
#[derive(Debug)]
pub enum AccountClosure {
    /// It is deleted with everything in it.
    Complete,
    /// It is deleted, and so is what was on its way to the bank. The bank is not available: what it holds is deleted by
    /// [`Erasure::check_closed`] when it is.
    GoesOn(MemoryBankError),
    /// Something is left that only a call of [`OwnerEraser::erase_person`] deletes.
    Incomplete(ErasureError),
}

/// Why not everything was deleted. The call can be repeated, unless stated otherwise.
#[derive(Debug, thiserror::Error)]
pub enum ErasureError {
    /// The bank reports memories as deleted, and still lists them.
    #[error("the memory bank still lists memories that it reported as deleted")]
    StillListed,
    /// Other applications use the space too: their memories would be deleted.
    #[error("{0} other applications use the space {1}, and their memories are in it too")]
    SharedSpace(usize, SpaceName),
    /// The bank failed, or cannot list its memories.
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

/// Deletes memories of tenants, in the bank and in the queue.
#[derive(Clone)]
pub struct Erasure {
    bank: Arc<dyn MemoryBank>,
    queue: Arc<dyn WriteQueue>,
    tenants: Arc<dyn TenantRegistry>,
    clock: Arc<dyn Clock>,
}

impl Erasure {
    /// Assembles it.
    #[must_use]
    pub fn new(
        bank: Arc<dyn MemoryBank>,
        queue: Arc<dyn WriteQueue>,
        tenants: Arc<dyn TenantRegistry>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { bank, queue, tenants, clock }
    }

    /// Deletes everything of these tenants, whose owner must have been disabled before, and prevents it from coming back: what
    /// requests or deliveries in progress still store is deleted by [`check_closed`](Self::check_closed). Returns how many
    /// memories the bank had.
    ///
    /// # Errors
    /// [`ErasureError`].
    pub async fn erase(&self, group: &TenantGroup) -> Result<u64, ErasureError> {
        let tenants = self.close(group).await?;
        self.delete_all_of(&tenants).await
    }

    /// The tenants of a group whose memories can be deleted.
    ///
    /// # Errors
    /// [`MemoryBankError::Unsupported`] if there are any and the bank cannot list; [`StorageError`].
    async fn erasable(&self, group: &TenantGroup) -> Result<Vec<Tenant>, ErasureError> {
        let tenants = self.tenants.list(group).await?;
        if !tenants.is_empty() && !self.bank.capabilities().list {
            return Err(MemoryBankError::Unsupported(Capability::List).into());
        }
        Ok(tenants)
    }

    /// Closes the tenants of a group, and deletes what is on its way to the bank.
    async fn close(&self, group: &TenantGroup) -> Result<Vec<Tenant>, ErasureError> {
        let tenants = self.erasable(group).await?;
        for tenant in &tenants {
            let now = self.clock.now();
            self.tenants.close(tenant, now, now.plus(CHECK_AFTER)).await?;
            self.queue.erase(&TenantGroup::One(tenant.clone())).await?;
        }
        // What was accepted for tenants without stored memories.
        self.queue.erase(group).await?;
        Ok(tenants)
    }

    async fn delete_all_of(&self, tenants: &[Tenant]) -> Result<u64, ErasureError> {
        let mut erased = 0;
        for tenant in tenants {
            erased += self.delete_all(tenant).await?;
        }
        Ok(erased)
    }

    /// Checks at most `limit` closed tenants for memories stored after they had been closed, and deletes these. Returns how
    /// many memories that were.
    ///
    /// # Errors
    /// [`ErasureError`].
    pub async fn check_closed(&self, limit: u32) -> Result<u64, ErasureError> {
        let now = self.clock.now();
        let (mut erased, mut failed) = (0, None);
        for (tenant, closed_at) in self.tenants.take_due(now, now.plus(CHECK_AFTER), limit).await? {
            match self.check(&tenant, closed_at, now).await {
                Ok(late) => erased += late,
                // Those behind it are not kept waiting.
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(erased), Err)
    }

    async fn check(&self, tenant: &Tenant, closed_at: Timestamp, now: Timestamp) -> Result<u64, ErasureError> {
        self.queue.erase(&TenantGroup::One(tenant.clone())).await?;
        let late = self.delete_all(tenant).await?;
        if late == 0 && now.since(closed_at) >= CHECKED_FOR {
            self.tenants.forget(tenant).await?;
        }
        Ok(late)
    }

    async fn delete_all(&self, tenant: &Tenant) -> Result<u64, ErasureError> {
        let scope = tenant.scope();
        let mut erased = 0;
        loop {
            // Not a list: a bank may have more of one scope than it lists.
            let ids = self.bank.sample(&scope, Limit::LARGEST).await?;
            if ids.is_empty() {
                // The write that created them is kept too.
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

/// Erases people and applications. First they are disabled, so that nothing new is stored; then their data is deleted, and
/// they themselves last, so that a call that failed half-way can be repeated.
#[derive(Clone)]
pub struct OwnerEraser {
    people: PeopleService,
    applications: ApplicationService,
    erasure: Erasure,
}

impl OwnerEraser {
    /// Assembles it.
    #[must_use]
    pub fn new(people: PeopleService, applications: ApplicationService, erasure: Erasure) -> Self {
        Self { people, applications, erasure }
    }

    /// Deletes a person, with or without memories, and returns the number of deleted memories. It can also be called for a
    /// person deleted before whose memories were kept.
    ///
    /// # Errors
    /// [`ErasureError`]; [`PeopleError::NotFound`] if nothing is known of this person.
    pub async fn erase_person(&self, id: UserId, memories: MemoriesOfDeleted) -> Result<u64, ErasureError> {
        let group = TenantGroup::OfPerson(id);
        if memories == MemoriesOfDeleted::Delete {
            self.erasure.erasable(&group).await?;
        }
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

    /// Deletes the account of a person, with the memories, at that person's own wish. A bank that is unavailable does not keep the account:
    /// what it holds is deleted later.
    ///
    /// # Errors
    /// [`ErasureError`] if nothing was done.
    pub async fn close_account(&self, id: UserId) -> Result<AccountClosure, ErasureError> {
        let group = TenantGroup::OfPerson(id);
        self.erasure.erasable(&group).await?;
        self.people.disable(id).await?;
        Ok(match self.erase_disabled(id, &group).await {
            Ok(None) => AccountClosure::Complete,
            Ok(Some(error)) => AccountClosure::GoesOn(error),
            Err(error) => AccountClosure::Incomplete(error),
        })
    }

    /// Deletes a person who is disabled. Returns why the bank could not be asked to delete the memories, if it could not.
    async fn erase_disabled(&self, id: UserId, group: &TenantGroup) -> Result<Option<MemoryBankError>, ErasureError> {
        let tenants = self.erasure.close(group).await?;
        let unavailable = match self.erasure.delete_all_of(&tenants).await {
            Ok(_) => None,
            Err(ErasureError::Bank(error)) if error.is_retryable() => Some(error),
            Err(error) => return Err(error),
        };
        self.people.delete(id).await?;
        Ok(unavailable)
    }

    /// What [`erase_person`](Self::erase_person) would affect: the tenants of the person that may have memories.
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

    /// What [`erase_application`](Self::erase_application) would affect.
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

    /// Deletes an application, with or without everything in its space. It can also be called for an application deleted before
    /// that had a space of its own.
    ///
    /// # Errors
    /// [`ErasureError`]; [`ErasureError::SharedSpace`] if memories should be deleted and other applications use the space, in
    /// which case a retry is useless.
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
            self.erasure.erasable(&group).await?;
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
