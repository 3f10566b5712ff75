//! Authorizations in memory.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Mutex;

use async_trait::async_trait;

use super::{Outage, at_most, lock};
use crate::ids::{GrantId, UserId};
use crate::oauth::{Authorization, AuthorizationStore, CodeDigest, Redemption};
use crate::system::{StorageError, Timestamp};

/// Keeps authorizations in memory.
#[derive(Debug, Default)]
pub struct InMemoryAuthorizationStore {
    authorizations: Mutex<HashMap<GrantId, Authorization>>,
    outage: Outage,
}

impl InMemoryAuthorizationStore {
    /// A store that holds these authorizations.
    #[must_use]
    pub fn holding(authorizations: impl IntoIterator<Item = Authorization>) -> Self {
        let authorizations = authorizations.into_iter().map(|authorization| (authorization.grant_id, authorization));
        Self { authorizations: Mutex::new(authorizations.collect()), outage: Outage::default() }
    }

    /// The switch that makes it fail.
    #[must_use]
    pub fn outage(&self) -> Outage {
        self.outage.clone()
    }
}

#[async_trait]
impl AuthorizationStore for InMemoryAuthorizationStore {
    async fn create(&self, authorization: &Authorization) -> Result<(), StorageError> {
        self.outage.check()?;
        lock(&self.authorizations).insert(authorization.grant_id, authorization.clone());
        Ok(())
    }

    async fn find_by_code(&self, code: &CodeDigest) -> Result<Option<Authorization>, StorageError> {
        self.outage.check()?;
        Ok(lock(&self.authorizations).values().find(|authorization| authorization.code == *code).cloned())
    }

    async fn redeem(&self, redemption: &Redemption) -> Result<bool, StorageError> {
        self.outage.check()?;
        let mut authorizations = lock(&self.authorizations);
        let open = authorizations.get_mut(&redemption.grant_id).filter(|known| known.redeemed_at.is_none());
        Ok(open
            .map(|authorization| {
                authorization.redeemed_at = Some(redemption.at);
                authorization.keep_until = redemption.keep_until;
            })
            .is_some())
    }

    async fn of_person(&self, person: UserId) -> Result<Vec<Authorization>, StorageError> {
        self.outage.check()?;
        let authorizations = lock(&self.authorizations);
        let mut own: Vec<Authorization> =
            authorizations.values().filter(|authorization| authorization.person == person).cloned().collect();
        own.sort_by_key(|authorization| Reverse(authorization.created_at));
        Ok(own)
    }

    async fn end(&self, grant: GrantId) -> Result<bool, StorageError> {
        self.outage.check()?;
        Ok(lock(&self.authorizations).remove(&grant).is_some())
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
    use std::sync::Arc;

    use super::*;
    use crate::testing::conformance::Fixture;

    fn in_memory() -> Fixture<dyn AuthorizationStore> {
        Fixture::new(Arc::new(InMemoryAuthorizationStore::default()))
    }

    crate::conformance!(authorization_store, in_memory());
}
