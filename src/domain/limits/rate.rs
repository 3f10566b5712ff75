//! Rate limits of applications, counted in memory: each instance counts for itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::gcra::used;
use crate::applications::{Application, RequestsPerMinute};
use crate::ids::{ApplicationId, UserId};
use crate::system::Timestamp;

const MINUTE_IN_MICROS: i64 = 60_000_000;
/// Number of applications and people from which those with a full bucket are evicted occasionally.
const SWEEP_FROM: usize = 1024;

/// The rate limits of applications. Clones share what they count.
#[derive(Clone)]
pub struct RateLimits {
    default: RequestsPerMinute,
    full_again: Arc<Mutex<Moments>>,
}

/// For each application, and each person of one, when its bucket will be full again, in Unix microseconds.
#[derive(Default)]
struct Moments {
    by_application: HashMap<ApplicationId, i64>,
    by_person: HashMap<(ApplicationId, UserId), i64>,
    sweep_at: usize,
}

/// What a request takes of a full bucket, in microseconds of a minute.
struct Cost {
    of_application: i64,
    of_person: i64,
}

/// An application exceeded its rate limit, or a person the share of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests; wait {} seconds", .retry_after.as_secs_f64().ceil())]
pub struct RateLimited {
    /// How long to wait for the next request.
    pub retry_after: Duration,
}

impl RateLimits {
    /// Counts from zero. `default` applies to applications without a limit of their own.
    #[must_use]
    pub fn new(default: RequestsPerMinute) -> Self {
        Self { default, full_again: Arc::default() }
    }

    /// The rate limit of `application`.
    #[must_use]
    pub fn of(&self, application: &Application) -> RequestsPerMinute {
        application.rate_limit.unwrap_or(self.default)
    }

    /// Takes one request out of the application's bucket: a full minute's worth is available as a burst, and is refilled
    /// evenly over a minute.
    ///
    /// A request on behalf of a person is also taken out of the person's share of it, which is half as large and refilled half as
    /// fast. A person whose share is used up gets more only as long as half of the application's bucket is left to others.
    ///
    /// # Errors
    /// [`RateLimited`] if none is left; nothing is taken in that case.
    pub fn take(&self, application: &Application, person: Option<UserId>, now: Timestamp) -> Result<(), RateLimited> {
        let now = in_micros(now);
        let cost = self.cost(application);
        let mut moments = self.full_again.lock().unwrap_or_else(PoisonError::into_inner);
        moments.sweep(now);
        let of_application = moments.used_by(application.id, now) + cost.of_application;
        let mut wait = of_application - MINUTE_IN_MICROS;
        let mut share = None;
        if let Some(person) = person {
            let person = (application.id, person);
            let of_person = moments.used_by_person(person, now) + cost.of_person;
            let until_share = of_person - MINUTE_IN_MICROS;
            if until_share <= 0 {
                share = Some((person, now + of_person));
            } else {
                let beyond = of_application - MINUTE_IN_MICROS / 2;
                wait = wait.max(until_share.min(beyond));
            }
        }
        if wait > 0 {
            return Err(RateLimited { retry_after: Duration::from_micros(u64::try_from(wait).unwrap_or(0)) });
        }
        moments.by_application.insert(application.id, now + of_application);
        moments.by_person.extend(share);
        Ok(())
    }

    /// How many requests of the application are counted, and how many of the person's share: what is refilled is subtracted.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn counted(&self, application: &Application, person: Option<UserId>, now: Timestamp) -> (u32, u32) {
        let now = in_micros(now);
        let cost = self.cost(application);
        let moments = self.full_again.lock().unwrap_or_else(PoisonError::into_inner);
        let of_person = person.map_or(0, |person| moments.used_by_person((application.id, person), now));
        let requests = |used: i64, cost: i64| u32::try_from(used / cost).unwrap_or(u32::MAX);
        (requests(moments.used_by(application.id, now), cost.of_application), requests(of_person, cost.of_person))
    }

    fn cost(&self, application: &Application) -> Cost {
        let of_application = MINUTE_IN_MICROS / i64::from(self.of(application).get());
        // Half as large and half as fast: each request takes twice as much of a minute.
        Cost { of_application, of_person: (2 * of_application).min(MINUTE_IN_MICROS) }
    }
}

impl Moments {
    fn used_by(&self, application: ApplicationId, now: i64) -> i64 {
        used(self.by_application.get(&application).copied().unwrap_or_default(), now, MINUTE_IN_MICROS)
    }

