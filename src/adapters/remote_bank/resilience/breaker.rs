//! The circuit breaker: stops calling an unhealthy bank, and probes whether it has recovered.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use super::failure_rate::FailureRate;
use crate::adapters::remote_bank::breaker_state::BreakerState;
use crate::adapters::remote_bank::config::BreakerConfig;
use crate::adapters::remote_bank::exchange::Access;
use crate::adapters::remote_bank::failure::{BankFailure, Cause};
use crate::adapters::remote_bank::metrics::BankMetrics;

/// What determines the state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum BreakerMode {
    /// The outcomes of attempts.
    #[default]
    Automatic,
    /// An operator: no attempt is allowed.
    ForcedOpen,
    /// An operator: every attempt is allowed.
    ForcedClosed,
}

impl BreakerMode {
    /// The name in metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Automatic => "automatic",
            Self::ForcedOpen => "forced_open",
            Self::ForcedClosed => "forced_closed",
        }
    }
}

/// The outcome of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// The bank did what it was asked.
    Success,
    /// It failed, and may be unhealthy.
    Failure,
    /// It refused the request with good reason: this says nothing about its health.
    Ignored,
}

#[derive(Debug)]
pub struct Breaker {
    access: Access,
    config: BreakerConfig,
    inner: Mutex<BreakerInner>,
    metrics: Arc<BankMetrics>,
}

#[derive(Debug)]
struct BreakerInner {
    mode: BreakerMode,
    phase: BreakerPhase,
    /// Incremented with each change of phase, so that an attempt that began before a change does not count after it.
    era: u64,
}

#[derive(Debug)]
enum BreakerPhase {
    Closed { failures: FailureRate, slow: FailureRate },
    Open { until: Instant },
    HalfOpen { probes: u32 },
}

impl BreakerPhase {
    fn closed(config: &BreakerConfig) -> Self {
        Self::Closed {
            failures: FailureRate::new(config.calls, config.failure_percent, config.window),
            slow: FailureRate::new(config.calls, config.slow_percent, config.window),
        }
    }

    fn state(&self) -> BreakerState {
        match self {
            Self::Closed { .. } => BreakerState::Closed,
            Self::Open { .. } => BreakerState::Open,
            Self::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }
}

impl Breaker {
    /// A closed breaker.
    #[must_use]
    pub fn new(access: Access, config: &BreakerConfig, metrics: Arc<BankMetrics>) -> Self {
        let inner = BreakerInner { mode: BreakerMode::Automatic, phase: BreakerPhase::closed(config), era: 0 };
        Self { access, config: config.clone(), inner: Mutex::new(inner), metrics }
    }

    #[must_use]
    pub fn state(&self) -> BreakerState {
        let inner = self.lock();
        match inner.mode {
            BreakerMode::Automatic => inner.phase.state(),
            BreakerMode::ForcedOpen => BreakerState::Open,
            BreakerMode::ForcedClosed => BreakerState::Closed,
        }
    }

    /// What determines the state.
    #[must_use]
    pub fn mode(&self) -> BreakerMode {
        self.lock().mode
    }

    /// Sets the mode. Leaving `ForcedOpen` makes the next attempts probes; leaving `ForcedClosed` restarts the counting.
    pub fn set_mode(&self, mode: BreakerMode) {
        let mut inner = self.lock();
        if inner.mode == mode {
            return;
        }
        let before = inner.mode;
        inner.mode = mode;
        let phase = match before {
            BreakerMode::ForcedOpen => BreakerPhase::HalfOpen { probes: 0 },
            BreakerMode::Automatic | BreakerMode::ForcedClosed => BreakerPhase::closed(&self.config),
        };
        self.go_to(&mut inner, phase);
        if mode != BreakerMode::Automatic {
            let state = if mode == BreakerMode::ForcedOpen { BreakerState::Open } else { BreakerState::Closed };
            self.metrics.set_breaker_state(self.access, state);
        }
    }

