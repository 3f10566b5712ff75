//! Resilience against a bank that is slow, failing or unavailable. One file per mechanism; [`Pipeline::exchange`] shows
//! their order.

mod attempt;
mod backoff;
mod breaker;
mod budget;
mod bulkhead;
mod coalescing;
mod deadline;
mod failure_rate;
mod hedge;
mod retries;
mod retry_after;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::Instant;
use tracing::{error, warn};

pub use breaker::{Breaker, BreakerMode};
pub use deadline::Deadline;

use self::backoff::Backoff;
use self::breaker::AttemptOutcome;
use self::budget::RetryBudget;
use self::bulkhead::Bulkhead;
use self::coalescing::SearchCoalescing;
use self::hedge::HedgeDelay;
use self::retries::Retries;
use super::breaker_state::BreakerState;
use super::config::ResilienceConfig;
use super::exchange::{Access, BankResponse, Exchanged, Request};
use super::failure::{BankFailure, Cause};
use super::metrics::{BankMetrics, Rejection};
use super::stored::BankTenant;
use super::transport::Transport;
use crate::domain::system::{Clock, Entropy};

/// All mechanisms around one bank.
pub struct Pipeline {
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    coalescing: SearchCoalescing,
    bulkheads: [Bulkhead; 2],
    retries: Retries,
    budget: Arc<RetryBudget>,
    breakers: [Breaker; 2],
    attempt_timeout: Duration,
    hedge_delay: HedgeDelay,
    metrics: Arc<BankMetrics>,
}

impl Pipeline {
    /// Assembles the mechanisms.
    pub fn new(
        config: &ResilienceConfig,
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        metrics: Arc<BankMetrics>,
    ) -> Self {
        let budget = Arc::new(RetryBudget::new(config));
        Self {
            transport,
            clock,
            coalescing: SearchCoalescing::new(config.deadline, Arc::clone(&metrics)),
            bulkheads: Access::ALL.map(|_| Bulkhead::new(config)),
            retries: Retries::new(Backoff::new(config, entropy), Arc::clone(&budget), Arc::clone(&metrics)),
            budget,
            breakers: Access::ALL.map(|access| Breaker::new(access, &config.breaker, Arc::clone(&metrics))),
            attempt_timeout: config.attempt_timeout,
            hedge_delay: HedgeDelay::new(config.hedge_after, config.attempt_timeout),
            metrics,
        }
    }

    /// The breaker for this kind of operation.
    pub fn breaker(&self, access: Access) -> &Breaker {
        of_access(&self.breakers, access)
    }

    /// Records that the bank's contents changed: a search in flight may miss it.
    pub fn note_write(&self) {
        self.coalescing.note_write();
    }

    /// Sends a request to the bank. **This is the order of all mechanisms, from the outermost to the innermost.**
    ///
    /// # Errors
    /// [`BankFailure`].
    pub async fn exchange(
        self: &Arc<Self>,
        tenant: &BankTenant,
        request: Request,
        deadline: Deadline,
    ) -> Result<Exchanged, BankFailure> {
        let access = request.operation.access();
        let request = Arc::new(request);
        let outcome = deadline // 1. no work continues after the deadline
            .bound(self.coalescing.share(&request, || {
                // 2. identical concurrent searches share one request
                let (this, request, tenant) = (Arc::clone(self), Arc::clone(&request), tenant.clone());
                async move {
                    let bulkhead = of_access(&this.bulkheads, access);
                    let _slot = bulkhead.enter(&tenant, deadline).await?; // 3. bounded concurrency, shared out fairly
                    let once = |request: Arc<Request>, number: u32| this.hedged(request, number, deadline).boxed();
                    this.retries.run(&request, deadline, &once).await // 4. retries, within the retry budget
                }
                .boxed()
            }))
            .await;
        self.metrics.set_budget_left(self.budget.left());
        if let Err(failure) = &outcome {
            self.count_refusal(failure);
        }
        outcome
    }

    /// Sends a request once, outside bulkheads, retries and breakers: health checks must neither take a caller's slot nor
    /// influence the breaker.
    ///
    /// # Errors
    /// [`BankFailure`].
    pub async fn probe(&self, request: &Request) -> Result<BankResponse, BankFailure> {
        let began = Instant::now();
        let outcome = self.send(request, self.attempt_timeout).await;
        self.report(request, 1, began.elapsed(), outcome.as_ref().err());
        outcome
    }

