//! People in memory.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::{Outage, at_most, lock};
use crate::applications::SecretHash;
use crate::ids::UserId;
use crate::people::{
    Account, CreatePersonError, ExternalUser, Login, Passkey, PasswordLink, Person, PersonRepository, Session,
    SessionId, SignInVersion,
};
use crate::system::{StorageError, Timestamp};

/// Keeps people in memory. Their sessions are in an [`InMemorySessionStore`](super::InMemorySessionStore) of it.
#[derive(Debug, Default)]
pub struct InMemoryPersonRepository {
    state: Arc<Mutex<PeopleState>>,
    outage: Outage,
}

/// People, and their sessions, links and passkeys, which go along with them.
#[derive(Debug, Default)]
pub(super) struct PeopleState {
    pub(super) people: BTreeMap<UserId, Person>,
    pub(super) sessions: HashMap<SessionId, Session>,
    pub(super) links: HashMap<UserId, PasswordLink>,
    pub(super) passkeys: Vec<Passkey>,
}

impl InMemoryPersonRepository {
    /// A repository that holds these people.
    #[must_use]
    pub fn holding(people: impl IntoIterator<Item = Person>) -> Self {
        let people = people.into_iter().map(|person| (person.id, person)).collect();
        let state = PeopleState { people, ..PeopleState::default() };
        Self { state: Arc::new(Mutex::new(state)), outage: Outage::default() }
    }

    /// The switch that makes it fail.
    #[must_use]
    pub fn outage(&self) -> Outage {
        self.outage.clone()
    }

    pub(super) fn state(&self) -> Arc<Mutex<PeopleState>> {
        Arc::clone(&self.state)
    }

    /// Changes the person of that id. Returns whether there is one whom `change` could change. A new version ends every
    /// session.
    fn change(&self, id: UserId, now: Timestamp, change: impl FnOnce(&mut Person) -> bool) -> bool {
        let state = &mut *lock(&self.state);
        let Some(person) = state.people.get_mut(&id) else { return false };
        let version = person.sign_in_version;
        let changed = change(person);
        if changed {
            person.updated_at = now;
        }
        if person.sign_in_version != version {
            state.sessions.retain(|_, session| session.person != id);
        }
        changed
    }
}

#[async_trait]
impl PersonRepository for InMemoryPersonRepository {
    async fn create(&self, person: &Person) -> Result<(), CreatePersonError> {
        self.outage.check()?;
        let people = &mut lock(&self.state).people;
        if people.values().any(|known| known.id == person.id || are_the_same(&known.account, &person.account)) {
            return Err(CreatePersonError::Exists);
        }
        people.insert(person.id, person.clone());
        Ok(())
    }

    async fn find_or_create(&self, external_user: &ExternalUser) -> Result<Person, StorageError> {
        self.outage.check()?;
        let people = &mut lock(&self.state).people;
        let account =
            Account::External { identity: external_user.identity.clone(), label: external_user.label.clone() };
        if let Some(known) = people.values_mut().find(|known| are_the_same(&known.account, &account)) {
            if known.account != account {
                known.account = account;
                known.updated_at = external_user.at;
            }
            return Ok(known.clone());
        }
        let person = Person {
            id: external_user.id,
            account,
            enabled: true,
            sign_in_version: SignInVersion::default(),
            created_at: external_user.at,
            updated_at: external_user.at,
        };
        people.insert(person.id, person.clone());
        Ok(person)
    }

    async fn find(&self, id: UserId) -> Result<Option<Person>, StorageError> {
        self.outage.check()?;
        Ok(lock(&self.state).people.get(&id).cloned())
    }

    async fn is_enabled(&self, id: UserId) -> Result<bool, StorageError> {
        Ok(self.find(id).await?.is_some_and(|person| person.enabled))
    }

    async fn find_by_login(&self, login: &Login) -> Result<Option<Person>, StorageError> {
        self.outage.check()?;
        let has_it = |person: &&Person| matches!(&person.account, Account::Local { login: own, .. } if own == login);
        Ok(lock(&self.state).people.values().find(has_it).cloned())
    }

    async fn list(&self, after: Option<UserId>, limit: u32) -> Result<Vec<Person>, StorageError> {
        self.outage.check()?;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let people = &lock(&self.state).people;
        Ok(people.range((from, Bound::Unbounded)).take(at_most(limit)).map(|(_, person)| person.clone()).collect())
    }

    async fn set_enabled(&self, id: UserId, enabled: bool, now: Timestamp) -> Result<bool, StorageError> {
        self.outage.check()?;
        Ok(self.change(id, now, |person| {
            person.enabled = enabled;
            if !enabled {
                person.sign_in_version = person.sign_in_version.next();
            }
            true
        }))
    }

    async fn set_password(&self, id: UserId, password: &SecretHash, now: Timestamp) -> Result<bool, StorageError> {
        self.outage.check()?;
        Ok(self.change(id, now, |person| match &mut person.account {
            Account::Local { password: kept, .. } => {
                kept.clone_from(password);
                person.sign_in_version = person.sign_in_version.next();
                true
            }
            Account::External { .. } => false,
        }))
    }

    async fn change_password(
        &self,
        id: UserId,
        verified: SignInVersion,
        password: &SecretHash,
        now: Timestamp,
    ) -> Result<bool, StorageError> {
        self.outage.check()?;
        Ok(self.change(id, now, |person| match &mut person.account {
            Account::Local { password: kept, .. } if person.sign_in_version == verified => {
                kept.clone_from(password);
                person.sign_in_version = person.sign_in_version.next();
                true
            }
            _ => false,
        }))
    }

    async fn renew_password_hash(
        &self,
        id: UserId,
        current: &SecretHash,
        renewed: &SecretHash,
    ) -> Result<bool, StorageError> {
        self.outage.check()?;
        let mut state = lock(&self.state);
        match state.people.get_mut(&id).map(|person| &mut person.account) {
            Some(Account::Local { password, .. }) if password == current => {
                password.clone_from(renewed);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    async fn delete(&self, id: UserId) -> Result<bool, StorageError> {
        self.outage.check()?;
        let mut state = lock(&self.state);
        state.sessions.retain(|_, session| session.person != id);
        state.links.remove(&id);
        state.passkeys.retain(|passkey| passkey.person != id);
        Ok(state.people.remove(&id).is_some())
    }
}

/// Whether two accounts cannot both be there.
fn are_the_same(one: &Account, other: &Account) -> bool {
    match (one, other) {
        (Account::Local { login: one, .. }, Account::Local { login: other, .. }) => one == other,
        (Account::External { identity: one, .. }, Account::External { identity: other, .. }) => one == other,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::conformance::Fixture;

    fn in_memory() -> Fixture<dyn PersonRepository> {
        Fixture::new(Arc::new(InMemoryPersonRepository::default()))
    }

    crate::conformance!(person_repository, in_memory());
}
