//! A clock that only moves when told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::system::{Clock, Timestamp};

/// The current time of tests, 2033-05-18T03:33:20.123Z: later than any real clock, so that an adapter that reads one
/// considers nothing of a test expired. It has milliseconds, so that losing them is noticed.
#[must_use]
pub fn now() -> Timestamp {
    Timestamp::from_unix_millis(2_000_000_000_123)
}

/// A clock that tests move. Its clones show the same time.
#[derive(Clone, Debug)]
pub struct FixedClock(Arc<AtomicI64>);

impl FixedClock {
    /// A clock that shows `at`.
    #[must_use]
    pub fn at(at: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(at.unix_millis())))
    }

    /// Sets the clock.
    pub fn set(&self, at: Timestamp) {
        self.0.store(at.unix_millis(), Ordering::SeqCst);
    }

    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        self.set(self.now().plus(by));
    }

    /// Moves the clock back, as a correction by the network does.
    pub fn jump_back(&self, by: Duration) {
        self.set(self.now().minus(by));
    }
}

impl Default for FixedClock {
    /// A clock that shows [`now`].
    fn default() -> Self {
        Self::at(now())
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.0.load(Ordering::SeqCst))
    }
}
