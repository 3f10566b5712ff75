//! Caches the look-up of an application, which every request needs.

use std::convert::Infallible;
use std::sync::Arc;

use async_trait::async_trait;
use quick_cache::sync::Cache;

use super::freshness::{Era, Fresh};
use crate::domain::applications::{
    Application, ApplicationChanges, ApplicationRepository, ChangeApplicationError, CreateApplicationError,
    RegisteredBy, SecretHash, StoredSecret,
};
use crate::domain::ids::{ApplicationId, ClientId, SecretId};
use crate::domain::system::{Clock, StorageError, Timestamp};

/// Maximum number of cached applications, about a kilobyte each.
const CAPACITY: usize = 10_000;

/// Caches [`find_by_client_id`](ApplicationRepository::find_by_client_id) for at most one second; everything else is
/// delegated to the repository behind it.
///
/// Changes made through this cache take effect immediately; those made by another process, within a second. Unknown client
/// IDs are cached too. Concurrent look-ups of one client share one query. While the repository is unavailable, entries older
/// than a second are not used. Recording the use of a secret does not invalidate the entry, so `last_used_at` may be stale
/// by a second.
pub struct CachedApplicationRepository {
    inner: Arc<dyn ApplicationRepository>,
    known: Cache<ClientId, Arc<Fresh<Option<Arc<Application>>>>>,
    era: Era,
}

impl CachedApplicationRepository {
    /// Caches results of `inner` for one second of `clock`.
    pub fn new(inner: Arc<dyn ApplicationRepository>, clock: Arc<dyn Clock>) -> Self {
        Self { inner, known: Cache::new(CAPACITY), era: Era::new(clock) }
    }
}

#[async_trait]
impl ApplicationRepository for CachedApplicationRepository {
    async fn create(&self, application: &Application) -> Result<(), CreateApplicationError> {
        let _forget = self.era.forget_afterwards();
        self.inner.create(application).await
    }

    async fn find(&self, id: ApplicationId) -> Result<Option<Arc<Application>>, StorageError> {
        self.inner.find(id).await
    }

    async fn find_by_client_id(&self, client_id: &ClientId) -> Result<Option<Arc<Application>>, StorageError> {
        let Ok(fresh) = self.known.get_or_insert_with(client_id, || Ok::<_, Infallible>(Arc::default()));
        fresh.get(&self.era, |_| self.inner.find_by_client_id(client_id)).await
    }

    async fn list(&self, after: Option<ApplicationId>, limit: u32) -> Result<Vec<Arc<Application>>, StorageError> {
        self.inner.list(after, limit).await
    }

    async fn count_registered_by(&self, by: RegisteredBy) -> Result<u64, StorageError> {
        self.inner.count_registered_by(by).await
    }

    async fn update(
        &self,
        id: ApplicationId,
        changes: &ApplicationChanges,
        now: Timestamp,
    ) -> Result<Arc<Application>, ChangeApplicationError> {
        let _forget = self.era.forget_afterwards();
        self.inner.update(id, changes, now).await
    }

    async fn delete(&self, id: ApplicationId) -> Result<bool, StorageError> {
        let _forget = self.era.forget_afterwards();
        self.inner.delete(id).await
    }

    async fn add_secret(
        &self,
        id: ApplicationId,
        secret: &StoredSecret,
        now: Timestamp,
    ) -> Result<(), ChangeApplicationError> {
        let _forget = self.era.forget_afterwards();
        self.inner.add_secret(id, secret, now).await
    }

    async fn replace_secrets(
        &self,
        id: ApplicationId,
        secret: &StoredSecret,
        now: Timestamp,
    ) -> Result<usize, ChangeApplicationError> {
        let _forget = self.era.forget_afterwards();
        self.inner.replace_secrets(id, secret, now).await
    }

    async fn remove_secret(&self, id: ApplicationId, secret: SecretId, now: Timestamp) -> Result<bool, StorageError> {
        let _forget = self.era.forget_afterwards();
        self.inner.remove_secret(id, secret, now).await
    }

    async fn revoke_tokens(&self, id: ApplicationId, at: Timestamp) -> Result<(), StorageError> {
        let _forget = self.era.forget_afterwards();
        self.inner.revoke_tokens(id, at).await
    }

    async fn record_secret_use(&self, id: ApplicationId, secret: SecretId, at: Timestamp) {
        self.inner.record_secret_use(id, secret, at).await;
    }

    async fn renew_secret_hash(&self, id: ApplicationId, stored: &StoredSecret, renewed: &SecretHash) {
        let _forget = self.era.forget_afterwards();
        self.inner.renew_secret_hash(id, stored, renewed).await;
    }
}
