//! Sessions in memory.

use std::cmp::Reverse;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::person_repository::PeopleState;
use super::{InMemoryPersonRepository, Outage, at_most, lock};
use crate::ids::UserId;
use crate::people::{Session, SessionId, SessionStore, SignInVersion};
use crate::system::{StorageError, Timestamp};

/// Keeps sessions in memory.
#[derive(Debug)]
pub struct InMemorySessionStore {
    state: Arc<Mutex<PeopleState>>,
    outage: Outage,
}

impl InMemorySessionStore {
    /// A store of the sessions of `people`: whoever is deleted there has no session here.
    #[must_use]
    pub fn of(people: &InMemoryPersonRepository) -> Self {
        Self { state: people.state(), outage: Outage::default() }
    }

    /// The switch that makes it fail.
    #[must_use]
    pub fn outage(&self) -> Outage {
        self.outage.clone()
    }

    fn forget(&self, limit: u32, over: impl Fn(&Session) -> bool) -> u64 {
        let sessions = &mut lock(&self.state).sessions;
        let ids: Vec<SessionId> =
            sessions.values().filter(|session| over(session)).map(|session| session.id).take(at_most(limit)).collect();
        ids.iter().filter(|id| sessions.remove(id).is_some()).map(|_| 1).sum()
    }
}

#[async_trait]
impl SessionStore for InMemorySessionStore {
    async fn create(&self, session: &Session, verified: SignInVersion) -> Result<bool, StorageError> {
        self.outage.check()?;
        let mut state = lock(&self.state);
        let person = state.people.get(&session.person);
        if !person.is_some_and(|person| person.enabled && person.sign_in_version == verified) {
            return Ok(false);
        }
        state.sessions.insert(session.id, session.clone());
        let mut own: Vec<(Timestamp, SessionId)> = state
            .sessions
            .values()
            .filter(|known| known.person == session.person && known.id != session.id)
            .map(|known| (known.signed_in_at, known.id))
            .collect();
        own.sort_by_key(|(signed_in_at, _)| Reverse(*signed_in_at));
        for (_, oldest) in own.iter().skip(at_most(Session::MAX_PER_PERSON - 1)) {
            state.sessions.remove(oldest);
        }
        Ok(true)
    }

    async fn find(&self, id: &SessionId, now: Timestamp) -> Result<Option<Session>, StorageError> {
        self.outage.check()?;
        let found = lock(&self.state).sessions.get(id).cloned();
        Ok(found.filter(|session| now < session.expires_at))
    }

    async fn list_by_person(&self, person: UserId, now: Timestamp) -> Result<Vec<Session>, StorageError> {
        self.outage.check()?;
        let state = lock(&self.state);
        let own = state.sessions.values().filter(|session| session.person == person && now < session.expires_at);
        let mut own: Vec<Session> = own.cloned().collect();
        own.sort_by_key(|session| Reverse(session.signed_in_at));
        Ok(own)
    }

    async fn delete(&self, id: &SessionId) -> Result<bool, StorageError> {
        self.outage.check()?;
        Ok(lock(&self.state).sessions.remove(id).is_some())
    }

    async fn delete_by_person(&self, person: UserId) -> Result<u64, StorageError> {
        self.outage.check()?;
        Ok(self.forget(u32::MAX, |session| session.person == person))
    }

    async fn sweep(&self, now: Timestamp, limit: u32) -> Result<u64, StorageError> {
        self.outage.check()?;
        Ok(self.forget(limit, |session| session.expires_at < now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::conformance::Fixture;
    use crate::testing::conformance::session_store::Accounts;

    fn in_memory() -> Fixture<Accounts> {
        let people = Arc::new(InMemoryPersonRepository::default());
        let sessions = Arc::new(InMemorySessionStore::of(&people));
        Fixture::new(Arc::new(Accounts { people, sessions }))
    }

    crate::conformance!(session_store, in_memory());
}
