//! What bounds an application: its rate limit, and how long its tokens live.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::validation::InvalidValue;

/// Maximum lifetime of an access token, whatever the configuration and an application say: old signing keys are kept this
/// long.
pub const LONGEST_ACCESS_TOKEN_LIFETIME: Duration = Duration::from_hours(24);

/// Maximum lifetime of a refresh token: old signing keys are kept this long.
pub const LONGEST_REFRESH_TOKEN_LIFETIME: Duration = Duration::from_hours(366 * 24);

/// The lifetime of a token: 1 second to 10 years, in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenLifetime(u32);

impl TokenLifetime {
    const MAX: u64 = 10 * 366 * 24 * 3600;

    /// The lifetime as a duration.
    #[must_use]
    pub fn as_duration(self) -> Duration {
        Duration::from_secs(u64::from(self.0))
    }

    /// The lifetime in seconds.
    #[must_use]
    pub fn as_seconds(self) -> u32 {
        self.0
    }
}

impl TryFrom<Duration> for TokenLifetime {
    type Error = InvalidValue;

    fn try_from(duration: Duration) -> Result<Self, InvalidValue> {
        u32::try_from(duration.as_secs())
            .ok()
            .filter(|seconds| *seconds > 0 && u64::from(*seconds) <= Self::MAX && duration.subsec_nanos() == 0)
            .map(Self)
            .ok_or_else(|| InvalidValue::new("token lifetime", "must be whole seconds, from 1 second to 10 years"))
    }
}

/// A rate limit: 1 to 1,000,000 requests per minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestsPerMinute(NonZeroU32);

impl RequestsPerMinute {
    const MAX: u32 = 1_000_000;

    /// The limit as a number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl TryFrom<u32> for RequestsPerMinute {
    type Error = InvalidValue;

    fn try_from(number: u32) -> Result<Self, InvalidValue> {
        NonZeroU32::new(number)
            .filter(|number| number.get() <= Self::MAX)
            .map(Self)
            .ok_or_else(|| InvalidValue::new("rate_limit", "must be 1 to 1000000 requests per minute"))
    }
}
