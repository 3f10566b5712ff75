//! Passwords of people.

use std::net::IpAddr;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::cost;
use super::threads::{BcryptThreads, HashKind};
use crate::domain::applications::{HasherError, SecretHash};
use crate::domain::people::{Password, PasswordHasher};
use crate::domain::system::Entropy;

/// Hashes passwords with bcrypt. Verifications are not cached: people sign in rarely.
pub struct BcryptPasswordHasher {
    threads: BcryptThreads,
    decoy: SecretHash,
}

impl BcryptPasswordHasher {
    /// A hasher that uses `threads`.
    pub fn new(threads: BcryptThreads, entropy: &dyn Entropy) -> Self {
        Self { decoy: cost::decoy(threads.cost(), entropy), threads }
    }
}

/// The input of bcrypt, which reads at most 72 bytes and stops at a NUL, while a password may be longer. The prefix
/// distinguishes it from digests of passwords leaked by other services.
fn prepared(password: &Password) -> SecretString {
    let digest = Sha256::new().chain_update("memgate password\0").chain_update(password.expose()).finalize();
    SecretString::from(STANDARD.encode(digest))
}

#[async_trait]
impl PasswordHasher for BcryptPasswordHasher {
    async fn hash(&self, password: &Password) -> Result<SecretHash, HasherError> {
        let (prepared, cost) = (prepared(password), self.threads.cost());
        let hash = move || bcrypt::non_truncating_hash(prepared.expose_secret(), cost);
        let hash = self.threads.run(HashKind::Password, hash).await?;
        Ok(SecretHash::from_stored(hash))
    }

    async fn verify(&self, password: &Password, hash: &SecretHash, caller: IpAddr) -> Result<bool, HasherError> {
        let (prepared, hash, cost) = (prepared(password), hash.clone(), self.threads.cost());
        let verify = move || cost::verify(prepared.expose_secret(), &hash, cost);
        self.threads.run_for(HashKind::Password, Some(caller), verify).await
    }

    fn is_outdated(&self, hash: &SecretHash) -> bool {
        cost::cost_of(hash) != Some(self.threads.cost())
    }

    fn decoy(&self) -> SecretHash {
        self.decoy.clone()
    }
}
