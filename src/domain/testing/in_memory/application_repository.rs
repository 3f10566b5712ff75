//! Applications in memory.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::{Outage, at_most, lock};
use crate::applications::{
    Application, ApplicationChanges, ApplicationRepository, ChangeApplicationError, CreateApplicationError,
    RegisteredBy, SecretHash, StoredSecret,
};
use crate::ids::{ApplicationId, ClientId, SecretId};
use crate::system::{StorageError, Timestamp};

/// Keeps applications in memory.
#[derive(Debug, Default)]
pub struct InMemoryApplicationRepository {
    applications: Mutex<BTreeMap<ApplicationId, Arc<Application>>>,
    outage: Outage,
}

impl InMemoryApplicationRepository {
    /// A repository that holds these applications.
    #[must_use]
    pub fn holding(applications: impl IntoIterator<Item = Application>) -> Self {
        let applications = applications.into_iter().map(|application| (application.id, Arc::new(application)));
        Self { applications: Mutex::new(applications.collect()), outage: Outage::default() }
    }

    /// The switch that makes it fail.
    #[must_use]
    pub fn outage(&self) -> Outage {
        self.outage.clone()
    }

    /// Deletes, of at most `limit` applications, those that were not registered by the operator, are enabled, were last changed before
    /// `before`, and are not `used`.
    pub(super) fn sweep(&self, before: Timestamp, limit: u32, used: impl Fn(ApplicationId) -> bool) -> u64 {
        let mut applications = lock(&self.applications);
        let over = applications
            .values()
            .filter(|one| one.registered_by.is_unverified() && one.enabled && one.updated_at < before && !used(one.id));
        let over: Vec<ApplicationId> = over.map(|application| application.id).take(at_most(limit)).collect();
        over.iter().filter(|id| applications.remove(id).is_some()).map(|_| 1).sum()
    }

    /// Changes the application of that id; `None` if there is none.
    fn change<T>(&self, id: ApplicationId, change: impl FnOnce(&mut Application) -> T) -> Option<T> {
        lock(&self.applications).get_mut(&id).map(|application| change(Arc::make_mut(application)))
    }
}

#[async_trait]
impl ApplicationRepository for InMemoryApplicationRepository {
    async fn create(&self, application: &Application) -> Result<(), CreateApplicationError> {
        self.outage.check()?;
        let mut applications = lock(&self.applications);
        let taken = |known: &Arc<Application>| known.id == application.id || known.client_id == application.client_id;
        if applications.values().any(taken) {
            return Err(CreateApplicationError::Exists);
        }
        applications.insert(application.id, Arc::new(application.clone()));
        Ok(())
    }

    async fn find(&self, id: ApplicationId) -> Result<Option<Arc<Application>>, StorageError> {
        self.outage.check()?;
        Ok(lock(&self.applications).get(&id).cloned())
    }

    async fn find_by_client_id(&self, client_id: &ClientId) -> Result<Option<Arc<Application>>, StorageError> {
        self.outage.check()?;
        Ok(lock(&self.applications).values().find(|application| application.client_id == *client_id).cloned())
    }

    async fn list(&self, after: Option<ApplicationId>, limit: u32) -> Result<Vec<Arc<Application>>, StorageError> {
        self.outage.check()?;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let applications = lock(&self.applications);
        let page = applications.range((from, Bound::Unbounded)).take(at_most(limit));
        Ok(page.map(|(_, application)| Arc::clone(application)).collect())
    }

    async fn count_registered_by(&self, by: RegisteredBy) -> Result<u64, StorageError> {
        self.outage.check()?;
        let applications = lock(&self.applications);
        Ok(applications.values().filter(|known| known.registered_by.as_str() == by.as_str()).map(|_| 1).sum())
    }

    async fn update(
        &self,
        id: ApplicationId,
        changes: &ApplicationChanges,
        now: Timestamp,
    ) -> Result<Arc<Application>, ChangeApplicationError> {
        self.outage.check()?;
        let answer = self.change(id, |application| {
            let mut updated = application.clone();
            changes.apply_to(&mut updated, now);
            updated.check_consistency()?;
            application.clone_from(&updated);
            Ok(Arc::new(updated))
        });
        answer.unwrap_or(Err(ChangeApplicationError::NotFound))
    }

    async fn delete(&self, id: ApplicationId) -> Result<bool, StorageError> {
        self.outage.check()?;
        Ok(lock(&self.applications).remove(&id).is_some())
    }

    async fn add_secret(
        &self,
        id: ApplicationId,
        secret: &StoredSecret,
        now: Timestamp,
    ) -> Result<(), ChangeApplicationError> {
        self.outage.check()?;
        let added = self.change(id, |application| {
            if application.secrets.len() >= Application::MAX_SECRETS {
                return Err(ChangeApplicationError::TooManySecrets);
            }
            application.secrets.push(secret.clone());
            application.secrets.sort_by_key(|secret| secret.created_at);
            application.updated_at = now;
            Ok(())
        });
        added.unwrap_or(Err(ChangeApplicationError::NotFound))
    }

    async fn replace_secrets(
        &self,
        id: ApplicationId,
        secret: &StoredSecret,
        now: Timestamp,
    ) -> Result<usize, ChangeApplicationError> {
        self.outage.check()?;
        let replaced = self.change(id, |application| {
            application.updated_at = now;
            std::mem::replace(&mut application.secrets, vec![secret.clone()]).len()
        });
        replaced.ok_or(ChangeApplicationError::NotFound)
    }

    async fn remove_secret(&self, id: ApplicationId, secret: SecretId, now: Timestamp) -> Result<bool, StorageError> {
        self.outage.check()?;
        let removed = self.change(id, |application| {
            let before = application.secrets.len();
            application.secrets.retain(|stored| stored.id != secret);
            let removed = application.secrets.len() < before;
            if removed {
                application.updated_at = now;
            }
            removed
        });
        Ok(removed.unwrap_or(false))
    }

    async fn revoke_tokens(&self, id: ApplicationId, at: Timestamp) -> Result<(), StorageError> {
        self.outage.check()?;
        self.change(id, |application| application.tokens_ended_at = application.tokens_ended_at.max(Some(at)));
        Ok(())
    }

    async fn record_secret_use(&self, id: ApplicationId, secret: SecretId, at: Timestamp) {
        self.change(id, |application| {
            for stored in application.secrets.iter_mut().filter(|stored| stored.id == secret) {
                stored.last_used_at = stored.last_used_at.max(Some(at));
            }
        });
    }

    async fn renew_secret_hash(&self, id: ApplicationId, stored: &StoredSecret, renewed: &SecretHash) {
        self.change(id, |application| {
            for kept in application.secrets.iter_mut().filter(|kept| kept.id == stored.id && kept.hash == stored.hash) {
                kept.hash = renewed.clone();
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::conformance::Fixture;

    fn in_memory() -> Fixture<dyn ApplicationRepository> {
        Fixture::new(Arc::new(InMemoryApplicationRepository::default()))
    }

    crate::conformance!(application_repository, in_memory());
}
