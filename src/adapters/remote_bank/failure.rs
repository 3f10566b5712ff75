//! Why a request to the bank came to nothing.

use std::fmt;
use std::time::Duration;

use crate::domain::memories::MemoryBankError;

/// The kinds of failure; a label of metrics and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// No connection came about: the bank did not see the request.
    NotConnected,
    /// The answer was not there in time.
    TimedOut,
    /// The connection broke, before or in the middle of the answer.
    ConnectionLost,
    /// The answer is not JSON: a proxy's error page, or nothing at all.
    InvalidBody,
    /// 429: too many requests.
    Throttled,
    /// 408, 425, or any 5xx but 501 and 505 that says nothing more precise.
    ServerError,
    /// 200, with a body that says that it could not be done.
    Declined,
    /// Another 4xx, or a 5xx that says so: the request itself was refused.
    Rejected,
    /// 401, 403, a redirect, or a route that does not exist: this is not the bank that the configuration speaks of.
    Misconfigured,
    /// The answer has more bytes than are allowed.
    TooLarge,
    /// The answer is JSON, but not what the bank's contract says.
    Inconsistent,
    /// The breaker let nothing through.
    BreakerOpen,
    /// Too many requests are under way or waiting already.
    BulkheadFull,
    /// The time for the call is over.
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

    /// Whether the bank is not well: such an attempt counts for the breaker, and can be made again.
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

/// A failure. Its text holds nothing that the caller or the bank sent, but for [`Cause::Rejected`], where `detail` is what
/// the bank says to whoever sent the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BankFailure {
    /// Its kind.
    pub cause: Cause,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// How long to wait, as the bank or the breaker says.
    pub retry_after: Option<Duration>,
    /// The bank's own name for the request.
    pub request_id: Option<String>,
    /// What else is known.
    pub detail: Option<String>,
    /// Whether the bank itself says that it cannot do anything at the moment, whatever is asked.
    pub is_outage: bool,
}

impl BankFailure {
    /// A failure of which no more is known than its kind.
    #[must_use]
    pub fn new(cause: Cause) -> Self {
        Self { cause, status: None, retry_after: None, request_id: None, detail: None, is_outage: false }
    }

    /// An answer that the bank's contract does not know.
    #[must_use]
    pub fn inconsistent(detail: &str) -> Self {
        Self::new(Cause::Inconsistent).detail(detail)
    }

    /// The same with what else is known.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The same with how long to wait.
    #[must_use]
    pub fn retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// The same with whether the bank says that it cannot do anything at the moment.
    #[must_use]
    pub fn outage(mut self, is_outage: bool) -> Self {
        self.is_outage = is_outage;
        self
    }

    /// Whether the bank failed at this very request, so that the reason may be the request itself.
    #[must_use]
    pub fn reached(&self) -> bool {
        let of_the_bank = matches!(
            self.cause,
            Cause::NotConnected | Cause::Throttled | Cause::BreakerOpen | Cause::BulkheadFull | Cause::DeadlineExceeded
        );
        !self.is_outage && !of_the_bank
    }

    /// Whether the bank may have done what it was asked.
    #[must_use]
    pub fn may_have_arrived(&self) -> bool {
        self.cause != Cause::NotConnected
    }
}

impl fmt::Display for BankFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.cause {
            Cause::NotConnected => "no connection could be made",
            Cause::TimedOut => "it did not answer in time",
            Cause::ConnectionLost => "the connection broke before the answer was complete",
            Cause::InvalidBody => "it answered with something that is not JSON",
            Cause::Throttled => "it asks for fewer requests",
            Cause::ServerError => "it failed",
            Cause::Declined => "it says that it could not do it",
            Cause::Rejected => "it refused the request",
            Cause::Misconfigured => "it is not what the configuration says, or refuses the key",
            Cause::TooLarge => "its answer is larger than allowed",
            Cause::Inconsistent => "its answer is not what its contract says",
            Cause::BreakerOpen => "it failed too often of late, so it was not asked",
            Cause::BulkheadFull => "too many requests to it are under way",
            Cause::DeadlineExceeded => "the time for the call was over",
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
                let said = failure.detail.unwrap_or_else(|| "it did not say why".to_owned());
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
