//! Links with which people choose a password, in memory.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::person_repository::PeopleState;
use super::{InMemoryPersonRepository, Outage, at_most, lock};
use crate::ids::UserId;
use crate::people::{PasswordLink, PasswordLinkStore};
use crate::system::{StorageError, Timestamp};

/// Keeps links in memory.
#[derive(Debug)]
pub struct InMemoryPasswordLinkStore {
    state: Arc<Mutex<PeopleState>>,
    outage: Outage,
}

impl InMemoryPasswordLinkStore {
    /// A store of the links of `people`: whoever is deleted there has no link here.
    #[must_use]
    pub fn of(people: &InMemoryPersonRepository) -> Self {
        Self { state: people.state(), outage: Outage::default() }
    }

    /// The switch that makes it fail.
    #[must_use]
    pub fn outage(&self) -> Outage {
        self.outage.clone()
    }
}

#[async_trait]
impl PasswordLinkStore for InMemoryPasswordLinkStore {
    async fn put(&self, link: &PasswordLink) -> Result<bool, StorageError> {
        self.outage.check()?;
        let mut state = lock(&self.state);
        let exists = state.people.contains_key(&link.person);
        if exists {
            state.links.insert(link.person, link.clone());
        }
        Ok(exists)
    }

    async fn find(&self, person: UserId, now: Timestamp) -> Result<Option<PasswordLink>, StorageError> {
        self.outage.check()?;
        let found = lock(&self.state).links.get(&person).cloned();
        Ok(found.filter(|link| now < link.expires_at))
    }

    async fn delete(&self, link: &PasswordLink) -> Result<bool, StorageError> {
        self.outage.check()?;
        let mut state = lock(&self.state);
        let is_it = state.links.get(&link.person).is_some_and(|known| known.digest == link.digest);
        Ok(is_it && state.links.remove(&link.person).is_some())
    }

    async fn sweep(&self, now: Timestamp, limit: u32) -> Result<u64, StorageError> {
        self.outage.check()?;
        let links = &mut lock(&self.state).links;
        let due = links.values().filter(|link| link.expires_at < now).map(|link| link.person);
        let due: Vec<UserId> = due.take(at_most(limit)).collect();
        Ok(due.iter().filter(|person| links.remove(person).is_some()).map(|_| 1).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::conformance::Fixture;
    use crate::testing::conformance::password_link_store::Links;

    fn in_memory() -> Fixture<Links> {
        let people = Arc::new(InMemoryPersonRepository::default());
        let links = Arc::new(InMemoryPasswordLinkStore::of(&people));
        Fixture::new(Arc::new(Links { people, links }))
    }

    crate::conformance!(password_link_store, in_memory());
}
