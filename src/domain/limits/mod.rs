//! Limits: rate limits of applications, and throttling of failed attempts to authenticate.

mod allowance;
mod coalescing;
mod failures;
mod keyed;
mod rate;

pub use allowance::Allowance;
pub use coalescing::Coalescing;
pub use failures::{Attempt, AttemptCounts, FailurePolicy, FailureThrottle, Throttled, network_of};
pub use keyed::{AddressLimit, KeyedLimit};
pub use rate::{RateLimited, RateLimits};
