//! A hasher of passwords that is fast.

use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::applications::{HasherError, SecretHash};
use crate::people::{Password, PasswordHasher};
use crate::testing::in_memory::lock;

/// A hasher without salt and without cost, **for tests only**.
#[derive(Debug, Default)]
pub struct FakePasswordHasher {
    verified: Mutex<Vec<SecretHash>>,
    overloaded: AtomicBool,
}

impl FakePasswordHasher {
    /// The hash that every such hasher makes of `password`.
    #[must_use]
    pub fn hash_of(password: &Password) -> SecretHash {
        let digest = Sha256::new().chain_update("password\0").chain_update(password.expose()).finalize();
        SecretHash::from_stored(format!("fake-password${}", URL_SAFE_NO_PAD.encode(digest)))
    }

    /// A hash of `password` that every such hasher takes for outdated.
    #[must_use]
    pub fn outdated_hash_of(password: &Password) -> SecretHash {
        SecretHash::from_stored(format!("outdated {}", Self::hash_of(password).as_str()))
    }

    /// The hashes that were verified against, in order.
    #[must_use]
    pub fn verified(&self) -> Vec<SecretHash> {
        lock(&self.verified).clone()
    }

    /// Makes it refuse all work, or take it up again.
    pub fn set_overloaded(&self, overloaded: bool) {
        self.overloaded.store(overloaded, Ordering::SeqCst);
    }

    fn admit(&self) -> Result<(), HasherError> {
        if self.overloaded.load(Ordering::SeqCst) { Err(HasherError::Overloaded) } else { Ok(()) }
    }
}

#[async_trait]
impl PasswordHasher for FakePasswordHasher {
    async fn hash(&self, password: &Password) -> Result<SecretHash, HasherError> {
        self.admit()?;
        Ok(Self::hash_of(password))
    }

    async fn verify(&self, password: &Password, hash: &SecretHash, _caller: IpAddr) -> Result<bool, HasherError> {
        self.admit()?;
        lock(&self.verified).push(hash.clone());
        Ok([Self::hash_of(password), Self::outdated_hash_of(password)].contains(hash))
    }

    fn is_outdated(&self, hash: &SecretHash) -> bool {
        hash.as_str().starts_with("outdated ")
    }

    fn decoy(&self) -> SecretHash {
        SecretHash::from_stored("fake-password$decoy".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::testing::conformance::Fixture;

    fn fake() -> Fixture<dyn PasswordHasher> {
        Fixture::new(Arc::new(FakePasswordHasher::default()))
    }

    crate::conformance!(password_hasher, fake());
}
