//! A token bucket: the generic cell rate algorithm, whose whole state is one timestamp.

use std::time::Duration;

use crate::system::Timestamp;

/// A rate limit: how many at once, and the interval after which one more is available. What it leaves is a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// How many can be taken at once.
    pub burst: u32,
    /// The interval after which one more is available.
    pub interval: Duration,
}

impl RateLimit {
    /// Takes one. `full_again` is the state: when the bucket will be full again, in Unix milliseconds; 0 initially.
    ///
    /// # Errors
    /// How long to wait if none is left; nothing is taken in that case.
    pub fn take(&self, full_again: &mut i64, now: Timestamp) -> Result<(), Duration> {
        if let Some(wait) = self.wait(*full_again, now) {
            return Err(wait);
        }
        *full_again = self.begin(*full_again, now).saturating_add(self.interval_millis());
        Ok(())
    }

    /// How long to wait for the next one; `None` if one is available.
    #[must_use]
    pub fn wait(&self, full_again: i64, now: Timestamp) -> Option<Duration> {
        let used = self.begin(full_again, now).saturating_sub(now.unix_millis());
        let wait = used.saturating_add(self.interval_millis()).saturating_sub(self.whole_millis());
        u64::try_from(wait).ok().filter(|wait| *wait > 0).map(Duration::from_millis)
    }

    /// Gives one back.
    pub fn give_back(&self, full_again: &mut i64) {
        *full_again = full_again.saturating_sub(self.interval_millis());
    }

    fn begin(&self, full_again: i64, now: Timestamp) -> i64 {
        let now = now.unix_millis();
        now.saturating_add(used(full_again, now, self.whole_millis()))
    }

    fn interval_millis(&self) -> i64 {
        i64::try_from(self.interval.as_millis()).unwrap_or(i64::MAX)
    }

    fn whole_millis(&self) -> i64 {
        self.interval_millis().saturating_mul(i64::from(self.burst))
    }
}

/// How much of a bucket is used that will be full again at `full_again`, and takes `whole` to fill; all in the same unit.
/// A time further ahead than that means that the clock jumped back.
pub(super) fn used(full_again: i64, now: i64, whole: i64) -> i64 {
    let used = full_again.saturating_sub(now).max(0);
    if used > whole { 0 } else { used }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: RateLimit = RateLimit { burst: 3, interval: Duration::from_secs(2) };

    #[test]
    fn what_is_taken_comes_back_evenly_and_what_is_given_back_at_once() {
        let (mut state, now) = (0, Timestamp::from_unix_seconds(1_800_000_000));
        for _ in 0..3 {
            assert_eq!(LIMIT.take(&mut state, now), Ok(()));
        }
        assert_eq!(LIMIT.take(&mut state, now), Err(Duration::from_secs(2)));
        let later = now.plus(Duration::from_secs(3));
        assert_eq!(LIMIT.take(&mut state, later), Ok(()));
        assert_eq!(LIMIT.wait(state, later), Some(Duration::from_secs(1)));
        LIMIT.give_back(&mut state);
        assert_eq!(LIMIT.wait(state, later), None);
    }

    #[test]
    fn a_clock_that_jumps_back_prolongs_no_wait() {
        let (mut state, now) = (0, Timestamp::from_unix_seconds(1_800_000_000));
        (0..3).for_each(|_| LIMIT.take(&mut state, now).unwrap());
        assert_eq!(LIMIT.wait(state, now.minus(Duration::from_mins(1))), None);
    }
}
