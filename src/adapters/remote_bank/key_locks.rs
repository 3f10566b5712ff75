//! One lock per key: banks have no atomic check-and-write, so callers within one process are serialized.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// Number of keys from which unused ones are swept.
const SWEEP_FROM: usize = 1_024;

type Locks = HashMap<String, Weak<AsyncMutex<()>>>;

/// The keys that somebody holds or waits for.
#[derive(Debug, Default)]
pub struct KeyLocks(Mutex<Locks>);

impl KeyLocks {
    /// Waits until nobody else holds `key`.
    pub async fn lock(&self, key: String) -> OwnedMutexGuard<()> {
        let lock = self.of(key);
        lock.lock_owned().await
    }

    fn of(&self, key: String) -> Arc<AsyncMutex<()>> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = locks.get(&key).and_then(Weak::upgrade) {
            return lock;
        }
        if locks.len() >= SWEEP_FROM {
            locks.retain(|_, lock| lock.strong_count() > 0);
        }
        let lock = Arc::default();
        locks.insert(key, Arc::downgrade(&lock));
        lock
    }
}
