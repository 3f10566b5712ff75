//! Secrets of applications, remembered once they were verified.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};

use super::decoy::decoy;
use super::threads::BcryptThreads;
use crate::domain::applications::{ClientSecret, HasherError, SecretHash, SecretHasher};
use crate::domain::system::{Clock, Entropy, Timestamp};

/// For how long a verification is remembered.
pub(super) const REMEMBERED_FOR: Duration = Duration::from_mins(10);
/// How many verifications are remembered, at about 100 bytes each.
const REMEMBERED_PAIRS: usize = 50_000;

/// Hashes secrets with bcrypt.
///
/// A pair of secret and hash that was verified is remembered as a digest under a random key of this process. Since the
/// stored hash is part of it, a secret that was removed is not remembered any more.
pub struct BcryptSecretHasher {
    threads: BcryptThreads,
    remembered: Cache<[u8; 32], Timestamp>,
    digest_key: [u8; 32],
    decoy: SecretHash,
    clock: Arc<dyn Clock>,
}

impl BcryptSecretHasher {
    /// A hasher that uses `threads`.
    pub fn new(threads: BcryptThreads, clock: Arc<dyn Clock>, entropy: &dyn Entropy) -> Self {
        Self {
            decoy: decoy(threads.cost(), entropy),
            remembered: Cache::new(REMEMBERED_PAIRS),
            digest_key: entropy.bytes(),
            threads,
            clock,
        }
    }

    fn digest(&self, secret: &ClientSecret, hash: &SecretHash) -> [u8; 32] {
        let digest = Sha256::new().chain_update(self.digest_key).chain_update(hash.as_str());
        digest.chain_update("\0").chain_update(secret.expose()).finalize().into()
    }
}

#[async_trait]
impl SecretHasher for BcryptSecretHasher {
    async fn hash(&self, secret: &ClientSecret) -> Result<SecretHash, HasherError> {
        let (place, secret, cost) = (self.threads.place()?, secret.clone(), self.threads.cost());
        let hash = self.threads.run(place, move || bcrypt::non_truncating_hash(secret.expose(), cost)).await?;
        Ok(SecretHash::from_stored(hash))
    }

    async fn verify(&self, secret: &ClientSecret, hash: &SecretHash) -> Result<bool, HasherError> {
        let place = self.threads.place()?;
        let digest = self.digest(secret, hash);
        let (secret, hash) = (secret.clone(), hash.clone());
        let verified =
            self.threads.run(place, move || bcrypt::non_truncating_verify(secret.expose(), hash.as_str())).await?;
        if verified {
            self.remembered.insert(digest, self.clock.now());
        }
        Ok(verified)
    }

    fn remembers(&self, secret: &ClientSecret, hash: &SecretHash) -> bool {
        let now = self.clock.now();
        // A clock that jumped back must not make a memory last longer.
        let fresh = |at: Timestamp| at <= now && now.since(at) < REMEMBERED_FOR;
        self.remembered.get(&self.digest(secret, hash)).is_some_and(fresh)
    }

    fn decoy(&self) -> SecretHash {
        self.decoy.clone()
    }
}
