//! The clock, as the signing keys see it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::system::{Clock, Timestamp};

/// Compares the clock with the time from which the signing keys are active. A clock behind it was ahead when they were made,
/// or is wrong now; the oldest key signs all the same.
pub struct SigningClock {
    clock: Arc<dyn Clock>,
    was_behind: AtomicBool,
}

/// What has changed since the clock was watched before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningClockChange {
    /// The clock is behind the signing keys.
    Behind {
        /// What it says.
        now: Timestamp,
        /// From when the keys are active.
        active_from: Timestamp,
    },
    /// It was behind, and is not any more.
    CaughtUp,
}

impl SigningClock {
    /// Compares `clock`, which is not behind yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, was_behind: AtomicBool::new(false) }
    }

    /// From when the keys are active, if the clock is behind that.
    #[must_use]
    pub fn behind(&self, active_from: Option<Timestamp>) -> Option<Timestamp> {
        active_from.filter(|from| *from > self.clock.now())
    }

    /// What has changed: each change is told once.
    pub fn watch(&self, active_from: Option<Timestamp>) -> Option<SigningClockChange> {
        let behind = self.behind(active_from);
        let was_behind = self.was_behind.swap(behind.is_some(), Ordering::Relaxed);
        match behind {
            Some(active_from) if !was_behind => Some(SigningClockChange::Behind { now: self.clock.now(), active_from }),
            None if was_behind => Some(SigningClockChange::CaughtUp),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::{FixedClock, now};

    #[test]
    fn a_clock_that_is_behind_the_keys_is_told_once_and_that_it_has_caught_up_too() {
        let clock = FixedClock::default();
        let signing = SigningClock::new(Arc::new(clock.clone()));
        assert_eq!((signing.watch(None), signing.watch(Some(now()))), (None, None));
        let active_from = now().plus(Duration::from_secs(1));
        let behind = SigningClockChange::Behind { now: now(), active_from };
        assert_eq!(signing.behind(Some(active_from)), Some(active_from));
        assert_eq!((signing.watch(Some(active_from)), signing.watch(Some(active_from))), (Some(behind), None));
        clock.advance(Duration::from_secs(1));
        assert_eq!(signing.behind(Some(active_from)), None);
        let caught_up = Some(SigningClockChange::CaughtUp);
        assert_eq!((signing.watch(Some(active_from)), signing.watch(Some(active_from))), (caught_up, None));
    }
}
