//! A hasher that is fast.

use std::collections::HashSet;
use std::future::poll_fn;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Waker};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::applications::{ClientSecret, HasherError, SecretHash, SecretHasher};
use crate::testing::in_memory::lock;

/// A hasher without salt and without cost, **for tests only**. It caches successes until it is told to forget.
#[derive(Debug, Default)]
pub struct FakeSecretHasher {
    cached: Mutex<HashSet<(String, String)>>,
    verified: Mutex<Vec<SecretHash>>,
    overloaded: AtomicBool,
    /// Who waits, if verifications are held.
    held: Mutex<Option<Vec<Waker>>>,
}

impl FakeSecretHasher {
    /// The hash that every such hasher makes of `secret`.
    #[must_use]
    pub fn hash_of(secret: &ClientSecret) -> SecretHash {
        SecretHash::from_stored(format!("fake${}", URL_SAFE_NO_PAD.encode(Sha256::digest(secret.expose()))))
    }

    /// A hash of `secret` that every such hasher takes for outdated.
    #[must_use]
    pub fn outdated_hash_of(secret: &ClientSecret) -> SecretHash {
        SecretHash::from_stored(format!("outdated {}", Self::hash_of(secret).as_str()))
    }

    /// Forgets what it has verified.
    pub fn forget(&self) {
        lock(&self.cached).clear();
    }

    /// The hashes that were verified against, in order. What was cached is not among them.
    #[must_use]
    pub fn verified(&self) -> Vec<SecretHash> {
        lock(&self.verified).clone()
    }

    /// Makes it refuse all work, or take it up again.
    pub fn set_overloaded(&self, overloaded: bool) {
        self.overloaded.store(overloaded, Ordering::SeqCst);
    }

    /// Lets verifications begin and not end, until they are released.
    pub fn hold(&self) {
        lock(&self.held).get_or_insert_default();
    }

    /// Lets the verifications end that are held.
    pub fn release(&self) {
        lock(&self.held).take().into_iter().flatten().for_each(Waker::wake);
    }

    fn admit(&self) -> Result<(), HasherError> {
        if self.overloaded.load(Ordering::SeqCst) { Err(HasherError::Overloaded) } else { Ok(()) }
    }

    fn pair(secret: &ClientSecret, hash: &SecretHash) -> (String, String) {
        (secret.expose().to_owned(), hash.as_str().to_owned())
    }
}

#[async_trait]
impl SecretHasher for FakeSecretHasher {
    async fn hash(&self, secret: &ClientSecret) -> Result<SecretHash, HasherError> {
        self.admit()?;
        Ok(Self::hash_of(secret))
    }

    async fn verify(&self, secret: &ClientSecret, hash: &SecretHash) -> Result<bool, HasherError> {
        self.admit()?;
        lock(&self.verified).push(hash.clone());
        poll_fn(|context| {
            let mut held = lock(&self.held);
            match &mut *held {
                Some(wakers) => {
                    wakers.push(context.waker().clone());
                    Poll::Pending
                }
                None => Poll::Ready(()),
            }
        })
        .await;
        let right = [Self::hash_of(secret), Self::outdated_hash_of(secret)].contains(hash);
        if right {
            lock(&self.cached).insert(Self::pair(secret, hash));
        }
        Ok(right)
    }

    fn has_verified(&self, secret: &ClientSecret, hash: &SecretHash) -> bool {
        lock(&self.cached).contains(&Self::pair(secret, hash))
    }

    fn is_outdated(&self, hash: &SecretHash) -> bool {
        hash.as_str().starts_with("outdated ")
    }

    fn decoy(&self) -> SecretHash {
        SecretHash::from_stored("fake$decoy".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::testing::conformance::Fixture;

    fn fake() -> Fixture<dyn SecretHasher> {
        Fixture::new(Arc::new(FakeSecretHasher::default()))
    }

    crate::conformance!(secret_hasher, fake());
}
