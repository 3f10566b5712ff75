//! Limits: rate limits of applications, and throttling of failed attempts to authenticate.

mod allowance;
mod coalescing;
mod failures;
mod keyed;

use std::sync::Arc;
use std::time::Duration;

pub use allowance::Allowance;
pub use coalescing::Coalescing;
pub use failures::{Attempt, AttemptCounts, FailurePolicy, FailureThrottle, Throttled, network_of};
pub use keyed::{AddressLimit, KeyedLimit};

use crate::applications::{Application, RequestsPerMinute};
use crate::ids::{ApplicationId, UserId};
use crate::system::Timestamp;

/// The rate limiter.
#[cfg_attr(feature = "testing", mockall::automock)]
pub trait RateLimiter: Send + Sync {
    /// Takes one request out of the application's allowance: a full minute's worth is available as a burst, and is refilled
    /// evenly over a minute. Each instance counts for itself.
    ///
    /// A request on behalf of a person is also taken out of the person's share of it, which is half as large and refilled half as
    /// fast. A person whose share is used up gets more only as long as half of the application's allowance is left to others.
    ///
    /// # Errors
    /// [`RateLimited`] if none is left; nothing is taken in that case.
    fn take(
        &self,
        application: ApplicationId,
        person: Option<UserId>,
        limit: RequestsPerMinute,
        now: Timestamp,
    ) -> Result<(), RateLimited>;
}

/// The rate limits of applications.
#[derive(Clone)]
pub struct RateLimits {
    limiter: Arc<dyn RateLimiter>,
    default: RequestsPerMinute,
}

impl RateLimits {
    /// Limits counted by `limiter`; `default` applies to applications without a limit of their own.
    pub fn new(limiter: Arc<dyn RateLimiter>, default: RequestsPerMinute) -> Self {
        Self { limiter, default }
    }

    /// The rate limit of `application`.
    #[must_use]
    pub fn of(&self, application: &Application) -> RequestsPerMinute {
        application.rate_limit.unwrap_or(self.default)
    }

    /// Takes one request out of the application's allowance, and out of a person's share of it.
    ///
    /// # Errors
    /// [`RateLimited`] if none is left; nothing is taken in that case.
    pub fn take(&self, application: &Application, person: Option<UserId>, now: Timestamp) -> Result<(), RateLimited> {
        self.limiter.take(application.id, person, self.of(application), now)
    }
}

/// An application exceeded its rate limit, or a person the share of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests; wait {} seconds", .retry_after.as_secs_f64().ceil())]
pub struct RateLimited {
    /// How long to wait for the next request.
    pub retry_after: Duration,
}
