//! A limiter that counts down.

use std::sync::Mutex;
use std::time::Duration;

use crate::applications::RequestsPerMinute;
use crate::ids::{ApplicationId, UserId};
use crate::limits::{RateLimited, RateLimiter};
use crate::system::Timestamp;
use crate::testing::in_memory::lock;

/// A limiter that lets a stated number of requests through, whatever the clock says, and remembers what it was asked.
#[derive(Debug)]
pub struct FakeRateLimiter {
    left: Mutex<u32>,
    asked: Mutex<Vec<(ApplicationId, Option<UserId>, RequestsPerMinute)>>,
}

impl FakeRateLimiter {
    /// What it tells those that it stops.
    pub const RETRY_AFTER: Duration = Duration::from_secs(7);

    /// Lets everything through.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::allowing(u32::MAX)
    }

    /// Lets `requests` through and nothing after.
    #[must_use]
    pub fn allowing(requests: u32) -> Self {
        Self { left: Mutex::new(requests), asked: Mutex::default() }
    }

    /// For whom it was asked, and with which limit, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<(ApplicationId, Option<UserId>, RequestsPerMinute)> {
        lock(&self.asked).clone()
    }
}

impl RateLimiter for FakeRateLimiter {
    fn take(
        &self,
        application: ApplicationId,
        person: Option<UserId>,
        limit: RequestsPerMinute,
        _: Timestamp,
    ) -> Result<(), RateLimited> {
        lock(&self.asked).push((application, person, limit));
        let mut left = lock(&self.left);
        *left = left.checked_sub(1).ok_or(RateLimited { retry_after: Self::RETRY_AFTER })?;
        Ok(())
    }
}
