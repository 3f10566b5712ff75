//! Secrets hashed with bcrypt, on threads of their own, and remembered once they were verified.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
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
/// bcrypt writes salt and hash in Base64 with an alphabet of its own.
const BCRYPT_BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::BCRYPT, NO_PAD);

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
        let salt = BCRYPT_BASE64.encode(entropy.bytes::<16>());
        let hash = BCRYPT_BASE64.encode(entropy.bytes::<23>());
        Self {
            cost,
            threads: Arc::new(Semaphore::new(threads)),
            waiting: Arc::new(Semaphore::new(threads * (1 + WAITING_PER_THREAD))),
            remembered: Cache::new(REMEMBERED_PAIRS),
            digest_key: entropy.bytes(),
            decoy: SecretHash::from_stored(format!("$2b${cost:02}${salt}{hash}")),
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

#[cfg(test)]
mod tests {
    use memgate_domain::testing::{FixedClock, SeededEntropy};

    use super::*;

    fn hasher(clock: &FixedClock) -> BcryptSecretHasher {
        BcryptSecretHasher::new(4, 1, Arc::new(clock.clone()), &SeededEntropy::default())
    }

    fn secrets() -> [ClientSecret; 2] {
        let entropy = SeededEntropy::default();
        [ClientSecret::generate(&entropy), ClientSecret::generate(&entropy)]
    }

    #[tokio::test]
    async fn the_right_secret_is_verified_and_no_other() {
        let hasher = hasher(&FixedClock::default());
        let [right, wrong] = secrets();
        let hash = hasher.hash(&right).await.unwrap();
        assert!(hash.as_str().starts_with("$2b$04$"));
        assert!(hasher.verify(&right, &hash).await.unwrap());
        assert!(!hasher.verify(&wrong, &hash).await.unwrap());
    }

    #[tokio::test]
    async fn a_verification_is_remembered_for_ten_minutes_and_for_its_own_hash_only() {
        let clock = FixedClock::default();
        let hasher = hasher(&clock);
        let [right, wrong] = secrets();
        let [hash, other] = [hasher.hash(&right).await.unwrap(), hasher.hash(&right).await.unwrap()];
        assert!(!hasher.remembers(&right, &hash));
        hasher.verify(&right, &hash).await.unwrap();
        hasher.verify(&wrong, &hash).await.unwrap();
        assert!(hasher.remembers(&right, &hash));
        assert!(!hasher.remembers(&wrong, &hash), "a failure is not remembered");
        assert!(!hasher.remembers(&right, &other), "another hash of the same secret is another secret");
        clock.advance(REMEMBERED_FOR.saturating_sub(Duration::from_millis(1)));
        assert!(hasher.remembers(&right, &hash));
        clock.advance(Duration::from_millis(1));
        assert!(!hasher.remembers(&right, &hash));
    }

    #[tokio::test]
    async fn a_clock_that_jumps_back_ends_a_memory() {
        let clock = FixedClock::default();
        let hasher = hasher(&clock);
        let [right, _] = secrets();
        let hash = hasher.hash(&right).await.unwrap();
        hasher.verify(&right, &hash).await.unwrap();
        clock.jump_back(Duration::from_secs(1));
        assert!(!hasher.remembers(&right, &hash));
    }

    #[tokio::test]
    async fn the_decoy_takes_a_real_verification_and_fails_it() {
        let hasher = hasher(&FixedClock::default());
        let [secret, _] = secrets();
        assert!(!hasher.verify(&secret, &hasher.decoy()).await.unwrap());
    }

    #[tokio::test]
    async fn what_is_not_a_hash_is_an_error_and_not_a_wrong_secret() {
        let hasher = hasher(&FixedClock::default());
        let [secret, _] = secrets();
        let hash = SecretHash::from_stored("plain text".to_owned());
        assert!(matches!(hasher.verify(&secret, &hash).await, Err(HasherError::Failed(_))));
    }

    #[tokio::test]
    async fn callers_beyond_the_queue_are_turned_away_at_once() {
        let hasher = Arc::new(hasher(&FixedClock::default()));
        let [secret, _] = secrets();
        // The only thread is busy for as long as this permit is held.
        let busy = Arc::clone(&hasher.threads).acquire_owned().await.unwrap();
        let waiting: Vec<_> = (0..=WAITING_PER_THREAD)
            .map(|_| {
                let (hasher, secret) = (Arc::clone(&hasher), secret.clone());
                tokio::spawn(async move { hasher.verify(&secret, &hasher.decoy()).await })
            })
            .collect();
        while hasher.waiting.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(hasher.verify(&secret, &hasher.decoy()).await, Err(HasherError::Overloaded)));
        drop(busy);
        for caller in waiting {
            assert!(!caller.await.unwrap().unwrap());
        }
    }

    mod conforming {
        use memgate_domain::testing::conformance::Fixture;

        use super::*;

        fn bcrypt() -> Fixture<dyn SecretHasher> {
            Fixture::new(Arc::new(super::hasher(&FixedClock::default())))
        }

        memgate_domain::conformance!(secret_hasher, bcrypt());
    }
}
