//! Hedged requests: a second attempt while a slow first one is still running.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::time::sleep;

use crate::adapters::remote_bank::config::HedgeAfter;
use crate::adapters::remote_bank::failure::BankFailure;

/// The delay after which a read is hedged. Unless fixed, it follows the bank's 95th percentile response time, however fast
/// or slow the bank is.
#[derive(Debug)]
pub struct HedgeDelay {
    after: HedgeAfter,
    longest: Duration,
    /// The learned delay, in microseconds.
    micros: AtomicU64,
}

impl HedgeDelay {
    /// The initial delay.
    const FIRST: Duration = Duration::from_secs(1);
    /// A bank that responds within this time needs no hedging.
    const LEAST: Duration = Duration::from_millis(10);
    /// A response after the delay raises it by 19 %; nineteen responses within it lower it by as much.
    const UP: (u64, u64) = (119, 100);
    const DOWN: (u64, u64) = (99_085, 100_000);

    /// Nothing is learned yet. A learned delay never exceeds `longest`.
    #[must_use]
    pub fn new(after: HedgeAfter, longest: Duration) -> Self {
        Self { after, longest, micros: AtomicU64::new(micros(Self::FIRST.min(longest))) }
    }

    /// The current delay; `None` if reads are not hedged.
    #[must_use]
    pub fn current(&self) -> Option<Duration> {
        match self.after {
            HedgeAfter::Never => None,
            HedgeAfter::Fixed(delay) => Some(delay),
            HedgeAfter::Learned => Some(Duration::from_micros(self.micros.load(Ordering::Relaxed))),
        }
    }

    /// Records whether a successful read completed before the delay.
    pub fn learn(&self, in_time: bool) {
        let (times, of) = if in_time { Self::DOWN } else { Self::UP };
        let (least, most) = (micros(Self::LEAST.min(self.longest)), micros(self.longest));
        let step = |delay: u64| Some((delay * times / of).clamp(least, most));
        // The closure always returns a value.
        let _ = self.micros.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step);
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Runs `first`; if it has not completed after `delay` and `may_hedge` agrees, runs `second` concurrently. The first success
/// wins and the other attempt is cancelled; of two failures the last one is returned. Also tells whether `first` completed
/// before the delay.
pub async fn race<T>(
    delay: Duration,
    first: impl Future<Output = Result<T, BankFailure>>,
    may_hedge: impl FnOnce() -> bool,
    second: impl Future<Output = Result<T, BankFailure>>,
) -> (Result<T, BankFailure>, bool) {
    let (mut first, second) = (pin!(first), pin!(second));
    if let Either::Left((answer, _)) = select(first.as_mut(), pin!(sleep(delay))).await {
        return (answer, true);
    }
    if !may_hedge() {
        return (first.await, false);
    }
    let answer = match select(first, second).await {
        Either::Left((Ok(answer), _)) | Either::Right((Ok(answer), _)) => Ok(answer),
        Either::Left((Err(_), second)) => second.await,
        Either::Right((Err(_), first)) => first.await,
    };
    (answer, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(8);

    /// The delay after `answers` responses, the duration of each of which is given by `took`.
    fn learned(answers: u32, took: impl Fn(u32) -> Duration) -> Duration {
        let delay = HedgeDelay::new(HedgeAfter::Learned, LONGEST);
        for number in 0..answers {
            let current = delay.current().unwrap();
            delay.learn(took(number) <= current);
        }
        delay.current().unwrap()
    }

    #[test]
    fn the_delay_converges_to_the_95th_percentile() {
        // From 1 to 100 ms, in no particular order.
        let evenly = |number: u32| Duration::from_millis(u64::from(number * 37 % 100) + 1);
        let delay = learned(10_000, evenly);
        assert!(delay > Duration::from_millis(80) && delay < Duration::from_millis(120), "{delay:?}");
        // A few outliers do not matter.
        let stragglers = |number: u32| if number.is_multiple_of(50) { LONGEST } else { Duration::from_millis(30) };
        let delay = learned(10_000, stragglers);
        assert!(delay > Duration::from_millis(25) && delay < Duration::from_millis(50), "{delay:?}");
    }

    #[test]
    fn the_delay_follows_a_bank_that_becomes_slower_and_has_bounds() {
        assert_eq!(learned(2_000, |_| Duration::ZERO), HedgeDelay::LEAST);
        assert_eq!(learned(2_000, |_| LONGEST * 2), LONGEST);
        let slower = |number: u32| Duration::from_millis(if number < 2_000 { 1 } else { 300 });
        let delay = learned(2_040, slower);
        assert!(delay > Duration::from_millis(250) && delay < Duration::from_millis(400), "{delay:?}");
        let short = Duration::from_millis(5);
        assert_eq!(HedgeDelay::new(HedgeAfter::Learned, short).current(), Some(short));
    }

    #[test]
    fn a_fixed_delay_does_not_learn() {
        let delay = HedgeDelay::new(HedgeAfter::Fixed(LONGEST), LONGEST);
        delay.learn(true);
        assert_eq!(delay.current(), Some(LONGEST));
        assert_eq!(HedgeDelay::new(HedgeAfter::Never, LONGEST).current(), None);
    }
}
