//! The rate limiter, in memory.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::domain::applications::RequestsPerMinute;
use crate::domain::ids::{ApplicationId, UserId};
use crate::domain::limits::{RateLimited, RateLimiter};
use crate::domain::system::Timestamp;

const MINUTE_IN_MICROS: i64 = 60_000_000;
/// Number of applications and people from which those with a full allowance are evicted occasionally.
const SWEEP_FROM: usize = 1024;

/// The generic cell rate algorithm: one timestamp for each application, and for each person of one, at which the allowance is
/// full again.
#[derive(Default)]
pub struct InMemoryRateLimiter {
    full_again: Mutex<Moments>,
}

#[derive(Default)]
struct Moments {
    by_application: HashMap<ApplicationId, i64>,
    by_person: HashMap<(ApplicationId, UserId), i64>,
    sweep_at: usize,
}

impl Moments {
    fn len(&self) -> usize {
        self.by_application.len() + self.by_person.len()
    }

    fn sweep(&mut self, now: i64) {
        if self.len() >= self.sweep_at.max(SWEEP_FROM) {
            self.by_application.retain(|_, full_again| *full_again > now);
            self.by_person.retain(|_, full_again| *full_again > now);
            self.sweep_at = self.len() * 2;
        }
    }
}

/// How much of a minute's worth is used.
fn used(full_again: Option<&i64>, now: i64) -> i64 {
    let used = full_again.map_or(0, |full_again| full_again - now);
    // More than a minute ahead: the clock must have jumped back.
    if used > MINUTE_IN_MICROS { 0 } else { used.max(0) }
}

impl RateLimiter for InMemoryRateLimiter {
    fn take(
        &self,
        application: ApplicationId,
        person: Option<UserId>,
        limit: RequestsPerMinute,
        now: Timestamp,
    ) -> Result<(), RateLimited> {
        let now = now.unix_millis().saturating_mul(1000);
        let one = MINUTE_IN_MICROS / i64::from(limit.get());
        let mut moments = self.full_again.lock().unwrap_or_else(PoisonError::into_inner);
        moments.sweep(now);
        let of_application = used(moments.by_application.get(&application), now) + one;
        let mut wait = of_application - MINUTE_IN_MICROS;
        let mut share = None;
        if let Some(person) = person {
            // Half as large and half as fast: each request takes twice as much of a minute.
            let of_person = used(moments.by_person.get(&(application, person)), now) + (2 * one).min(MINUTE_IN_MICROS);
            let until_share = of_person - MINUTE_IN_MICROS;
            if until_share <= 0 {
                share = Some(((application, person), now + of_person));
            } else {
                let beyond = of_application - MINUTE_IN_MICROS / 2;
                wait = wait.max(until_share.min(beyond));
            }
        }
        if wait > 0 {
            return Err(RateLimited { retry_after: Duration::from_micros(u64::try_from(wait).unwrap_or(0)) });
        }
        moments.by_application.insert(application, now + of_application);
        moments.by_person.extend(share);
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

    fn person(n: u128) -> UserId {
        UserId::from_uuid(Uuid::from_u128(n))
    }

    fn limit(number: u32) -> RequestsPerMinute {
        number.try_into().unwrap()
    }

    #[test]
    fn a_minutes_worth_can_be_used_at_once_and_comes_back_evenly() {
        let limiter = InMemoryRateLimiter::default();
        let start = Timestamp::from_unix_seconds(1_800_000_000);
        for _ in 0..60 {
            assert_eq!(limiter.take(application(1), None, limit(60), start), Ok(()));
        }
        let refused = limiter.take(application(1), None, limit(60), start);
        assert_eq!(refused, Err(RateLimited { retry_after: Duration::from_secs(1) }));
        let later = start.plus(Duration::from_secs(2));
        assert!(limiter.take(application(1), None, limit(60), later).is_ok());
        assert!(limiter.take(application(1), None, limit(60), later).is_ok());
        assert!(limiter.take(application(1), None, limit(60), later).is_err());
    }

    #[test]
    fn applications_do_not_share_an_allowance() {
        let limiter = InMemoryRateLimiter::default();
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        assert!(limiter.take(application(1), None, limit(1), now).is_ok());
        assert!(limiter.take(application(1), None, limit(1), now).is_err());
        assert!(limiter.take(application(2), None, limit(1), now).is_ok());
    }

    #[test]
    fn one_person_leaves_half_of_what_an_application_may_to_others() {
        let (limiter, mut now) = (InMemoryRateLimiter::default(), Timestamp::from_unix_seconds(1_800_000_000));
        let take = |n, now| limiter.take(application(1), Some(person(n)), limit(60), now).is_ok();
        assert_eq!((0..100).filter(|_| take(1, now)).count(), 30);
        let refused = limiter.take(application(1), Some(person(1)), limit(60), now);
        assert_eq!(refused, Err(RateLimited { retry_after: Duration::from_secs(1) }), "what others leave comes first");
        assert_eq!((0..100).filter(|_| take(2, now)).count(), 30);
        assert!(limiter.take(application(1), None, limit(60), now).is_err(), "no more in all");

        // As long as others ask too, a person gets half; all of it when they do not.
        let mut counts = [0, 0, 0];
        for second in 0..600 {
            now = now.plus(Duration::from_secs(1));
            counts[0] += usize::from(second < 300 && take(1, now));
            counts[1] += usize::from(second < 300 && take(2, now));
            counts[2] += usize::from(second >= 300 && take(1, now));
        }
        assert!(counts[0] >= 149 && counts[1] >= 149, "{counts:?}");
        assert!(counts[2] >= 260, "{counts:?}");
    }

    #[test]
    fn a_person_of_an_application_with_the_least_limit_is_served() {
        let (limiter, now) = (InMemoryRateLimiter::default(), Timestamp::from_unix_seconds(1_800_000_000));
        assert!(limiter.take(application(1), Some(person(1)), limit(1), now).is_ok());
        let refused = limiter.take(application(1), Some(person(1)), limit(1), now);
        assert_eq!(refused, Err(RateLimited { retry_after: Duration::from_mins(1) }));
        assert!(limiter.take(application(1), Some(person(1)), limit(1), now.plus(Duration::from_mins(1))).is_ok());
    }

    #[test]
    fn a_clock_that_jumps_back_does_not_lock_anybody_out() {
        let limiter = InMemoryRateLimiter::default();
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        assert!(limiter.take(application(1), None, limit(1), now).is_ok());
        assert!(limiter.take(application(1), None, limit(1), now.minus(Duration::from_hours(1))).is_ok());
    }

    #[test]
    fn applications_that_have_their_allowance_back_are_forgotten() {
        let limiter = InMemoryRateLimiter::default();
        let mut now = Timestamp::from_unix_seconds(1_800_000_000);
        for n in 0..100_000 {
            now = now.plus(Duration::from_millis(100));
            assert!(limiter.take(application(n), Some(person(n)), limit(60), now).is_ok());
        }
        assert!(limiter.full_again.lock().unwrap().len() <= SWEEP_FROM + 2);
    }
}
