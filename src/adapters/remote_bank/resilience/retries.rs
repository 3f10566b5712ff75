//! Sending again what came to nothing: while the bank is unwell, as long as the budget pays, and never a create that may
//! have arrived without looking for it first.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::time::sleep;

use super::Exchanged;
use super::backoff::Backoff;
use super::budget::RetryBudget;
use super::deadline::Deadline;
use crate::adapters::remote_bank::exchange::{Answer, Request, Unless};
use crate::adapters::remote_bank::failure::Failure;
use crate::adapters::remote_bank::metrics::{BankMetrics, Refusal};

/// Sends one request once.
pub type Once<'a> = &'a (dyn Fn(Arc<Request>, u32) -> BoxFuture<'a, Result<Answer, Failure>> + Send + Sync);

/// The retries of all calls.
pub struct Retries {
    backoff: Backoff,
    budget: Arc<RetryBudget>,
    metrics: Arc<BankMetrics>,
}

impl Retries {
    /// Retries that share `budget`.
    #[must_use]
    pub fn new(backoff: Backoff, budget: Arc<RetryBudget>, metrics: Arc<BankMetrics>) -> Self {
        Self { backoff, budget, metrics }
    }

    /// Sends `request` until it comes to something, or enough has been done.
    ///
    /// # Errors
    /// The failure of the last attempt.
    pub async fn run(&self, request: &Arc<Request>, deadline: Deadline, once: Once<'_>) -> Result<Exchanged, Failure> {
        self.budget.deposit();
        let mut may_be_there = request.unless.as_ref().is_some_and(|unless| unless.look_first);
        let mut attempts = 1;
        loop {
            let (looked_up, outcome) = match request.unless.as_ref().filter(|_| may_be_there) {
                Some(unless) => match look_up(unless, attempts, once).await {
                    Ok(Some(answer)) => return Ok(Exchanged { answer: Arc::new(answer), attempts, was_there: true }),
                    Ok(None) => (true, once(Arc::clone(request), attempts).await),
                    Err(failure) => (false, Err(failure)),
                },
                None => (true, once(Arc::clone(request), attempts).await),
            };
            let failure = match outcome {
                Ok(answer) => return Ok(Exchanged { answer: Arc::new(answer), attempts, was_there: false }),
                Err(failure) => failure,
            };
            may_be_there |= looked_up && failure.may_have_arrived();
            if !failure.cause.is_transient() {
                return Err(failure);
            }
            let Some(wait) = self.backoff.wait(attempts, failure.retry_after) else { return Err(failure) };
            if wait >= deadline.left() {
                self.metrics.count_refusal(Refusal::TooLate);
                return Err(failure);
            }
            let requests = if may_be_there && request.unless.is_some() { 2 } else { 1 };
            if !self.budget.withdraw(requests) {
                self.metrics.count_refusal(Refusal::NoBudget);
                return Err(failure);
            }
            self.metrics.count_retry(request.operation);
            sleep(wait).await;
            attempts += 1;
        }
    }
}

async fn look_up(unless: &Unless, attempt: u32, once: Once<'_>) -> Result<Option<Answer>, Failure> {
    let answer = once(Arc::clone(&unless.request), attempt).await?;
    Ok(Some(answer).filter(|answer| (unless.is_there)(answer)))
}
