//! What an operator sees of the client. All labels are names of enums, so that no caller can make there be more of them.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::breaker_state::BreakerState;
use super::exchange::{Access, Operation};
use super::failure::Cause;

/// Why a call, or a retry, did not reach the bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// The circuit breaker was open.
    BreakerOpen,
    /// The bulkhead was full.
    BulkheadFull,
    /// The deadline had passed.
    DeadlineExceeded,
    /// A retry would have started after the deadline.
    TooLate,
    /// The retry budget was exhausted.
    NoBudget,
}

impl Rejection {
    const ALL: [Self; 5] =
        [Self::BreakerOpen, Self::BulkheadFull, Self::DeadlineExceeded, Self::TooLate, Self::NoBudget];

    /// The name in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BreakerOpen => "breaker_open",
            Self::BulkheadFull => "crowded",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::TooLate => "too_late",
            Self::NoBudget => "no_budget",
        }
    }
}

/// Why an item that the bank returned was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeftOut {
    /// It belongs to another tenant, or its tenant is unknown.
    Foreign,
    /// It was not written by any version of memgate, or is damaged.
    Unreadable,
}

impl LeftOut {
    const ALL: [Self; 2] = [Self::Foreign, Self::Unreadable];

    /// The name in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Foreign => "foreign",
            Self::Unreadable => "unreadable",
        }
    }
}

/// The outcomes of attempts: `None` for success, and every cause that an attempt can have.
const OUTCOMES: [Option<Cause>; 12] = [
    None,
    Some(Cause::NotConnected),
    Some(Cause::TimedOut),
    Some(Cause::ConnectionLost),
    Some(Cause::InvalidBody),
    Some(Cause::Throttled),
    Some(Cause::ServerError),
    Some(Cause::Declined),
    Some(Cause::Rejected),
    Some(Cause::Misconfigured),
    Some(Cause::TooLarge),
    Some(Cause::Inconsistent),
];

/// Upper bounds of the histogram's buckets, in milliseconds.
const BUCKETS: [u64; 13] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000];

/// Counters of one bank's client. They can be read at any time and are never reset.
#[derive(Debug, Default)]
pub struct BankMetrics {
    attempts: [[AtomicU64; OUTCOMES.len()]; Operation::ALL.len()],
    latencies: [Histogram; Operation::ALL.len()],
    retries: [AtomicU64; Operation::ALL.len()],
    refusals: [AtomicU64; Rejection::ALL.len()],
    left_out: [AtomicU64; LeftOut::ALL.len()],
    transitions: [[AtomicU64; BreakerState::ALL.len()]; Access::ALL.len()],
    breaker_states: [AtomicU64; Access::ALL.len()],
    budget_left: AtomicU64,
    hedges: AtomicU64,
    hedge_delay_micros: AtomicU64,
    coalesced: AtomicU64,
}

#[derive(Debug, Default)]
struct Histogram {
    /// Counts per bucket, not cumulative; the last bucket has no upper bound.
    counts: [AtomicU64; BUCKETS.len() + 1],
    total_micros: AtomicU64,
}

impl BankMetrics {
    pub(super) fn count_attempt(&self, operation: Operation, cause: Option<Cause>, took: Duration) {
        let number = index(&Operation::ALL, &operation);
        add(&self.attempts[number][index(&OUTCOMES, &cause)]);
        let millis = took.as_millis();
        let bucket = BUCKETS.iter().position(|bound| millis <= u128::from(*bound)).unwrap_or(BUCKETS.len());
        add(&self.latencies[number].counts[bucket]);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.latencies[number].total_micros.fetch_add(micros, Ordering::Relaxed);
    }

    pub(super) fn count_retry(&self, operation: Operation) {
        add(&self.retries[index(&Operation::ALL, &operation)]);
    }

    pub(super) fn count_refusal(&self, refusal: Rejection) {
        add(&self.refusals[index(&Rejection::ALL, &refusal)]);
    }

    pub(super) fn count_left_out(&self, reason: LeftOut) {
        add(&self.left_out[index(&LeftOut::ALL, &reason)]);
    }

    pub(super) fn count_hedge(&self) {
        add(&self.hedges);
    }

