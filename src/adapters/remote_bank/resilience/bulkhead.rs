//! The bulkhead: limits how many requests are in flight, and how many wait.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::deadline::Deadline;
use crate::adapters::remote_bank::config::ResilienceConfig;
use crate::adapters::remote_bank::failure::{BankFailure, Cause};

/// A limited number of slots, and a bounded queue for them.
#[derive(Debug)]
pub struct Bulkhead {
    places: Semaphore,
    waiting: AtomicUsize,
    max_waiting: usize,
    max_wait: Duration,
}

impl Bulkhead {
    /// All slots are free.
    #[must_use]
    pub fn new(config: &ResilienceConfig) -> Self {
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        Self {
            places: Semaphore::new(count(config.max_concurrent)),
            waiting: AtomicUsize::new(0),
            max_waiting: count(config.max_waiting),
            max_wait: config.max_wait,
        }
    }

    /// Acquires a slot, waiting for one if necessary.
    ///
    /// # Errors
    /// [`Cause::BulkheadFull`], immediately if the queue is full, or after the maximum wait.
    pub async fn enter(&self, deadline: Deadline) -> Result<SemaphorePermit<'_>, BankFailure> {
        if let Ok(place) = self.places.try_acquire() {
            return Ok(place);
        }
        let crowded = || BankFailure::new(Cause::BulkheadFull).retry_after(Some(self.max_wait));
        let waiter = Waiter::join(&self.waiting);
        if waiter.number > self.max_waiting {
            return Err(crowded());
        }
        match timeout(self.max_wait.min(deadline.left()), self.places.acquire()).await {
            Ok(Ok(place)) => Ok(place),
            // The semaphore is never closed.
            Ok(Err(_)) | Err(_) => Err(crowded()),
        }
    }
}

struct Waiter<'a> {
    waiting: &'a AtomicUsize,
    number: usize,
}

impl<'a> Waiter<'a> {
    fn join(waiting: &'a AtomicUsize) -> Self {
        Self { waiting, number: waiting.fetch_add(1, Ordering::SeqCst) + 1 }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}
