//! Passkeys in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::person_repository::PeopleState;
use super::{InMemoryPersonRepository, Outage, at_most, lock};
use crate::ids::{PasskeyId, UserId};
use crate::people::{AddPasskeyError, CredentialId, Passkey, PasskeyRepository, SpentChallenge, StoredCredential};
use crate::system::{StorageError, Timestamp};

/// Keeps passkeys in memory.
#[derive(Debug)]
pub struct InMemoryPasskeyRepository {
    state: Arc<Mutex<PeopleState>>,
    spent: Mutex<HashMap<[u8; 32], Timestamp>>,
    outage: Outage,
}

impl InMemoryPasskeyRepository {
    /// A repository of the passkeys of `people`: whoever is deleted there has none here.
    #[must_use]
    pub fn of(people: &InMemoryPersonRepository) -> Self {
        Self { state: people.state(), spent: Mutex::default(), outage: Outage::default() }
    }

    /// The switch that makes it fail.
    #[must_use]
    pub fn outage(&self) -> Outage {
        self.outage.clone()
    }
}

#[async_trait]
impl PasskeyRepository for InMemoryPasskeyRepository {
    async fn add(&self, passkey: &Passkey) -> Result<(), AddPasskeyError> {
        self.outage.check()?;
        let mut state = lock(&self.state);
        let own = state.passkeys.iter().filter(|known| known.person == passkey.person).count();
        if !state.people.contains_key(&passkey.person) || own >= at_most(Passkey::MAX_PER_PERSON) {
            return Err(AddPasskeyError::TooMany);
        }
        let is_it = |known: &Passkey| known.id == passkey.id || known.credential_id == passkey.credential_id;
        if state.passkeys.iter().any(is_it) {
            return Err(AddPasskeyError::Exists);
        }
        state.passkeys.push(passkey.clone());
        Ok(())
    }

    async fn find(&self, credential_id: &CredentialId) -> Result<Option<Passkey>, StorageError> {
        self.outage.check()?;
        Ok(lock(&self.state).passkeys.iter().find(|known| known.credential_id == *credential_id).cloned())
    }

    async fn list_by_person(&self, person: UserId) -> Result<Vec<Passkey>, StorageError> {
        self.outage.check()?;
        let mut own: Vec<Passkey> =
            lock(&self.state).passkeys.iter().filter(|known| known.person == person).cloned().collect();
        own.sort_by_key(|passkey| (passkey.created_at, passkey.id));
        Ok(own)
    }

    async fn record_use(
        &self,
        used: &Passkey,
        renewed: &StoredCredential,
        now: Timestamp,
    ) -> Result<bool, StorageError> {
        self.outage.check()?;
        let mut state = lock(&self.state);
        let is_it = |known: &&mut Passkey| known.id == used.id && known.credential == used.credential;
        let Some(known) = state.passkeys.iter_mut().find(is_it) else { return Ok(false) };
        known.credential = renewed.clone();
        known.last_used_at = Some(now);
        Ok(true)
    }

    async fn remove(&self, person: UserId, id: PasskeyId) -> Result<bool, StorageError> {
        self.outage.check()?;
        let passkeys = &mut lock(&self.state).passkeys;
        let before = passkeys.len();
        passkeys.retain(|known| known.id != id || known.person != person);
        Ok(passkeys.len() < before)
    }

    async fn spend(&self, challenge: &SpentChallenge) -> Result<bool, StorageError> {
        self.outage.check()?;
        Ok(lock(&self.spent).insert(challenge.digest, challenge.expires_at).is_none())
    }

    async fn sweep(&self, now: Timestamp, limit: u32) -> Result<u64, StorageError> {
        self.outage.check()?;
        let mut spent = lock(&self.spent);
        let due = spent.iter().filter(|(_, expires_at)| **expires_at < now).map(|(digest, _)| *digest);
        let due: Vec<[u8; 32]> = due.take(at_most(limit)).collect();
        Ok(due.iter().filter(|digest| spent.remove(*digest).is_some()).map(|_| 1).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::conformance::Fixture;
    use crate::testing::conformance::passkey_repository::Passkeys;

    fn in_memory() -> Fixture<Passkeys> {
        let people = Arc::new(InMemoryPersonRepository::default());
        let passkeys = Arc::new(InMemoryPasskeyRepository::of(&people));
        Fixture::new(Arc::new(Passkeys { people, passkeys }))
    }

    crate::conformance!(passkey_repository, in_memory());
}