    pub(super) fn set_hedge_delay(&self, delay: Duration) {
        self.hedge_delay_micros.store(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn count_coalesced(&self) {
        add(&self.coalesced);
    }

    pub(super) fn count_transition(&self, access: Access, to: BreakerState) {
        add(&self.transitions[index(&Access::ALL, &access)][index(&BreakerState::ALL, &to)]);
    }

    pub(super) fn set_breaker_state(&self, access: Access, state: BreakerState) {
        let number = u64::try_from(index(&BreakerState::ALL, &state)).unwrap_or_default();
        self.breaker_states[index(&Access::ALL, &access)].store(number, Ordering::Relaxed);
    }

    pub(super) fn set_budget_left(&self, retries: u64) {
        self.budget_left.store(retries, Ordering::Relaxed);
    }

    /// Total number of attempts.
    #[must_use]
    pub fn attempts(&self) -> u64 {
        self.attempts.iter().flatten().map(get).sum()
    }

    /// Number of attempts of `operation` with this outcome, `None` for success.
    #[must_use]
    pub fn attempts_of(&self, operation: Operation, cause: Option<Cause>) -> u64 {
        OUTCOMES
            .iter()
            .position(|outcome| *outcome == cause)
            .map_or(0, |outcome| get(&self.attempts[index(&Operation::ALL, &operation)][outcome]))
    }

    /// Number of attempts that were retries.
    #[must_use]
    pub fn retries(&self) -> u64 {
        self.retries.iter().map(get).sum()
    }

    /// Number of calls and retries that did not reach the bank for this reason.
    #[must_use]
    pub fn refusals(&self, refusal: Rejection) -> u64 {
        get(&self.refusals[index(&Rejection::ALL, &refusal)])
    }

    /// Number of items that were left out for this reason.
    #[must_use]
    pub fn left_out(&self, reason: LeftOut) -> u64 {
        get(&self.left_out[index(&LeftOut::ALL, &reason)])
    }

    /// Number of transitions of the breaker of `access` to `state`.
    #[must_use]
    pub fn transitions(&self, access: Access, to: BreakerState) -> u64 {
        get(&self.transitions[index(&Access::ALL, &access)][index(&BreakerState::ALL, &to)])
    }

    /// Number of hedged reads.
    #[must_use]
    pub fn hedges(&self) -> u64 {
        get(&self.hedges)
    }

    /// Number of searches that shared the response of an identical one.
    #[must_use]
    pub fn coalesced(&self) -> u64 {
        get(&self.coalesced)
    }

    /// Number of retries left in the budget after the latest call.
    #[must_use]
    pub fn budget_left(&self) -> u64 {
        get(&self.budget_left)
    }

    /// All metrics in the Prometheus text format. All names begin with `memgate_bank_`.
    #[must_use]
    pub fn to_prometheus(&self) -> String {
        let mut text = PrometheusText::default();
        text.head("attempts_total", "counter", "Requests sent to the memory bank, by outcome.");
        for (operation, counts) in Operation::ALL.iter().zip(&self.attempts) {
            for (outcome, count) in OUTCOMES.iter().zip(counts).filter(|(_, count)| get(count) > 0) {
                let outcome = outcome.map_or("ok", Cause::as_str);
                text.line("attempts_total", &[("operation", operation.as_str()), ("outcome", outcome)], get(count));
            }
        }
        text.head("retries_total", "counter", "Requests sent again.");
        for (operation, count) in Operation::ALL.iter().zip(&self.retries) {
            text.line("retries_total", &[("operation", operation.as_str())], get(count));
        }
        text.head("retry_budget", "gauge", "Retries left in the retry budget.");
        text.line("retry_budget", &[], self.budget_left());
        text.head("hedges_total", "counter", "Reads sent a second time because the first attempt was slow.");
        text.line("hedges_total", &[], self.hedges());
        text.head("hedge_delay_seconds", "gauge", "Delay after which reads are hedged; 0 if they are not.");
        text.line("hedge_delay_seconds", &[], seconds(get(&self.hedge_delay_micros)));
        text.head("coalesced_total", "counter", "Searches that shared the response of an identical one.");
        text.line("coalesced_total", &[], self.coalesced());
        text.head("refusals_total", "counter", "Calls and retries that did not reach the memory bank.");
        for (refusal, count) in Rejection::ALL.iter().zip(&self.refusals) {
            text.line("refusals_total", &[("reason", refusal.as_str())], get(count));
        }
        text.head("items_left_out_total", "counter", "Items of the memory bank's responses that were left out.");
        for (reason, count) in LeftOut::ALL.iter().zip(&self.left_out) {
            text.line("items_left_out_total", &[("reason", reason.as_str())], get(count));
        }
        self.write_breakers(&mut text);
        self.write_latencies(&mut text);
        text.0
    }

    fn write_breakers(&self, text: &mut PrometheusText) {
        text.head("breaker_state", "gauge", "State of the circuit breaker: 0 closed, 1 open, 2 half-open.");
        for (access, state) in Access::ALL.iter().zip(&self.breaker_states) {
            text.line("breaker_state", &[("breaker", access.as_str())], get(state));
        }
        text.head("breaker_transitions_total", "counter", "Transitions of the circuit breaker, by new state.");
        for (access, counts) in Access::ALL.iter().zip(&self.transitions) {
            for (state, count) in BreakerState::ALL.iter().zip(counts) {
                let labels = [("breaker", access.as_str()), ("to", state.as_str())];
                text.line("breaker_transitions_total", &labels, get(count));
            }
        }
    }

    fn write_latencies(&self, text: &mut PrometheusText) {
        text.head("attempt_seconds", "histogram", "Duration of requests to the memory bank.");
        for (operation, histogram) in Operation::ALL.iter().zip(&self.latencies) {
            let mut count = 0;
            for (number, bucket) in histogram.counts.iter().enumerate() {
                count += get(bucket);
                let bound = BUCKETS.get(number).map_or("+Inf".to_owned(), |millis| seconds(millis * 1_000));
                let labels = [("operation", operation.as_str()), ("le", &bound)];
                text.line("attempt_seconds_bucket", &labels, count);
            }
            let labels = [("operation", operation.as_str())];
            text.line("attempt_seconds_sum", &labels, seconds(get(&histogram.total_micros)));
            text.line("attempt_seconds_count", &labels, count);
        }
    }
}

#[derive(Default)]
struct PrometheusText(String);

impl PrometheusText {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(self.0, "# HELP memgate_bank_{name} {help}\n# TYPE memgate_bank_{name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let _ = write!(self.0, "memgate_bank_{name}");
        for (number, (label, text)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"{text}\"", if number == 0 { '{' } else { ',' });
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
}

fn seconds(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn index<T: PartialEq>(all: &[T], one: &T) -> usize {
    all.iter().position(|each| each == one).unwrap_or_default()
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