    async fn send(&self, request: &Request, time: Duration) -> Result<BankResponse, BankFailure> {
        let raw = attempt::send(&*self.transport, request, time).await; // sent, and read to the last byte
        raw.and_then(|raw| attempt::classify(request, &raw, self.clock.now()))
    }

    async fn hedged(
        &self,
        request: Arc<Request>,
        number: u32,
        deadline: Deadline,
    ) -> Result<BankResponse, BankFailure> {
        let Some(delay) = self.hedge_delay.current().filter(|_| request.operation.access() == Access::Read) else {
            return self.attempt(&request, number, deadline).await;
        };
        let may_hedge = || {
            // An unhealthy bank gets no more than its probes.
            let is_well = self.breaker(Access::Read).state() == BreakerState::Closed;
            let is_paid = is_well && self.budget.withdraw_spare();
            if is_paid {
                self.metrics.count_hedge();
            }
            is_paid
        };
        let (first, second) = (self.attempt(&request, number, deadline), self.attempt(&request, number, deadline));
        let (outcome, in_time) = hedge::race(delay, first, may_hedge, second).await;
        if outcome.is_ok() {
            self.hedge_delay.learn(in_time);
            self.metrics.set_hedge_delay(self.hedge_delay.current().unwrap_or_default());
        }
        outcome
    }

    /// The inner half of the order, for each attempt.
    async fn attempt(&self, request: &Request, number: u32, deadline: Deadline) -> Result<BankResponse, BankFailure> {
        if deadline.left().is_zero() {
            // Not the bank's fault, so its breaker must not count it.
            return Err(BankFailure::new(Cause::DeadlineExceeded));
        }
        let permit = self.breaker(request.operation.access()).admit()?; // 5. the circuit breaker of this kind of operation
        let began = Instant::now();
        let time = self.attempt_timeout.min(deadline.left()); // 6. the attempt timeout, or what is left of the deadline
        let outcome = self.send(request, time).await; // 7. sent, and read to the last byte
        permit.record(match &outcome {
            Ok(_) => AttemptOutcome::Success,
            Err(failure) if failure.cause.is_transient() => AttemptOutcome::Failure,
            Err(_) => AttemptOutcome::Ignored,
        });
        self.report(request, number, began.elapsed(), outcome.as_ref().err());
        outcome
    }

    /// Logs each failed attempt once, and counts all attempts.
    fn report(&self, request: &Request, number: u32, took: Duration, failure: Option<&BankFailure>) {
        let cause = failure.map(|failure| failure.cause);
        self.metrics.count_attempt(request.operation, cause, took);
        let Some(failure) = failure else { return };
        let operation = request.operation.as_str();
        let (status, cause) = (failure.status, failure.cause.as_str());
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let breaker = self.breaker(request.operation.access()).state().as_str();
        let retry_budget = self.budget.left();
        let bank_request_id = failure.request_id.as_deref();
        if failure.cause == Cause::Misconfigured {
            error!(
                operation,
                attempt = number,
                status,
                cause,
                duration_ms,
                breaker,
                retry_budget,
                bank_request_id,
                "the memory bank is misconfigured: check its URL, kind, key and authentication scheme"
            );
        } else {
            warn!(
                operation,
                attempt = number,
                status,
                cause,
                duration_ms,
                breaker,
                retry_budget,
                bank_request_id,
                "a call to the memory bank failed"
            );
        }
    }

    fn count_refusal(&self, failure: &BankFailure) {
        match failure.cause {
            Cause::BreakerOpen => self.metrics.count_refusal(Rejection::BreakerOpen),
            Cause::BulkheadFull => self.metrics.count_refusal(Rejection::BulkheadFull),
            Cause::DeadlineExceeded => self.metrics.count_refusal(Rejection::DeadlineExceeded),
            _ => {}
        }
    }
}

fn of_access<T>(both: &[T; 2], access: Access) -> &T {
    match access {
        Access::Read => &both[0],
        Access::Write => &both[1],
    }
}
