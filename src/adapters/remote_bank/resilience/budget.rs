//! The retry budget: retries are limited to a share of the calls of all callers, whatever the bank does.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::adapters::remote_bank::config::ResilienceConfig;

/// Hundredths of a retry, so that shares are counted exactly.
const RETRY: u64 = 100;

/// The retry budget. It never grows with time alone: over any number of calls, at most `retry_percent` percent plus the
/// floor are retried.
#[derive(Debug)]
pub struct RetryBudget {
    saved: AtomicU64,
    per_call: u64,
    floor: u64,
    most: u64,
}

impl RetryBudget {
    /// Starts with the floor.
    #[must_use]
    pub fn new(config: &ResilienceConfig) -> Self {
        Self {
            saved: AtomicU64::new(u64::from(config.retry_floor) * RETRY),
            per_call: u64::from(config.retry_percent),
            floor: u64::from(config.retry_floor) * RETRY,
            most: u64::from(config.retry_savings) * RETRY,
        }
    }

    /// Credits one call.
    pub fn deposit(&self) {
        let add = |saved: u64| Some((saved + self.per_call).min(self.most));
        // The closure always returns a value.
        let _ = self.saved.fetch_update(Ordering::SeqCst, Ordering::SeqCst, add);
    }

    /// Withdraws the cost of `requests` requests, if available.
    #[must_use]
    pub fn withdraw(&self, requests: u64) -> bool {
        let cost = requests * RETRY;
        self.saved.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |saved| saved.checked_sub(cost)).is_ok()
    }

    /// Withdraws the cost of one request if the floor remains: hedging must not consume what retries need.
    #[must_use]
    pub fn withdraw_spare(&self) -> bool {
        let spare = |saved: u64| saved.checked_sub(RETRY).filter(|left| *left >= self.floor);
        self.saved.fetch_update(Ordering::SeqCst, Ordering::SeqCst, spare).is_ok()
    }

    /// The number of retries left.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.saved.load(Ordering::SeqCst) / RETRY
    }
}
