//! Creating, rotating and retiring keys.

use std::sync::Arc;
use std::time::Duration;

use super::model::{KeyAlgorithm, KeyId, KeyPurpose, KeyState, MasterKey, NewSigningKey, SigningKey, state_of};
use super::ports::{KeyVault, SigningKeyStore, VaultError};
use crate::audit::{AuditEvent, AuditKind, AuditLog};
use crate::system::{Clock, StorageError, Timestamp};

/// The rotation policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPolicy {
    /// The algorithm of access tokens.
    pub access_token_algorithm: KeyAlgorithm,
    /// Age at which a signing key is replaced by a new one.
    pub rotate_after: Duration,
    /// How long a new key is published before it signs, so that everybody who caches the key set has it in time.
    pub publish_before: Duration,
}

/// Manages the signing keys.
#[derive(Clone)]
pub struct KeyService {
    store: Arc<dyn SigningKeyStore>,
    vault: Arc<dyn KeyVault>,
    audit: Arc<dyn AuditLog>,
    clock: Arc<dyn Clock>,
    policy: KeyPolicy,
}

/// Why managing keys failed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The key does not exist, or is retired already.
    #[error("there is no such key, or it is retired already")]
    NotFound,
    /// Without this key nothing could be signed.
    #[error("this key is the only active one; run `memgate keys rotate --now` first")]
    StillNeeded,
    /// The keys were changed concurrently.
    #[error("the keys have just been changed by another process; look at them and try again")]
    Conflict,
    /// The vault failed.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl KeyService {
    /// Assembles the service.
    pub fn new(
        store: Arc<dyn SigningKeyStore>,
        vault: Arc<dyn KeyVault>,
        audit: Arc<dyn AuditLog>,
        clock: Arc<dyn Clock>,
        policy: KeyPolicy,
    ) -> Self {
        Self { store, vault, audit, clock, policy }
    }

    /// Every key with its state.
    ///
    /// # Errors
    /// [`KeyError::Storage`].
    pub async fn list(&self) -> Result<Vec<(SigningKey, KeyState)>, KeyError> {
        let (keys, now) = (self.store.list().await?, self.clock.now());
        let states: Vec<KeyState> = keys.iter().map(|key| state_of(key, &keys, now)).collect();
        Ok(keys.into_iter().zip(states).collect())
    }

    /// Creates the first keys if there are none, and the next ones when the current ones are due, and deletes those that no token
    /// needs any more. Safe to run on any number of instances concurrently. Returns the resulting keys.
    ///
    /// # Errors
    /// [`KeyError::Vault`], [`KeyError::Storage`].
    pub async fn maintain(&self) -> Result<Vec<SigningKey>, KeyError> {
        let now = self.clock.now();
        let keys = self.store.list().await?;
        let mut changed = false;
        for purpose in KeyPurpose::ALL {
            let newest = newest(&keys, purpose);
            let algorithm = self.algorithm(purpose);
            let next = match newest {
                None => Some(now),
                Some(key) if key.retired_at.is_some() => Some(now),
                Some(key) => {
                    let ages = key.activates_at.plus(self.policy.rotate_after) <= now.plus(self.policy.publish_before);
                    (ages || key.algorithm != algorithm).then(|| now.plus(self.policy.publish_before))
                }
            };
            if let Some(activates_at) = next {
                self.add(purpose, newest.map_or(1, |key| key.generation + 1), now, activates_at).await?;
                changed = true;
            }
        }
        for key in keys.iter().filter(|key| state_of(key, &keys, now) == KeyState::Expired) {
            self.store.delete(&key.id).await?;
            changed = true;
        }
        // Usually there is nothing to do, and every instance checks each second.
        if changed { Ok(self.store.list().await?) } else { Ok(keys) }
    }

    /// Creates a new key for each purpose, which signs after the publication time, or at once if `immediately`.
    ///
    /// # Errors
    /// [`KeyError::Conflict`] if another process does the same, and a port's errors.
    pub async fn rotate(&self, immediately: bool) -> Result<Vec<SigningKey>, KeyError> {
        let now = self.clock.now();
        let keys = self.store.list().await?;
        let activates_at = if immediately { now } else { now.plus(self.policy.publish_before) };
        let mut made = Vec::new();
        for purpose in KeyPurpose::ALL {
            let generation = newest(&keys, purpose).map_or(1, |key| key.generation + 1);
            made.push(self.add(purpose, generation, now, activates_at).await?.ok_or(KeyError::Conflict)?);
        }
        Ok(made)
    }

    /// Retires a key at once, because it may be compromised: the tokens that it signed become invalid.
    ///
    /// # Errors
    /// [`KeyError::NotFound`], [`KeyError::StillNeeded`], [`KeyError::Storage`].
    pub async fn retire(&self, id: &KeyId) -> Result<(), KeyError> {
        let now = self.clock.now();
        let keys = self.store.list().await?;
        let key = keys.iter().find(|key| key.id == *id && key.retired_at.is_none()).ok_or(KeyError::NotFound)?;
        let another_signs = keys.iter().any(|other| {
            other.id != *id
                && other.purpose == key.purpose
                && other.retired_at.is_none()
                && other.activates_at <= now
                && state_of(other, &keys, now) != KeyState::Expired
        });
        if state_of(key, &keys, now) == KeyState::Signing && !another_signs {
            return Err(KeyError::StillNeeded);
        }
        if !self.store.retire(id, now).await? {
            return Err(KeyError::NotFound);
        }
        self.audit.record(&AuditEvent::new(AuditKind::SigningKeyRetired, now)).await;
        Ok(())
    }

    /// Reseals every key in use with another master key. Returns how many there are. A retired key is never opened again, and
    /// its master key may be lost.
    ///
    /// # Errors
    /// [`KeyError::Conflict`] if a key was changed meanwhile (nothing is changed then), and a port's errors.
    pub async fn rewrap(&self, new_master: &MasterKey) -> Result<usize, KeyError> {
        let mut resealed = Vec::new();
        for key in self.store.list().await?.into_iter().filter(|key| key.retired_at.is_none()) {
            let sealed = self.vault.reseal(&key, new_master)?;
            resealed.push((key, sealed));
        }
        if !self.store.rewrap(&resealed).await? {
            return Err(KeyError::Conflict);
        }
        self.audit.record(&AuditEvent::new(AuditKind::SigningKeysRewrapped, self.clock.now())).await;
        Ok(resealed.len())
    }

    fn algorithm(&self, purpose: KeyPurpose) -> KeyAlgorithm {
        match purpose {
            KeyPurpose::AccessToken => self.policy.access_token_algorithm,
            KeyPurpose::RefreshToken => KeyAlgorithm::Hs256,
        }
    }

    /// `None` if another process was faster, which is equivalent.
    async fn add(
        &self,
        purpose: KeyPurpose,
        generation: u32,
        now: Timestamp,
        activates_at: Timestamp,
    ) -> Result<Option<SigningKey>, KeyError> {
        let algorithm = self.algorithm(purpose);
        // Token times are whole seconds: one issued within this second must find the key active.
        let activates_at = activates_at.truncated_to_seconds();
        let new = NewSigningKey { purpose, algorithm, generation, created_at: now, activates_at };
        let key = self.vault.generate(&new).await?;
        if !self.store.add(&key).await? {
            return Ok(None);
        }
        self.audit.record(&AuditEvent::new(AuditKind::SigningKeyCreated, now)).await;
        Ok(Some(key))
    }
}

fn newest(keys: &[SigningKey], purpose: KeyPurpose) -> Option<&SigningKey> {
    keys.iter().filter(|key| key.purpose == purpose).max_by_key(|key| key.generation)
}

#[cfg(test)]
mod tests;
