//! Answers that are remembered for a moment.

use std::future::Future;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Mutex;

use crate::domain::system::SharedStorageError;
use crate::domain::system::{Clock, StorageError, Timestamp};

/// For how long an answer is remembered.
pub(super) const MAX_AGE: Duration = Duration::from_secs(1);

/// A clock that notices when it jumps back, and the number of the era: what was remembered in an earlier one does not
/// count.
pub(super) struct Era {
    clock: Arc<dyn Clock>,
    latest_millis: AtomicI64,
    number: AtomicU64,
}

impl Era {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, latest_millis: AtomicI64::new(i64::MIN), number: AtomicU64::new(0) }
    }

    /// The present moment. A jump back by more than [`MAX_AGE`] begins a new era: the age of what is remembered can no
    /// longer be told. Threads that look at the clock at about the same time may do so out of order, which is no jump.
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

    /// Everything that is remembered is forgotten when the guard is dropped: after a change, also if it failed half-way or
    /// its caller went away. Changes are rare, and nothing lives longer than [`MAX_AGE`] anyway.
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

/// Something that is looked up at most once at a time, and remembered for [`MAX_AGE`].
pub(super) struct Fresh<T> {
    known: RwLock<Option<Known<T>>>,
    failures: AtomicU64,
    /// Whoever holds this looks it up; the others wait. Holds why the latest failure came about.
    look_up: Mutex<Option<SharedStorageError>>,
}

struct Known<T> {
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
    /// What is remembered, if it is young enough, or else what `look_up` finds at the given moment. Callers who wait for the
    /// same look-up share what it finds, a failure too. A caller that goes away leaves the look-up to the next one.
    pub(super) async fn get<F, L>(&self, era: &Era, look_up: L) -> Result<T, StorageError>
    where
        F: Future<Output = Result<T, StorageError>> + Send,
        L: FnOnce(Timestamp) -> F + Send,
    {
        if let Some(value) = self.remembered(era) {
            return Ok(value);
        }
        let failures = self.failures.load(Ordering::Acquire);
        let mut latest_failure = self.look_up.lock().await;
        if let Some(value) = self.remembered(era) {
            return Ok(value);
        }
        if self.failures.load(Ordering::Acquire) != failures
            && let Some(error) = &*latest_failure
        {
            return Err(error.to_storage_error());
        }
        // Its age counts from before the question, and an answer that an era ended under is not remembered.
        let at = era.now();
        let number = era.number();
        match look_up(at).await {
            Ok(value) => {
                let known = Known { value: value.clone(), at, era: number };
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

    fn remembered(&self, era: &Era) -> Option<T> {
        let now = era.now();
        let number = era.number();
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let known = known.as_ref().filter(|known| known.era == number)?;
        (known.at <= now && now.since(known.at) <= MAX_AGE).then(|| known.value.clone())
    }
}
