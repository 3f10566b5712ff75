//! The failure rate of the latest attempts within a time window.
//!
//! recloser does the counting: a ring buffer of outcomes that trips at a rate. This module adds what it lacks. Its buffer
//! never ages, so there are two, replaced alternately every half window: what trips is never older than a window. It trips
//! one call late, so its buffer is one shorter. It has no getter, but it rejects calls once tripped and does not count a
//! cancelled future: calling it with one that never completes reads its state without changing it.

use std::future::{pending, ready};
use std::time::Duration;

use futures_util::FutureExt as _;
use recloser::{AsyncRecloser, Error, Recloser};
use tokio::time::Instant;

/// Longer than any process lives: a tripped ring stays tripped, and the breaker decides what happens next.
const FOREVER: Duration = Duration::from_hours(24 * 365 * 100);

/// Counts outcomes and tells whether too many are failures.
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
    /// Trips when `percent` of the last `calls` outcomes are failures.
    #[must_use]
    pub fn new(calls: u32, percent: u32, window: Duration) -> Self {
        let calls = usize::try_from(calls.saturating_sub(1)).unwrap_or(usize::MAX).max(1);
        // Slightly below, since the ring compares 32-bit floats: 7 of 10 are 70 %.
        let share = f32::from(u16::try_from(percent).unwrap_or(100)) / 100.0 - 0.000_1;
        let now = Instant::now();
        let ring = |until| Ring { recloser: new_ring(calls, share), until };
        Self { rings: [ring(now + window), ring(now + window / 2)], calls, share, window }
    }

    /// Records an outcome. Returns whether too many are failures.
    pub fn record(&mut self, is_bad: bool) -> bool {
        let now = Instant::now();
        let mut tripped = false;
        for ring in &mut self.rings {
            if let Some(overdue) = now.checked_duration_since(ring.until) {
                let windows = u32::try_from(overdue.as_nanos() / self.window.as_nanos().max(1)).unwrap_or(u32::MAX - 1);
                let until = ring.until + self.window * (windows + 1);
                *ring = Ring { recloser: new_ring(self.calls, self.share), until };
            }
            // It completes at once. The result does not matter: the state is read below.
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
