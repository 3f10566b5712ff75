//! Signing keys in memory.

use std::sync::Mutex;

use async_trait::async_trait;

use super::{Outage, lock};
use crate::oauth::{KeyId, SealedKey, SigningKey, SigningKeyStore};
use crate::system::{StorageError, Timestamp};

/// Keeps signing keys in memory.
#[derive(Debug, Default)]
pub struct InMemorySigningKeyStore {
    keys: Mutex<Vec<SigningKey>>,
    outage: Outage,
}

impl InMemorySigningKeyStore {
    /// A store that holds these keys.
    #[must_use]
    pub fn holding(keys: impl IntoIterator<Item = SigningKey>) -> Self {
        Self { keys: Mutex::new(keys.into_iter().collect()), outage: Outage::default() }
    }

    /// The switch that makes it fail.
    #[must_use]
    pub fn outage(&self) -> Outage {
        self.outage.clone()
    }
}

#[async_trait]
impl SigningKeyStore for InMemorySigningKeyStore {
    async fn list(&self) -> Result<Vec<SigningKey>, StorageError> {
        self.outage.check()?;
        let mut keys = lock(&self.keys).clone();
        keys.sort_by_key(|key| (key.purpose, key.generation));
        Ok(keys)
    }

    async fn add(&self, key: &SigningKey) -> Result<bool, StorageError> {
        self.outage.check()?;
        let mut keys = lock(&self.keys);
        let is_new = !keys.iter().any(|known| known.purpose == key.purpose && known.generation == key.generation);
        if is_new {
            keys.push(key.clone());
        }
        Ok(is_new)
    }

    async fn retire(&self, id: &KeyId, at: Timestamp) -> Result<bool, StorageError> {
        self.outage.check()?;
        let mut keys = lock(&self.keys);
        let key = keys.iter_mut().find(|key| key.id == *id && key.retired_at.is_none());
        Ok(key.map(|key| key.retired_at = Some(at)).is_some())
    }

    async fn rewrap(&self, rewrapped: &[(SigningKey, SealedKey)]) -> Result<bool, StorageError> {
        self.outage.check()?;
        let mut keys = lock(&self.keys);
        let unchanged = |(given, _): &(SigningKey, SealedKey)| keys.contains(given);
        if !rewrapped.iter().all(unchanged) {
            return Ok(false);
        }
        for (given, sealed) in rewrapped {
            for key in keys.iter_mut().filter(|key| key.id == given.id) {
                key.sealed = sealed.clone();
            }
        }
        Ok(true)
    }

    async fn delete(&self, id: &KeyId) -> Result<(), StorageError> {
        self.outage.check()?;
        lock(&self.keys).retain(|key| key.id != *id);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::testing::conformance::Fixture;

    fn in_memory() -> Fixture<dyn SigningKeyStore> {
        Fixture::new(Arc::new(InMemorySigningKeyStore::default()))
    }

    crate::conformance!(signing_key_store, in_memory());
}
