//! Short-lived cache entries.

use std::future::Future;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Mutex;

use crate::domain::system::SharedStorageError;
use crate::domain::system::{Clock, StorageError, Timestamp};

/// Maximum age of a cache entry.
pub(super) const MAX_AGE: Duration = Duration::from_secs(1);

/// A clock that detects when it jumps back, and the number of the current era: entries of an earlier era are invalid.
pub(super) struct Era {
    clock: Arc<dyn Clock>,
    latest_millis: AtomicI64,
    number: AtomicU64,
}

impl Era {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, latest_millis: AtomicI64::new(i64::MIN), number: AtomicU64::new(0) }
    }

    /// The current time. A jump back by more than [`MAX_AGE`] starts a new era, since the age of entries is no longer
    /// known. Threads that read the clock at about the same time may observe it out of order, which is not a jump.
    pub(super) fn now(&self) -> Timestamp {
        let now = self.clock.now();
        let latest = self.latest_millis.fetch_max(now.unix_millis(), Ordering::AcqRel);
        if Timestamp::from_unix_millis(latest).since(now) > MAX_AGE {
            self.latest_millis.store(now.unix_millis(), Ordering::Release);
            self.begin_new();
        }
        now
    }

    pub(super) fn begin_new(&self) {
        self.number.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// Invalidates all entries when the guard is dropped: after a change, even if it failed half-way or its caller was
    /// cancelled. Changes are rare, and no entry lives longer than [`MAX_AGE`] anyway.
    pub(super) fn forget_afterwards(&self) -> ForgetAfterwards<'_> {
        ForgetAfterwards(self)
    }
}

/// See [`Era::forget_afterwards`].
pub(super) struct ForgetAfterwards<'a>(&'a Era);

impl Drop for ForgetAfterwards<'_> {
    fn drop(&mut self) {
        self.0.begin_new();
    }
}

/// A value that is looked up by one caller at a time and cached for [`MAX_AGE`].
pub(super) struct Fresh<T> {
    known: RwLock<Option<CacheEntry<T>>>,
    failures: AtomicU64,
    /// Held by the caller that looks the value up, while the others wait. Contains the latest failure.
    look_up: Mutex<Option<SharedStorageError>>,
}

struct CacheEntry<T> {
    value: T,
    at: Timestamp,
    era: u64,
}

impl<T> Default for Fresh<T> {
    fn default() -> Self {
        Self { known: RwLock::new(None), failures: AtomicU64::new(0), look_up: Mutex::new(None) }
    }
}

impl<T: Clone> Fresh<T> {
    /// The cached value, if it is fresh, or else the result of `look_up` at the given time. Callers that wait for the same
    /// look-up share its result, including a failure. If the caller is cancelled, the next one takes over.
    pub(super) async fn get<F, L>(&self, era: &Era, look_up: L) -> Result<T, StorageError>
    where
        F: Future<Output = Result<T, StorageError>> + Send,
        L: FnOnce(Timestamp) -> F + Send,
    {
        if let Some(value) = self.cached(era) {
            return Ok(value);
        }
        let failures = self.failures.load(Ordering::Acquire);
        let mut latest_failure = self.look_up.lock().await;
        if let Some(value) = self.cached(era) {
            return Ok(value);
        }
        if self.failures.load(Ordering::Acquire) != failures
            && let Some(error) = &*latest_failure
        {
            return Err(error.to_storage_error());
        }
        // The age counts from before the query, and a result is not cached if the era changed meanwhile.
        let at = era.now();
        let number = era.number();
        match look_up(at).await {
            Ok(value) => {
                let known = CacheEntry { value: value.clone(), at, era: number };
                *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(known);
                Ok(value)
            }
            Err(error) => {
                let error = SharedStorageError::new(error);
                *latest_failure = Some(error.clone());
                self.failures.fetch_add(1, Ordering::AcqRel);
                Err(error.to_storage_error())
            }
        }
    }

    fn cached(&self, era: &Era) -> Option<T> {
        let now = era.now();
        let number = era.number();
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let known = known.as_ref().filter(|known| known.era == number)?;
        (known.at <= now && now.since(known.at) <= MAX_AGE).then(|| known.value.clone())
    }
}