    /// Admits an attempt.
    ///
    /// # Errors
    /// [`Cause::BreakerOpen`], with the remaining time.
    pub fn admit(&self) -> Result<Permit<'_>, BankFailure> {
        let now = Instant::now();
        let mut inner = self.lock();
        let refuse = |wait: Duration| Err(BankFailure::new(Cause::BreakerOpen).retry_after(Some(wait)));
        match inner.mode {
            BreakerMode::Automatic => {}
            BreakerMode::ForcedOpen => return refuse(self.config.open_for),
            BreakerMode::ForcedClosed => return Ok(self.permit(inner.era, now)),
        }
        if let BreakerPhase::Open { until } = inner.phase {
            if now < until {
                return refuse(until - now);
            }
            self.go_to(&mut inner, BreakerPhase::HalfOpen { probes: 0 });
        }
        if let BreakerPhase::HalfOpen { probes } = &mut inner.phase {
            if *probes >= self.config.probes {
                // The outcome of the probes is known within an attempt's timeout; one second is a reasonable estimate.
                return refuse(Duration::from_secs(1));
            }
            *probes += 1;
        }
        Ok(self.permit(inner.era, now))
    }

    fn permit(&self, era: u64, began: Instant) -> Permit<'_> {
        Permit { breaker: self, era, began, is_recorded: false }
    }

    fn record(&self, era: u64, began: Instant, outcome: Option<AttemptOutcome>) {
        let is_slow = began.elapsed() >= self.config.slow_call;
        let mut inner = self.lock();
        if inner.era != era || inner.mode != BreakerMode::Automatic {
            return;
        }
        let next = match &mut inner.phase {
            // It cannot belong to the same era: no attempt is admitted while open.
            BreakerPhase::Open { .. } => None,
            BreakerPhase::HalfOpen { probes } => {
                *probes = probes.saturating_sub(1);
                match outcome {
                    Some(AttemptOutcome::Success) if !is_slow => Some(BreakerPhase::closed(&self.config)),
                    Some(AttemptOutcome::Success | AttemptOutcome::Failure) => Some(self.open()),
                    Some(AttemptOutcome::Ignored) | None => None,
                }
            }
            BreakerPhase::Closed { failures, slow } => {
                // A caller that waited for long before it was cancelled has seen a slow bank.
                let counts = match outcome {
                    Some(outcome) => outcome != AttemptOutcome::Ignored,
                    None => is_slow,
                };
                let is_bad = outcome == Some(AttemptOutcome::Failure);
                let trips = counts && {
                    let (failed, slowed) = (failures.record(is_bad), slow.record(is_bad || is_slow));
                    failed || slowed
                };
                trips.then(|| self.open())
            }
        };
        if let Some(phase) = next {
            self.go_to(&mut inner, phase);
        }
    }

    fn open(&self) -> BreakerPhase {
        BreakerPhase::Open { until: Instant::now() + self.config.open_for }
    }

    fn go_to(&self, inner: &mut BreakerInner, phase: BreakerPhase) {
        let (from, to) = (inner.phase.state(), phase.state());
        inner.phase = phase;
        inner.era += 1;
        self.metrics.set_breaker_state(self.access, to);
        if from == to {
            return;
        }
        self.metrics.count_transition(self.access, to);
        let breaker = self.access.as_str();
        match to {
            BreakerState::Open => {
                let seconds = self.config.open_for.as_secs_f64();
                warn!(
                    breaker,
                    from = from.as_str(),
                    to = to.as_str(),
                    seconds,
                    "the breaker of the memory bank opened"
                );
            }
            BreakerState::Closed | BreakerState::HalfOpen => {
                info!(breaker, from = from.as_str(), to = to.as_str(), "the breaker of the memory bank changed");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BreakerInner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Permission for one attempt. If dropped without an outcome, because the caller was cancelled, it is released.
#[derive(Debug)]
pub struct Permit<'a> {
    breaker: &'a Breaker,
    era: u64,
    began: Instant,
    is_recorded: bool,
}

impl Permit<'_> {
    /// Records the outcome.
    pub fn record(mut self, outcome: AttemptOutcome) {
        self.is_recorded = true;
        self.breaker.record(self.era, self.began, Some(outcome));
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if !self.is_recorded {
            self.breaker.record(self.era, self.began, None);
        }
    }
}
