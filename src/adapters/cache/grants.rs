//! Caches revocations, which every request checks.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;

use super::freshness::{Era, Fresh};
use crate::domain::ids::{ApplicationId, GrantId, TokenId};
use crate::domain::oauth::{Consumed, Consumption, GrantStore, Revocation, Revoked};
use crate::domain::system::{Clock, StorageError, Timestamp};

/// How far a synchronization reaches back beyond the previous one: tolerance for clock skew between instances, and for
/// revocations that are committed late.
const OVERLAP: Duration = Duration::from_mins(1);
/// Interval at which expired entries are dropped.
const FORGET_EVERY: Duration = Duration::from_mins(1);

/// Answers [`is_revoked`](GrantStore::is_revoked) from memory; everything else is delegated to the store behind it.
///
/// The set of revocations is at most one second old, or is synchronized before the answer. If that fails, so does the call,
/// unless the token is known to be revoked, which no later revocation can change. Revocations made through this cache take
/// effect immediately; those of another instance, whose clock skew must be below a minute, within a second.
pub struct CachedGrantStore {
    inner: Arc<dyn GrantStore>,
    era: Era,
    synchronised: Fresh<()>,
    set: RwLock<RevocationSet>,
}

#[derive(Default)]
struct RevocationSet {
    /// What is revoked, and until when the entry is needed.
    revoked: HashMap<Revoked, Timestamp>,
    /// When the latest synchronization began, and its era.
    latest: Option<(Timestamp, u64)>,
    forgot_at: Option<Timestamp>,
}

impl CachedGrantStore {
    /// Caches the revocations of `inner` for one second of `clock`.
    pub fn new(inner: Arc<dyn GrantStore>, clock: Arc<dyn Clock>) -> Self {
        Self { inner, era: Era::new(clock), synchronised: Fresh::default(), set: RwLock::default() }
    }

    fn holds(&self, grant: GrantId, token: TokenId) -> bool {
        let set = self.set.read().unwrap_or_else(PoisonError::into_inner);
        set.revoked.contains_key(&Revoked::Grant(grant)) || set.revoked.contains_key(&Revoked::Token(token))
    }

    async fn synchronise(&self, now: Timestamp) -> Result<(), StorageError> {
        let era = self.era.number();
        let latest = self.set.read().unwrap_or_else(PoisonError::into_inner).latest;
        // After the clock jumped back, older times are not comparable any more: everything is read again.
        let since = match latest {
            Some((at, of_era)) if of_era == era => at.minus(OVERLAP),
            _ => Timestamp::from_unix_millis(i64::MIN),
        };
        let revocations = self.inner.revocations_since(since, now).await?;
        let mut set = self.set.write().unwrap_or_else(PoisonError::into_inner);
        set.revoked.extend(revocations.into_iter().map(|revocation| (revocation.what, revocation.keep_until)));
        if set.forgot_at.is_none_or(|at| now < at || now.since(at) >= FORGET_EVERY) {
            set.revoked.retain(|_, keep_until| now <= *keep_until);
            set.forgot_at = Some(now);
        }
        set.latest = Some((now, era));
        Ok(())
    }
}

#[async_trait]
impl GrantStore for CachedGrantStore {
    async fn consume(&self, consumption: &Consumption) -> Result<Consumed, StorageError> {
        self.inner.consume(consumption).await
    }

    async fn is_consumed(&self, token: TokenId) -> Result<bool, StorageError> {
        self.inner.is_consumed(token).await
    }

    async fn revoke(&self, revocation: &Revocation) -> Result<bool, StorageError> {
        let is_new = self.inner.revoke(revocation).await?;
        let mut set = self.set.write().unwrap_or_else(PoisonError::into_inner);
        // Of two revocations of the same thing the store keeps the first.
        set.revoked.entry(revocation.what).or_insert(revocation.keep_until);
        Ok(is_new)
    }

    async fn revoke_within(
        &self,
        application: ApplicationId,
        most: u32,
        revocation: &Revocation,
    ) -> Result<Option<bool>, StorageError> {
        let is_new = self.inner.revoke_within(application, most, revocation).await?;
        if is_new.is_some() {
            let mut set = self.set.write().unwrap_or_else(PoisonError::into_inner);
            set.revoked.entry(revocation.what).or_insert(revocation.keep_until);
        }
        Ok(is_new)
    }

    async fn is_revoked(&self, grant: GrantId, token: TokenId) -> Result<bool, StorageError> {
        if self.holds(grant, token) {
            return Ok(true);
        }
        self.synchronised.get(&self.era, |now| self.synchronise(now)).await?;
        Ok(self.holds(grant, token))
    }

    async fn revocations_since(&self, since: Timestamp, now: Timestamp) -> Result<Vec<Revocation>, StorageError> {
        self.inner.revocations_since(since, now).await
    }

    async fn sweep(&self, now: Timestamp, limit: u32) -> Result<u64, StorageError> {
        self.inner.sweep(now, limit).await
    }
}
