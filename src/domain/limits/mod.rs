//! Limits: rate limits of applications, and throttling of failed attempts to authenticate.

mod coalescing;
mod failures;
mod gcra;
mod keyed;
mod rate;

pub use coalescing::Coalescing;
pub use failures::{Attempt, AttemptCounts, FailurePolicy, FailureThrottle, Throttled, network_of};
pub use gcra::RateLimit;
pub use keyed::{AddressLimit, KeyedLimit};
pub use rate::{RateLimited, RateLimits};
