//! The share of attempts that went badly, of the last so many within a time.
//!
//! recloser counts: a ring of outcomes that trips at a share. What it does not do is done here. Its ring never ages, so
//! there are two, which are replaced in turn every half window: what trips is never older than a window. It trips one call
//! late, so its ring is one shorter. It has no getter, but it refuses once it has tripped, and a future that is dropped is
//! not counted: asking with one that never ends tells its state and changes nothing.

use std::future::{pending, ready};
use std::time::Duration;

use futures_util::FutureExt as _;
use recloser::{AsyncRecloser, Error, Recloser};
use tokio::time::Instant;

/// Longer than any process lives: once it has tripped a ring stays so, and the breaker around it decides what follows.
const FOREVER: Duration = Duration::from_hours(24 * 365 * 100);

/// Outcomes, and whether too many of them are bad.
#[derive(Debug)]
pub struct FailureRate {
    rings: [Ring; 2],
    calls: usize,
    share: f32,
    window: Duration,
}

#[derive(Debug)]
struct Ring {
    recloser: AsyncRecloser,
    until: Instant,
}

impl FailureRate {
    /// Trips when `percent` of the last `calls` outcomes are bad.
    #[must_use]
    pub fn new(calls: u32, percent: u32, window: Duration) -> Self {
        let calls = usize::try_from(calls.saturating_sub(1)).unwrap_or(usize::MAX).max(1);
        // A hair below, since the ring compares 32-bit floats: 7 of 10 are 70 %.
        let share = f32::from(u16::try_from(percent).unwrap_or(100)) / 100.0 - 0.000_1;
        let now = Instant::now();
        let ring = |until| Ring { recloser: new_ring(calls, share), until };
        Self { rings: [ring(now + window), ring(now + window / 2)], calls, share, window }
    }

    /// Counts an outcome. Returns whether too many are bad.
    pub fn record(&mut self, is_bad: bool) -> bool {
        let now = Instant::now();
        let mut tripped = false;
        for ring in &mut self.rings {
            if let Some(overdue) = now.checked_duration_since(ring.until) {
                let windows = u32::try_from(overdue.as_nanos() / self.window.as_nanos().max(1)).unwrap_or(u32::MAX - 1);
                let until = ring.until + self.window * (windows + 1);
                *ring = Ring { recloser: new_ring(self.calls, self.share), until };
            }
            // It ends at once. What it says is of no interest: it is asked below.
            let _ = ring.recloser.call(ready(if is_bad { Err(()) } else { Ok(()) })).now_or_never();
            let response = ring.recloser.call(pending::<Result<(), ()>>()).now_or_never();
            tripped |= matches!(response, Some(Err(Error::Rejected)));
        }
        tripped
    }
}

fn new_ring(calls: usize, share: f32) -> AsyncRecloser {
    Recloser::custom().closed_len(calls).error_rate(share).open_wait(FOREVER).build().into()
}
