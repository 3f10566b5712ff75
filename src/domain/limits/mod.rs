//! Limits: how often an application may call, and how often somebody may guess a secret.

mod allowance;
mod coalescing;
mod failures;

use std::sync::Arc;
use std::time::Duration;

pub use allowance::Allowance;
pub use coalescing::Coalescing;
pub use failures::{Attempt, AttemptCounts, FailurePolicy, FailureThrottle, Throttled};

use crate::applications::{Application, RequestsPerMinute};
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

/// How often applications may call.
#[derive(Clone)]
pub struct RateLimits {
    limiter: Arc<dyn RateLimiter>,
    default: RequestsPerMinute,
}

impl RateLimits {
    /// Limits counted by `limiter`; `default` is for applications that have none of their own.
    pub fn new(limiter: Arc<dyn RateLimiter>, default: RequestsPerMinute) -> Self {
        Self { limiter, default }
    }

    /// How often `application` may call.
    #[must_use]
    pub fn of(&self, application: &Application) -> RequestsPerMinute {
        application.rate_limit.unwrap_or(self.default)
    }

    /// Takes one request out of the application's allowance.
    ///
    /// # Errors
    /// [`RateLimited`] if there is none left; nothing is taken then.
    pub fn take(&self, application: &Application, now: Timestamp) -> Result<(), RateLimited> {
        self.limiter.take(application.id, self.of(application), now)
    }
}

/// An application called more often than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests; wait {} seconds", .retry_after.as_secs_f64().ceil())]
pub struct RateLimited {
    /// How long to wait before one more request is let through.
    pub retry_after: Duration,
}
