//! The rate limiter, in memory.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::domain::applications::RequestsPerMinute;
use crate::domain::ids::ApplicationId;
use crate::domain::limits::{RateLimited, RateLimiter};
use crate::domain::system::Timestamp;

const MINUTE_IN_MICROS: i64 = 60_000_000;
/// Number of applications from which those with a full allowance are evicted occasionally.
const SWEEP_FROM: usize = 1024;

/// The generic cell rate algorithm: one timestamp per application, at which its allowance is full again.
#[derive(Default)]
pub struct InMemoryRateLimiter {
    full_again: Mutex<Moments>,
}

#[derive(Default)]
struct Moments {
    by_application: HashMap<ApplicationId, i64>,
    sweep_at: usize,
}

impl RateLimiter for InMemoryRateLimiter {
    fn take(&self, application: ApplicationId, limit: RequestsPerMinute, now: Timestamp) -> Result<(), RateLimited> {
        let now = now.unix_millis().saturating_mul(1000);
        let one = MINUTE_IN_MICROS / i64::from(limit.get());
        let mut moments = self.full_again.lock().unwrap_or_else(PoisonError::into_inner);
        if moments.by_application.len() >= moments.sweep_at.max(SWEEP_FROM) {
            moments.by_application.retain(|_, full_again| *full_again > now);
            moments.sweep_at = moments.by_application.len() * 2;
        }
        let full_again = moments.by_application.entry(application).or_insert(now);
        // More than a minute ahead: the clock must have jumped back.
        let begin = if *full_again > now + MINUTE_IN_MICROS { now } else { (*full_again).max(now) };
        let wait = begin + one - now - MINUTE_IN_MICROS;
        if wait > 0 {
            return Err(RateLimited { retry_after: Duration::from_micros(u64::try_from(wait).unwrap_or(0)) });
        }
        *full_again = begin + one;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn application(n: u128) -> ApplicationId {
        ApplicationId::from_uuid(Uuid::from_u128(n))
    }

    fn limit(number: u32) -> RequestsPerMinute {
        number.try_into().unwrap()
    }

    #[test]
    fn a_minutes_worth_can_be_used_at_once_and_comes_back_evenly() {
        let limiter = InMemoryRateLimiter::default();
        let start = Timestamp::from_unix_seconds(1_800_000_000);
        for _ in 0..60 {
            assert_eq!(limiter.take(application(1), limit(60), start), Ok(()));
        }
        let refused = limiter.take(application(1), limit(60), start);
        assert_eq!(refused, Err(RateLimited { retry_after: Duration::from_secs(1) }));
        let later = start.plus(Duration::from_secs(2));
        assert!(limiter.take(application(1), limit(60), later).is_ok());
        assert!(limiter.take(application(1), limit(60), later).is_ok());
        assert!(limiter.take(application(1), limit(60), later).is_err());
    }

    #[test]
    fn applications_do_not_share_an_allowance() {
        let limiter = InMemoryRateLimiter::default();
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        assert!(limiter.take(application(1), limit(1), now).is_ok());
        assert!(limiter.take(application(1), limit(1), now).is_err());
        assert!(limiter.take(application(2), limit(1), now).is_ok());
    }

    #[test]
    fn a_clock_that_jumps_back_does_not_lock_anybody_out() {
        let limiter = InMemoryRateLimiter::default();
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        assert!(limiter.take(application(1), limit(1), now).is_ok());
        assert!(limiter.take(application(1), limit(1), now.minus(Duration::from_hours(1))).is_ok());
    }

    #[test]
    fn applications_that_have_their_allowance_back_are_forgotten() {
        let limiter = InMemoryRateLimiter::default();
        let mut now = Timestamp::from_unix_seconds(1_800_000_000);
        for n in 0..100_000 {
            now = now.plus(Duration::from_millis(100));
            assert!(limiter.take(application(n), limit(60), now).is_ok());
        }
        assert!(limiter.full_again.lock().unwrap().by_application.len() <= SWEEP_FROM + 1);
    }
}
