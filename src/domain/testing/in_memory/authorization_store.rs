//! Authorizations in memory.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::{InMemoryApplicationRepository, InMemoryPersonRepository, Outage, at_most, lock};
use crate::applications::ApplicationRepository as _;
use crate::ids::{ApplicationId, GrantId, UserId};
use crate::oauth::{Authorization, AuthorizationStore, CodeDigest, Consent, Redeemed, Redemption};
use crate::people::{PersonRepository as _, SignInVersion};
use crate::system::{StorageError, Timestamp};

/// Keeps authorizations in memory.
#[derive(Debug)]
pub struct InMemoryAuthorizationStore {
    people: Arc<InMemoryPersonRepository>,
    applications: Arc<InMemoryApplicationRepository>,
    authorizations: Mutex<HashMap<GrantId, Authorization>>,
    outage: Outage,
}

impl InMemoryAuthorizationStore {
    /// A store of what `people` allow `applications`.
    #[must_use]
    pub fn of(people: Arc<InMemoryPersonRepository>, applications: Arc<InMemoryApplicationRepository>) -> Self {
        Self { people, applications, authorizations: Mutex::default(), outage: Outage::default() }
    }

    /// The switch that makes it fail.
    #[must_use]
    pub fn outage(&self) -> Outage {
        self.outage.clone()
    }

    async fn is_enabled(&self, application: ApplicationId) -> Result<bool, StorageError> {
        Ok(self.applications.find(application).await?.is_some_and(|application| application.enabled))
    }
}

#[async_trait]
impl AuthorizationStore for InMemoryAuthorizationStore {
    async fn create(&self, authorization: &Authorization, verified: SignInVersion) -> Result<Consent, StorageError> {
        self.outage.check()?;
        self.people.outage().check()?;
        let enabled = self.is_enabled(authorization.application_id).await?;
        // Held until the authorization is stored, so that nobody is disabled between the check and that.
        let state = self.people.state();
        let state = lock(&state);
        let person = state.people.get(&authorization.person);
        let proven = person.is_some_and(|person| person.enabled && person.sign_in_version == verified);
        if !proven || !enabled {
            return Ok(Consent::Outdated);
        }
        let mut authorizations = lock(&self.authorizations);
        let of_connection = |known: &&Authorization| {
            known.person == authorization.person && known.application_id == authorization.application_id
        };
        if authorizations.values().filter(of_connection).count() >= at_most(Authorization::MAX_PER_CONNECTION) {
            return Ok(Consent::TooMany);
        }
        authorizations.insert(authorization.grant_id, authorization.clone());
        Ok(Consent::Stored)
    }

    async fn find_by_code(&self, code: &CodeDigest) -> Result<Option<Authorization>, StorageError> {
        self.outage.check()?;
        Ok(lock(&self.authorizations).values().find(|authorization| authorization.code == *code).cloned())
    }

    async fn redeem(&self, redemption: &Redemption) -> Result<Redeemed, StorageError> {
        self.outage.check()?;
        let known = lock(&self.authorizations).get(&redemption.grant_id).cloned();
        let Some(known) = known else { return Ok(Redeemed::Refused) };
        let stands = self.people.is_enabled(known.person).await? && self.is_enabled(known.application_id).await?;
        let mut authorizations = lock(&self.authorizations);
        let Some(authorization) = authorizations.get_mut(&redemption.grant_id) else { return Ok(Redeemed::Refused) };
        if authorization.redeemed_at.is_some() {
            return Ok(Redeemed::Before);
        }
        if !stands {
            return Ok(Redeemed::Refused);
        }
        authorization.redeemed_at = Some(redemption.at);
        authorization.keep_until = redemption.keep_until;
        Ok(Redeemed::First)
    }

    async fn list_by_person(&self, person: UserId) -> Result<Vec<Authorization>, StorageError> {
        self.outage.check()?;
        let authorizations = lock(&self.authorizations);
        let mut own: Vec<Authorization> =
            authorizations.values().filter(|authorization| authorization.person == person).cloned().collect();
        own.sort_by_key(|authorization| Reverse(authorization.created_at));
        Ok(own)
    }

    async fn delete(&self, grant: GrantId) -> Result<bool, StorageError> {
        self.outage.check()?;
        Ok(lock(&self.authorizations).remove(&grant).is_some())
    }

    async fn sweep_unused_applications(&self, before: Timestamp, limit: u32) -> Result<u64, StorageError> {
        self.outage.check()?;
        let authorizations = lock(&self.authorizations);
        let used = |id| authorizations.values().any(|authorization| authorization.application_id == id);
        Ok(self.applications.sweep(before, limit, used))
    }

    async fn sweep(&self, now: Timestamp, limit: u32) -> Result<u64, StorageError> {
        self.outage.check()?;
        let mut authorizations = lock(&self.authorizations);
        let over = authorizations.values().filter(|authorization| authorization.keep_until < now);
        let over: Vec<GrantId> = over.map(|authorization| authorization.grant_id).take(at_most(limit)).collect();
        Ok(over.iter().filter(|grant| authorizations.remove(grant).is_some()).map(|_| 1).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::conformance::Fixture;
    use crate::testing::conformance::authorization_store::Consents;

    fn in_memory() -> Fixture<Consents> {
        let people = Arc::new(InMemoryPersonRepository::default());
        let applications = Arc::new(InMemoryApplicationRepository::default());
        let authorizations = InMemoryAuthorizationStore::of(Arc::clone(&people), Arc::clone(&applications));
        Fixture::new(Arc::new(Consents { people, applications, authorizations: Arc::new(authorizations) }))
    }

    crate::conformance!(authorization_store, in_memory());
}
