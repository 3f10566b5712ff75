//! Caches whether a person is enabled, which every request on behalf of a person checks.

use std::convert::Infallible;
use std::sync::Arc;

use async_trait::async_trait;
use quick_cache::sync::Cache;

use super::freshness::{Era, Fresh};
use crate::domain::applications::SecretHash;
use crate::domain::ids::UserId;
use crate::domain::people::{CreatePersonError, ExternalUser, Login, Person, PersonRepository, SignInVersion};
use crate::domain::system::{Clock, StorageError, Timestamp};

/// Maximum number of cached people, a few hundred bytes each.
const CAPACITY: usize = 10_000;

/// Caches [`is_enabled`](PersonRepository::is_enabled) for at most one second; everything else is delegated to the
/// repository behind it.
///
/// Changes made through this cache take effect immediately; those made by another process, within a second. While the
/// repository is unavailable, entries older than a second are not used.
pub struct CachedPersonRepository {
    inner: Arc<dyn PersonRepository>,
    enabled: Cache<UserId, Arc<Fresh<bool>>>,
    era: Era,
}

impl CachedPersonRepository {
    /// Caches results of `inner` for one second of `clock`.
    pub fn new(inner: Arc<dyn PersonRepository>, clock: Arc<dyn Clock>) -> Self {
        Self { inner, enabled: Cache::new(CAPACITY), era: Era::new(clock) }
    }
}

#[async_trait]
impl PersonRepository for CachedPersonRepository {
    async fn create(&self, person: &Person) -> Result<(), CreatePersonError> {
        let _forget = self.era.forget_afterwards();
        self.inner.create(person).await
    }

    async fn find_or_create(&self, external_user: &ExternalUser) -> Result<Person, StorageError> {
        // The ID was just created, so it is not cached yet.
        self.inner.find_or_create(external_user).await
    }

    async fn find(&self, id: UserId) -> Result<Option<Person>, StorageError> {
        self.inner.find(id).await
    }

    async fn is_enabled(&self, id: UserId) -> Result<bool, StorageError> {
        let Ok(fresh) = self.enabled.get_or_insert_with(&id, || Ok::<_, Infallible>(Arc::default()));
        fresh.get(&self.era, |_| self.inner.is_enabled(id)).await
    }

    async fn find_by_login(&self, login: &Login) -> Result<Option<Person>, StorageError> {
        self.inner.find_by_login(login).await
    }

    async fn list(&self, after: Option<UserId>, limit: u32) -> Result<Vec<Person>, StorageError> {
        self.inner.list(after, limit).await
    }

    async fn set_enabled(&self, id: UserId, enabled: bool, now: Timestamp) -> Result<bool, StorageError> {
        let _forget = self.era.forget_afterwards();
        self.inner.set_enabled(id, enabled, now).await
    }

    async fn set_password(&self, id: UserId, password: &SecretHash, now: Timestamp) -> Result<bool, StorageError> {
        self.inner.set_password(id, password, now).await
    }

    async fn change_password(
        &self,
        id: UserId,
        verified: SignInVersion,
        password: &SecretHash,
        now: Timestamp,
    ) -> Result<bool, StorageError> {
        self.inner.change_password(id, verified, password, now).await
    }

    async fn renew_password_hash(
        &self,
        id: UserId,
        current: &SecretHash,
        renewed: &SecretHash,
    ) -> Result<bool, StorageError> {
        self.inner.renew_password_hash(id, current, renewed).await
    }

    async fn delete(&self, id: UserId) -> Result<bool, StorageError> {
        let _forget = self.era.forget_afterwards();
        self.inner.delete(id).await
    }
}
