//! Secrets of applications, with cached verifications.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};

use super::cost;
use super::threads::{BcryptThreads, HashKind};
use crate::domain::applications::{ClientSecret, HasherError, SecretHash, SecretHasher};
use crate::domain::system::{Clock, Entropy, Timestamp};

/// Idle lifetime of a cached verification: longer than the default lifetime of an access token, so that a client that
/// requests one token after another stays cached.
pub(super) const CACHED_UNUSED: Duration = Duration::from_mins(90);
/// Maximum lifetime of a cached verification.
pub(super) const CACHED_AT_MOST: Duration = Duration::from_hours(24);
/// Maximum number of cached verifications, about 150 bytes each.
const CACHED_PAIRS: usize = 50_000;

/// Hashes secrets with bcrypt.
///
/// A successful verification is cached under a keyed digest of secret and hash; the key is random and private to this
/// process. Since the stored hash is part of the key, a removed secret is never found.
pub struct BcryptSecretHasher {
    threads: BcryptThreads,
    cached: Cache<[u8; 32], Arc<Verification>>,
    digest_key: [u8; 32],
    decoy: SecretHash,
    clock: Arc<dyn Clock>,
}

/// A successful verification.
struct Verification {
    at: Timestamp,
    /// In Unix milliseconds.
    used_at: AtomicI64,
}

impl BcryptSecretHasher {
    /// A hasher that uses `threads`.
    pub fn new(threads: BcryptThreads, clock: Arc<dyn Clock>, entropy: &dyn Entropy) -> Self {
        Self {
            decoy: cost::decoy(threads.cost(), entropy),
            cached: Cache::new(CACHED_PAIRS),
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
        let (secret, cost) = (secret.clone(), self.threads.cost());
        let hash = move || bcrypt::non_truncating_hash(secret.expose(), cost);
        let hash = self.threads.run(HashKind::Secret, hash).await?;
        Ok(SecretHash::from_stored(hash))
    }

    async fn verify(&self, secret: &ClientSecret, hash: &SecretHash) -> Result<bool, HasherError> {
        let work = if *hash == self.decoy { HashKind::Decoy } else { HashKind::Secret };
        let (digest, cost) = (self.digest(secret, hash), self.threads.cost());
        let (secret, hash) = (secret.clone(), hash.clone());
        let verified = self.threads.run(work, move || cost::verify(secret.expose(), &hash, cost)).await?;
        if verified {
            let at = self.clock.now();
            self.cached.insert(digest, Arc::new(Verification { at, used_at: at.unix_millis().into() }));
        }
        Ok(verified)
    }

    fn has_verified(&self, secret: &ClientSecret, hash: &SecretHash) -> bool {
        let now = self.clock.now();
        let Some(cached) = self.cached.get(&self.digest(secret, hash)) else { return false };
        let used_at = Timestamp::from_unix_millis(cached.used_at.load(Ordering::Relaxed));
        // A clock that jumped back must not extend any lifetime.
        let is_fresh = cached.at <= used_at
            && used_at <= now
            && now.since(used_at) < CACHED_UNUSED
            && now.since(cached.at) < CACHED_AT_MOST;
        if is_fresh {
            cached.used_at.store(now.unix_millis(), Ordering::Relaxed);
        }
        is_fresh
    }

    fn is_outdated(&self, hash: &SecretHash) -> bool {
        cost::cost_of(hash) != Some(self.threads.cost())
    }

    fn decoy(&self) -> SecretHash {
        self.decoy.clone()
    }
}
