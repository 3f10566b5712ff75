//! Checks whether the clock has reached the time from which the signing keys are active.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::adapters::http::ClockCheck;
use crate::adapters::jwt::JwtTokenIssuer;
use crate::domain::system::{Clock, Timestamp};

/// Compares the clock with the signing keys.
pub(super) struct SigningClock {
    issuer: Arc<JwtTokenIssuer>,
    clock: Arc<dyn Clock>,
    was_behind: AtomicBool,
}

impl SigningClock {
    pub(super) fn new(issuer: Arc<JwtTokenIssuer>, clock: Arc<dyn Clock>) -> Self {
        Self { issuer, clock, was_behind: AtomicBool::new(false) }
    }

    fn behind(&self) -> Option<Timestamp> {
        self.issuer.keys_active_from().filter(|from| *from > self.clock.now())
    }

    /// Logs once that the clock is behind, and once that it is not any more.
    pub(super) fn watch(&self) {
        let behind = self.behind();
        let was_behind = self.was_behind.swap(behind.is_some(), Ordering::Relaxed);
        match behind {
            Some(from) if !was_behind => tracing::error!(
                clock = %self.clock.now(),
                keys_active_from = %from,
                "the clock is behind the signing keys: it was ahead when they were made, or is wrong now; the oldest key \
                 signs all the same"
            ),
            None if was_behind => tracing::info!("the clock has reached the signing keys"),
            _ => {}
        }
    }
}

impl ClockCheck for SigningClock {
    fn warning(&self) -> Option<String> {
        let from = self.behind()?;
        Some(format!(
            "the clock is behind the signing keys, which are active from {from}; it was ahead when they were made, or is \
             wrong now"
        ))
    }
}
