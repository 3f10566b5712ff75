//! Why a request to the bank failed.

use std::fmt;
use std::time::Duration;

use crate::domain::memories::MemoryBankError;

/// The kinds of failure; a label of metrics and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The connection was not established: the bank did not see the request.
    NotConnected,
    /// No complete response within the attempt's timeout.
    TimedOut,
    /// The connection was lost before or during the response.
    ConnectionLost,
    /// The response is not JSON: a proxy's error page, or an empty body.
    InvalidBody,
    /// 429: too many requests.
    Throttled,
    /// 408, 425, or any 5xx but 501 and 505 that is not more specific.
    ServerError,
    /// 200, with a body that reports a temporary failure.
    Declined,
    /// Another 4xx, or a specific 5xx: the request itself was refused.
    Rejected,
    /// 401, 403, a redirect, or an unknown route: the configuration does not match the service.
    Misconfigured,
    /// The response exceeds the size limit.
    TooLarge,
    /// The response is JSON, but violates the bank's contract.
    Inconsistent,
    /// The circuit breaker is open.
    BreakerOpen,
    /// The bulkhead is full: too many requests are in flight or waiting.
    BulkheadFull,
    /// The call's deadline has passed.
    DeadlineExceeded,
}

impl Cause {
    /// The name in metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotConnected => "not_connected",
            Self::TimedOut => "timed_out",
            Self::ConnectionLost => "broken",
            Self::InvalidBody => "garbled",
            Self::Throttled => "throttled",
            Self::ServerError => "server_error",
            Self::Declined => "declined",
            Self::Rejected => "rejected",
            Self::Misconfigured => "misconfigured",
            Self::TooLarge => "too_large",
            Self::Inconsistent => "inconsistent",
            Self::BreakerOpen => "breaker_open",
            Self::BulkheadFull => "crowded",
            Self::DeadlineExceeded => "deadline_exceeded",
        }
    }

    /// Whether this indicates an unhealthy bank: such an attempt counts for the breaker and may be retried.
    #[must_use]
    pub fn is_transient(self) -> bool {
        match self {
            Self::NotConnected
            | Self::TimedOut
            | Self::ConnectionLost
            | Self::InvalidBody
            | Self::Throttled
            | Self::ServerError
            | Self::Declined => true,
            Self::Rejected
            | Self::Misconfigured
            | Self::TooLarge
            | Self::Inconsistent
            | Self::BreakerOpen
            | Self::BulkheadFull
            | Self::DeadlineExceeded => false,
        }
    }
}

/// A failure. Its text contains nothing that the caller or the bank sent, except for [`Cause::Rejected`], whose `detail`
/// is the bank's message for the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BankFailure {
    /// Its kind.
    pub cause: Cause,
    /// The status of the response, if there was one.
    pub status: Option<u16>,
    /// How long to wait, according to the bank or the breaker.
    pub retry_after: Option<Duration>,
    /// The bank's request ID.
    pub request_id: Option<String>,
    /// Further details.
    pub detail: Option<String>,
    /// Whether the bank itself reports an outage that affects every request.
    pub is_outage: bool,
}

impl BankFailure {
    /// A failure without further details.
    #[must_use]
    pub fn new(cause: Cause) -> Self {
        Self { cause, status: None, retry_after: None, request_id: None, detail: None, is_outage: false }
    }

    /// A response that violates the bank's contract.
    #[must_use]
    pub fn inconsistent(detail: &str) -> Self {
        Self::new(Cause::Inconsistent).detail(detail)
    }

    /// Adds details.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Sets how long to wait.
    #[must_use]
    pub fn retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// Sets whether the bank reports an outage that affects every request.
    #[must_use]
    pub fn outage(mut self, is_outage: bool) -> Self {
        self.is_outage = is_outage;
        self
    }

    /// Whether the bank failed on this very request, so that the request itself may be the reason.
    #[must_use]
    pub fn reached(&self) -> bool {
        let of_the_bank = matches!(
            self.cause,
            Cause::NotConnected | Cause::Throttled | Cause::BreakerOpen | Cause::BulkheadFull | Cause::DeadlineExceeded
        );
        !self.is_outage && !of_the_bank
    }

    /// Whether the bank may have processed the request.
    #[must_use]
    pub fn may_have_arrived(&self) -> bool {
        self.cause != Cause::NotConnected
    }
}

impl fmt::Display for BankFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.cause {
            Cause::NotConnected => "could not connect",
            Cause::TimedOut => "the request timed out",
            Cause::ConnectionLost => "the connection was lost before the response was complete",
            Cause::InvalidBody => "the response is not JSON",
            Cause::Throttled => "too many requests",
            Cause::ServerError => "server error",
            Cause::Declined => "the memory bank reported a temporary failure",
            Cause::Rejected => "the memory bank refused the request",
            Cause::Misconfigured => "the memory bank does not match the configuration, or refuses the API key",
            Cause::TooLarge => "the response is larger than allowed",
            Cause::Inconsistent => "the response violates the memory bank's contract",
            Cause::BreakerOpen => "the circuit breaker is open after recent failures, so no request was sent",
            Cause::BulkheadFull => "too many requests are in flight",
            Cause::DeadlineExceeded => "the call's deadline was exceeded",
        };
        f.write_str(text)?;
        if let Some(status) = self.status {
            write!(f, " (status {status})")?;
        }
        if let Some(detail) = &self.detail {
            write!(f, ": {detail}")?;
        }
        Ok(())
    }
}

impl std::error::Error for BankFailure {}

impl From<BankFailure> for MemoryBankError {
    fn from(failure: BankFailure) -> Self {
        match failure.cause {
            Cause::NotConnected
            | Cause::TimedOut
            | Cause::ConnectionLost
            | Cause::InvalidBody
            | Cause::Throttled
            | Cause::ServerError
            | Cause::Declined
            | Cause::BreakerOpen
            | Cause::BulkheadFull
            | Cause::DeadlineExceeded => Self::Unavailable {
                retry_after: failure.retry_after,
                reached: failure.reached(),
                source: Box::new(failure),
            },
            Cause::Rejected => {
                let said = failure.detail.unwrap_or_else(|| "no reason was given".to_owned());
                Self::Rejected(match failure.status {
                    Some(status) => format!("{said} (status {status})"),
                    None => said,
                })
            }
            Cause::Misconfigured => Self::Misconfigured(Box::new(failure)),
            Cause::TooLarge | Cause::Inconsistent => Self::Inconsistent(Box::new(failure)),
        }
    }
}
