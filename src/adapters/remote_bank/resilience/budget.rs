//! The retry budget: all callers together may retry a share of their calls, whatever the bank does.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::adapters::remote_bank::config::ResilienceConfig;

/// A hundredth of a retry, so that shares are counted exactly.
const RETRY: u64 = 100;

/// What has been saved up for retries. It never grows by time alone: of any number of calls, at most `retry_percent` of a
/// hundred and the floor are sent again.
#[derive(Debug)]
pub struct RetryBudget {
    saved: AtomicU64,
    per_call: u64,
    floor: u64,
    most: u64,
}

impl RetryBudget {
    /// The floor is there.
    #[must_use]
    pub fn new(config: &ResilienceConfig) -> Self {
        Self {
            saved: AtomicU64::new(u64::from(config.retry_floor) * RETRY),
            per_call: u64::from(config.retry_percent),
            floor: u64::from(config.retry_floor) * RETRY,
            most: u64::from(config.retry_savings) * RETRY,
        }
    }

    /// A call pays in.
    pub fn deposit(&self) {
        let add = |saved: u64| Some((saved + self.per_call).min(self.most));
        // The closure always yields a value.
        let _ = self.saved.fetch_update(Ordering::SeqCst, Ordering::SeqCst, add);
    }

    /// Takes out what so many requests cost, if it is there.
    #[must_use]
    pub fn withdraw(&self, requests: u64) -> bool {
        let cost = requests * RETRY;
        self.saved.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |saved| saved.checked_sub(cost)).is_ok()
    }

    /// Takes out what one request costs, if the floor is left: what is nice to have must not take what retries live on.
    #[must_use]
    pub fn withdraw_spare(&self) -> bool {
        let spare = |saved: u64| saved.checked_sub(RETRY).filter(|left| *left >= self.floor);
        self.saved.fetch_update(Ordering::SeqCst, Ordering::SeqCst, spare).is_ok()
    }

    /// How many retries are left.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.saved.load(Ordering::SeqCst) / RETRY
    }
}
