//! The backoff between attempts.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest_retry::policies::ExponentialBackoff;
use reqwest_retry::{Jitter, RetryDecision, RetryPolicy as _};

use crate::adapters::remote_bank::config::ResilienceConfig;
use crate::domain::system::Entropy;

/// Exponential backoff with full jitter: a random part of a bound that doubles, so that callers hit by the same failure do
/// not retry at the same time.
pub struct Backoff {
    bound: ExponentialBackoff,
    entropy: Arc<dyn Entropy>,
}

impl Backoff {
    /// The policy counts attempts and doubles the bound; the jitter uses the injected source of randomness.
    #[must_use]
    pub fn new(config: &ResilienceConfig, entropy: Arc<dyn Entropy>) -> Self {
        let bound = ExponentialBackoff::builder()
            .retry_bounds(config.backoff_base, config.backoff_max)
            .base(2)
            .jitter(Jitter::None)
            .build_with_max_retries(config.max_attempts.saturating_sub(1));
        Self { bound, entropy }
    }

    /// The delay after `attempts` failures; `None` if no attempt is left. The bank's `Retry-After` is added to it.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the policy of reqwest-retry computes with the system clock")]
    pub fn wait(&self, attempts: u32, retry_after: Option<Duration>) -> Option<Duration> {
        let now = SystemTime::now();
        let RetryDecision::Retry { execute_after } = self.bound.should_retry(now, attempts.saturating_sub(1)) else {
            return None;
        };
        // The policy adds the bound to its own reading of the clock.
        let bound = execute_after.duration_since(now).unwrap_or_default().min(self.bound.max_retry_interval);
        Some(retry_after.unwrap_or_default() + self.entropy.part_of(bound))
    }
}