    fn used_by_person(&self, person: (ApplicationId, UserId), now: i64) -> i64 {
        used(self.by_person.get(&person).copied().unwrap_or_default(), now, MINUTE_IN_MICROS)
    }

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

fn in_micros(now: Timestamp) -> i64 {
    now.unix_millis().saturating_mul(1000)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::testing::application as any_application;

    fn application(n: u128) -> Application {
        Application { id: ApplicationId::from_uuid(Uuid::from_u128(n)), ..any_application() }
    }

    fn person(n: u128) -> UserId {
        UserId::from_uuid(Uuid::from_u128(n))
    }

    fn limits(requests: u32) -> RateLimits {
        RateLimits::new(requests.try_into().unwrap())
    }

    #[test]
    fn a_minutes_worth_can_be_used_at_once_and_comes_back_evenly() {
        let limits = limits(60);
        let start = Timestamp::from_unix_seconds(1_800_000_000);
        for _ in 0..60 {
            assert_eq!(limits.take(&application(1), None, start), Ok(()));
        }
        let refused = limits.take(&application(1), None, start);
        assert_eq!(refused, Err(RateLimited { retry_after: Duration::from_secs(1) }));
        let later = start.plus(Duration::from_secs(2));
        assert!(limits.take(&application(1), None, later).is_ok());
        assert!(limits.take(&application(1), None, later).is_ok());
        assert!(limits.take(&application(1), None, later).is_err());
    }

    #[test]
    fn applications_do_not_share_a_bucket() {
        let limits = limits(1);
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        assert!(limits.take(&application(1), None, now).is_ok());
        assert!(limits.take(&application(1), None, now).is_err());
        assert!(limits.take(&application(2), None, now).is_ok());
    }

    #[test]
    fn one_person_leaves_half_of_what_an_application_may_to_others() {
        let (limits, mut now) = (limits(60), Timestamp::from_unix_seconds(1_800_000_000));
        let take = |n, now| limits.take(&application(1), Some(person(n)), now).is_ok();
        assert_eq!((0..100).filter(|_| take(1, now)).count(), 30);
        let refused = limits.take(&application(1), Some(person(1)), now);
        assert_eq!(refused, Err(RateLimited { retry_after: Duration::from_secs(1) }), "what others leave comes first");
        assert_eq!((0..100).filter(|_| take(2, now)).count(), 30);
        assert!(limits.take(&application(1), None, now).is_err(), "no more in all");

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
        let (limits, now) = (limits(1), Timestamp::from_unix_seconds(1_800_000_000));
        assert!(limits.take(&application(1), Some(person(1)), now).is_ok());
        let refused = limits.take(&application(1), Some(person(1)), now);
        assert_eq!(refused, Err(RateLimited { retry_after: Duration::from_mins(1) }));
        assert!(limits.take(&application(1), Some(person(1)), now.plus(Duration::from_mins(1))).is_ok());
    }

    #[test]
    fn an_application_with_a_limit_of_its_own_is_counted_by_that_and_clones_count_together() {
        let (limits, now) = (limits(1), Timestamp::from_unix_seconds(1_800_000_000));
        let own = Application { rate_limit: Some(3.try_into().unwrap()), ..application(1) };
        assert_eq!((limits.of(&application(1)).get(), limits.of(&own).get()), (1, 3));
        let clone = limits.clone();
        assert!((0..3).all(|_| clone.take(&own, None, now).is_ok()));
        assert!(limits.take(&own, None, now).is_err());
        assert_eq!(limits.counted(&own, None, now), (3, 0), "what is refused is not counted");
    }

    #[test]
    fn a_clock_that_jumps_back_does_not_lock_anybody_out() {
        let limits = limits(1);
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        assert!(limits.take(&application(1), None, now).is_ok());
        assert!(limits.take(&application(1), None, now.minus(Duration::from_hours(1))).is_ok());
    }

    #[test]
    fn applications_whose_bucket_is_full_again_are_forgotten() {
        let limits = limits(60);
        let mut now = Timestamp::from_unix_seconds(1_800_000_000);
        for n in 0..100_000 {
            now = now.plus(Duration::from_millis(100));
            assert!(limits.take(&application(n), Some(person(n)), now).is_ok());
        }
        assert!(limits.full_again.lock().unwrap().len() <= SWEEP_FROM + 2);
    }
}
