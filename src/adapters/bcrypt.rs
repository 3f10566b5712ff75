//! Secrets hashed with bcrypt, on threads of their own, and remembered once they were verified.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use crate::domain::applications::{ClientSecret, HasherError, SecretHash, SecretHasher};
use crate::domain::system::{Clock, Entropy, Timestamp};

/// For how long a verification is remembered.
const REMEMBERED_FOR: Duration = Duration::from_mins(10);
/// How many verifications are remembered, at about 100 bytes each.
const REMEMBERED_PAIRS: usize = 50_000;
/// How many callers may wait for a thread, for each thread there is. At cost 12 the last of them waits for about 4 seconds.
const WAITING_PER_THREAD: usize = 16;
/// bcrypt's own alphabet, of which a hash is made.
const ALPHABET: &[u8; 64] = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Hashes secrets with bcrypt.
///
/// At cost 12 one hash takes a quarter of a second of a processor, so hashing runs on blocking threads of which there are
/// fewer than processors, and only so many callers wait for one. A pair of secret and hash that was verified is
/// remembered as a digest under a random key of this process. Since the stored hash is part of it, a secret that was
/// removed is not remembered any more.
pub struct BcryptSecretHasher {
    cost: u32,
    threads: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    remembered: Cache<[u8; 32], Timestamp>,
    digest_key: [u8; 32],
    decoy: SecretHash,
    clock: Arc<dyn Clock>,
}

impl BcryptSecretHasher {
    /// A hasher of this cost (4 to 31: 2 to the power of it rounds), which uses at most `threads` threads.
    pub fn new(cost: u32, threads: usize, clock: Arc<dyn Clock>, entropy: &dyn Entropy) -> Self {
        let threads = threads.max(1);
        // Only its form matters: it takes as long as any other, and what it is the hash of is known to nobody.
        let random: [u8; 53] = entropy.bytes();
        let random: String = random.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 64)])).collect();
        Self {
            cost,
            threads: Arc::new(Semaphore::new(threads)),
            waiting: Arc::new(Semaphore::new(threads * (1 + WAITING_PER_THREAD))),
            remembered: Cache::new(REMEMBERED_PAIRS),
            digest_key: entropy.bytes(),
            decoy: SecretHash::from_stored(format!("$2b${cost:02}${random}")),
            clock,
        }
    }

    fn digest(&self, secret: &ClientSecret, hash: &SecretHash) -> [u8; 32] {
        let digest = Sha256::new().chain_update(self.digest_key).chain_update(hash.as_str());
        digest.chain_update("\0").chain_update(secret.expose()).finalize().into()
    }

    /// Runs `work` on a blocking thread as soon as one is free.
    async fn on_a_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, bcrypt::BcryptError> + Send + 'static,
    ) -> Result<T, HasherError> {
        let place = Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| HasherError::Overloaded)?;
        let thread = Arc::clone(&self.threads).acquire_owned().await.map_err(|e| HasherError::Failed(e.into()))?;
        // Both permits go with the work: it cannot be interrupted, even if its caller goes away.
        let result = tokio::task::spawn_blocking(move || {
            let _permits = (place, thread);
            work()
        });
        result.await.map_err(|e| HasherError::Failed(e.into()))?.map_err(|e| HasherError::Failed(e.into()))
    }
}

#[async_trait]
impl SecretHasher for BcryptSecretHasher {
    async fn hash(&self, secret: &ClientSecret) -> Result<SecretHash, HasherError> {
        let (secret, cost) = (secret.clone(), self.cost);
        let hash = self.on_a_thread(move || bcrypt::non_truncating_hash(secret.expose(), cost)).await?;
        Ok(SecretHash::from_stored(hash))
    }

    async fn verify(&self, secret: &ClientSecret, hash: &SecretHash) -> Result<bool, HasherError> {
        let digest = self.digest(secret, hash);
        let (secret, hash) = (secret.clone(), hash.clone());
        let verified = self.on_a_thread(move || bcrypt::non_truncating_verify(secret.expose(), hash.as_str())).await?;
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
