//! Limits: how often an application may call, and how often somebody may guess a secret.

mod allowance;
mod coalescing;
mod failures;

use std::time::Duration;

pub use allowance::Allowance;
pub use coalescing::Coalescing;
pub use failures::{Attempt, AttemptCounts, FailurePolicy, FailureThrottle, Throttled};

use crate::applications::RequestsPerMinute;
use crate::ids::ApplicationId;
use crate::system::Timestamp;

/// Counts the requests of applications.
#[cfg_attr(feature = "testing", mockall::automock)]
pub trait RateLimiter: Send + Sync {
    /// Takes one request out of the application's allowance: a full minute's worth can be used at once, and comes back
    /// evenly over a minute. The allowance is counted by each instance for itself.
    ///
    /// # Errors
    /// [`RateLimited`] if there is none left; nothing is taken then.
    fn take(&self, application: ApplicationId, limit: RequestsPerMinute, now: Timestamp) -> Result<(), RateLimited>;
}

/// An application called more often than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests; wait {} seconds", .retry_after.as_secs_f64().ceil())]
pub struct RateLimited {
    /// How long to wait before one more request is let through.
    pub retry_after: Duration,
}
