//! Uses and revocations in memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;

use async_trait::async_trait;

use super::{Outage, at_most, lock};
use crate::ids::{ApplicationId, GrantId, TokenId};
use crate::oauth::{Consumed, Consumption, GrantStore, Revocation, Revoked};
use crate::system::{StorageError, Timestamp};

/// Keeps uses and revocations in memory.
#[derive(Debug, Default)]
pub struct InMemoryGrantStore {
    state: Mutex<LedgerState>,
    outage: Outage,
}

#[derive(Debug, Default)]
struct LedgerState {
    uses: HashMap<TokenId, Consumption>,
    revocations: HashMap<Revoked, Revocation>,
    owners: HashMap<Revoked, ApplicationId>,
}

impl InMemoryGrantStore {
    /// The switch that makes it fail.
    #[must_use]
    pub fn outage(&self) -> Outage {
        self.outage.clone()
    }
}

#[async_trait]
impl GrantStore for InMemoryGrantStore {
    async fn consume(&self, consumption: &Consumption) -> Result<Consumed, StorageError> {
        self.outage.check()?;
        let mut state = lock(&self.state);
        if state.revocations.contains_key(&Revoked::Grant(consumption.grant_id)) {
            return Ok(Consumed::GrantRevoked);
        }
        if let Some(first) = state.uses.get(&consumption.token_id) {
            let successor_used = state.uses.contains_key(&first.successor_id);
            return Ok(Consumed::Before { successor_id: first.successor_id, at: first.at, successor_used });
        }
        state.uses.insert(consumption.token_id, consumption.clone());
        Ok(Consumed::First)
    }

    async fn is_consumed(&self, token: TokenId) -> Result<bool, StorageError> {
        self.outage.check()?;
        Ok(lock(&self.state).uses.contains_key(&token))
    }

    async fn revoke(&self, revocation: &Revocation) -> Result<bool, StorageError> {
        self.outage.check()?;
        let mut state = lock(&self.state);
        let is_new = !state.revocations.contains_key(&revocation.what);
        if is_new {
            state.revocations.insert(revocation.what, revocation.clone());
        }
        Ok(is_new)
    }

    async fn revoke_within(
        &self,
        application: ApplicationId,
        most: u32,
        revocation: &Revocation,
    ) -> Result<Option<bool>, StorageError> {
        self.outage.check()?;
        let mut state = lock(&self.state);
        if state.revocations.contains_key(&revocation.what) {
            return Ok(Some(false));
        }
        let known = state.revocations.values().filter(|known| known.keep_until >= revocation.at);
        let owners: Vec<Revoked> = known.map(|known| known.what).collect();
        if owners.iter().filter(|what| state.owners.get(what) == Some(&application)).count() >= at_most(most) {
            return Ok(None);
        }
        state.owners.insert(revocation.what, application);
        state.revocations.insert(revocation.what, revocation.clone());
        Ok(Some(true))
    }

    async fn is_revoked(&self, grant: GrantId, token: TokenId) -> Result<bool, StorageError> {
        self.outage.check()?;
        let revocations = &lock(&self.state).revocations;
        Ok(revocations.contains_key(&Revoked::Grant(grant)) || revocations.contains_key(&Revoked::Token(token)))
    }

    async fn revocations_since(&self, since: Timestamp, now: Timestamp) -> Result<Vec<Revocation>, StorageError> {
        self.outage.check()?;
        let state = lock(&self.state);
        let wanted = |revocation: &&Revocation| revocation.at >= since && revocation.keep_until >= now;
        Ok(state.revocations.values().filter(wanted).cloned().collect())
    }

    async fn sweep(&self, now: Timestamp, limit: u32) -> Result<u64, StorageError> {
        self.outage.check()?;
        let state = &mut *lock(&self.state);
        let uses = sweep(&mut state.uses, limit, |consumption| consumption.keep_until < now);
        Ok(uses + sweep(&mut state.revocations, limit, |revocation| revocation.keep_until < now))
    }
}

fn sweep<K: Copy + Eq + Hash, V>(rows: &mut HashMap<K, V>, limit: u32, is_over: impl Fn(&V) -> bool) -> u64 {
    let over: Vec<K> = rows.iter().filter(|(_, row)| is_over(row)).map(|(key, _)| *key).take(at_most(limit)).collect();
    over.into_iter().filter(|key| rows.remove(key).is_some()).map(|_| 1).sum()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::testing::conformance::Fixture;

    fn in_memory() -> Fixture<dyn GrantStore> {
        Fixture::new(Arc::new(InMemoryGrantStore::default()))
    }

    crate::conformance!(grant_store, in_memory());
}
