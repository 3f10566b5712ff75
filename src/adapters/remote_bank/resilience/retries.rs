//! Retries: only while the bank is unhealthy and the retry budget allows it, and never for a create that may have arrived
//! without looking for it first.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::time::sleep;

use super::backoff::Backoff;
use super::budget::RetryBudget;
use super::deadline::Deadline;
use crate::adapters::remote_bank::exchange::{BankResponse, Exchanged, Precondition, Request};
use crate::adapters::remote_bank::failure::BankFailure;
use crate::adapters::remote_bank::metrics::{BankMetrics, Rejection};

/// Sends a request once.
pub type Once<'a> = &'a (dyn Fn(Arc<Request>, u32) -> BoxFuture<'a, Result<BankResponse, BankFailure>> + Send + Sync);

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

    /// Sends `request` until it succeeds, or no retry is left.
    ///
    /// # Errors
    /// The failure of the last attempt.
    pub async fn run(
        &self,
        request: &Arc<Request>,
        deadline: Deadline,
        once: Once<'_>,
    ) -> Result<Exchanged, BankFailure> {
        self.budget.deposit();
        let mut may_be_there = request.precondition.as_ref().is_some_and(|precondition| precondition.look_first);
        let mut attempts = 1;
        loop {
            let (looked_up, outcome) = match request.precondition.as_ref().filter(|_| may_be_there) {
                Some(precondition) => match look_up(precondition, attempts, once).await {
                    Ok(Some(response)) => {
                        return Ok(Exchanged { response: Arc::new(response), attempts, was_there: true });
                    }
                    Ok(None) => (true, once(Arc::clone(request), attempts).await),
                    Err(failure) => (false, Err(failure)),
                },
                None => (true, once(Arc::clone(request), attempts).await),
            };
            let failure = match outcome {
                Ok(response) => return Ok(Exchanged { response: Arc::new(response), attempts, was_there: false }),
                Err(failure) => failure,
            };
            may_be_there |= looked_up && failure.may_have_arrived();
            if !failure.cause.is_transient() {
                return Err(failure);
            }
            let Some(wait) = self.backoff.wait(attempts, failure.retry_after) else { return Err(failure) };
            if wait >= deadline.left() {
                self.metrics.count_refusal(Rejection::TooLate);
                return Err(failure);
            }
            let requests = if may_be_there && request.precondition.is_some() { 2 } else { 1 };
            if !self.budget.withdraw(requests) {
                self.metrics.count_refusal(Rejection::NoBudget);
                return Err(failure);
            }
            self.metrics.count_retry(request.operation);
            sleep(wait).await;
            attempts += 1;
        }
    }
}

async fn look_up(
    precondition: &Precondition,
    attempt: u32,
    once: Once<'_>,
) -> Result<Option<BankResponse>, BankFailure> {
    let response = once(Arc::clone(&precondition.request), attempt).await?;
    Ok(Some(response).filter(|response| (precondition.is_there)(response)))
}
