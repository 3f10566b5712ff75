//! Configuration of a remote memory bank, with its defaults.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use crate::domain::validation::InvalidValue;

/// The kinds of memory bank that memgate supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BankKind {
    /// The self-hosted mem0 server.
    Mem0Oss,
    /// The hosted mem0, version 3 of its API.
    Mem0Platform,
    /// A service with `POST /v1/memories/` and `POST /v1/memories/search/`.
    Mem0V1,
    /// mcp-memory-service.
    McpMemoryService,
}

impl BankKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Mem0Oss, Self::Mem0Platform, Self::Mem0V1, Self::McpMemoryService];

    /// The name in the configuration, in metrics and in the API's capabilities.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mem0Oss => "mem0-oss",
            Self::Mem0Platform => "mem0-platform",
            Self::Mem0V1 => "mem0-v1",
            Self::McpMemoryService => "mcp-memory-service",
        }
    }

    /// The default authentication scheme of this kind of service.
    #[must_use]
    pub fn usual_auth_scheme(self) -> AuthScheme {
        match self {
            Self::Mem0Oss => AuthScheme::XApiKey,
            Self::Mem0Platform | Self::Mem0V1 => AuthScheme::Token,
            Self::McpMemoryService => AuthScheme::Bearer,
        }
    }
}

impl fmt::Display for BankKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for BankKind {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| {
            InvalidValue::new(
                "memory_bank_kind",
                "must be embedded, mem0-oss, mem0-platform, mem0-v1 or mcp-memory-service",
            )
        })
    }
}

/// How a request carries the API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthScheme {
    /// `Authorization: Token KEY`.
    Token,
    /// `Authorization: Bearer KEY`.
    Bearer,
    /// `X-API-Key: KEY`.
    XApiKey,
}

impl FromStr for AuthScheme {
    type Err = InvalidValue;

    /// Parses `Token`, `Bearer` or `X-API-Key`, case-insensitively.
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match text.to_ascii_lowercase().as_str() {
            "token" => Ok(Self::Token),
            "bearer" => Ok(Self::Bearer),
            "x-api-key" => Ok(Self::XApiKey),
            _ => Err(InvalidValue::new("memory_bank_auth_scheme", "must be Token, Bearer or X-API-Key")),
        }
    }
}

/// Delay after which a read is hedged: sent a second time while the first attempt is still running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HedgeAfter {
    /// Never.
    Never,
    /// After a fixed delay.
    Fixed(Duration),
    /// After the 95th percentile of the bank's response times, at least 10 ms.
    Learned,
}

impl FromStr for HedgeAfter {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match text {
            "off" => Ok(Self::Never),
            "auto" => Ok(Self::Learned),
            _ => humantime::parse_duration(text).ok().filter(|delay| !delay.is_zero()).map(Self::Fixed).ok_or_else(
                || InvalidValue::new("memory_bank_hedge_after", "must be auto, off, or a duration such as 200ms"),
            ),
        }
    }
}

/// The URL of a proxy. It may contain a password, so user and password are not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUrl(Url);

impl ProxyUrl {
    /// The URL, including credentials.
    #[must_use]
    pub fn expose(&self) -> &Url {
        &self.0
    }
}

impl From<Url> for ProxyUrl {
    fn from(url: Url) -> Self {
        Self(url)
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host) = (self.0.scheme(), self.0.host_str().unwrap_or_default());
        write!(f, "ProxyUrl({scheme}://{host})")
    }
}

/// Address, authentication and resilience settings of a remote bank.
#[derive(Clone, Debug)]
pub struct RemoteBankConfig {
    /// The kind of bank.
    pub kind: BankKind,
    /// Its base URL; a path is preserved. No credentials, query or fragment.
    pub url: Url,
    /// The API key; `None` for a bank that needs none.
    pub api_key: Option<SecretString>,
    /// How a request carries the key; `None` for the default of this kind.
    pub auth_scheme: Option<AuthScheme>,
    /// A proxy for all requests. `HTTP_PROXY` and similar variables are ignored: a server's environment must not silently
    /// redirect people's memories.
    pub proxy: Option<ProxyUrl>,
    /// Connect timeout. 2 s.
    pub connect_timeout: Duration,
    /// Maximum size of a response in bytes. 8 MiB: enough for a search result of 50 memories of the largest size.
    pub answer_limit: usize,
    /// Maximum total size in bytes of the responses being read and parsed at the same time. 64 MiB. A parsed response
    /// takes several times that much memory.
    pub answers_limit: usize,
    /// Maximum number of memories of one scope that a list goes through. 10,000; a larger scope is not listed, since the
    /// list would have gaps.
    pub list_limit: u32,
    /// Delay before the status of a write that the bank processes asynchronously is polled for the first time; each
    /// further delay is half as long again. 250 ms.
    pub event_interval: Duration,
    /// How failures are handled.
    pub resilience: ResilienceConfig,
}

impl RemoteBankConfig {
    /// The defaults for the bank at `url`.
    #[must_use]
    pub fn new(kind: BankKind, url: Url) -> Self {
        Self {
            kind,
            url,
            api_key: None,
            auth_scheme: None,
            proxy: None,
            connect_timeout: Duration::from_secs(2),
            answer_limit: 8 * 1024 * 1024,
            answers_limit: 64 * 1024 * 1024,
            list_limit: 10_000,
            event_interval: Duration::from_millis(250),
            resilience: ResilienceConfig::default(),
        }
    }

    /// Validates what the types do not guarantee.
    ///
    /// # Errors
    /// [`InvalidValue`] that names the setting.
    pub fn validate(&self) -> Result<(), InvalidValue> {
        let refuse = |field: &str, problem: &str| Err(InvalidValue::new(field, problem));
        if !matches!(self.url.scheme(), "http" | "https") || self.url.host().is_none() {
            return refuse("memory_bank_url", "must be an http or https URL such as http://127.0.0.1:8888");
        }
        if self.url.query().is_some() || self.url.fragment().is_some() {
            return refuse("memory_bank_url", "must not have a query (the part after ?) or a fragment (after #)");
        }
        if !self.url.username().is_empty() || self.url.password().is_some() {
            return refuse("memory_bank_url", "must not hold credentials; put the key into memory_bank_api_key");
        }
        if self.answer_limit == 0 {
            return refuse("memory_bank_answer_limit", "must be at least 1 byte");
        }
        if self.answers_limit < self.answer_limit {
            return refuse("memory_bank_answers_limit", "must be at least memory_bank_answer_limit");
        }
        if self.list_limit == 0 {
            return refuse("memory_bank_list_limit", "must be at least 1");
        }
        if self.event_interval.is_zero() {
            return refuse("memory_bank_event_interval", "must be longer than zero");
        }
        self.resilience.validate()
    }
}

/// How failures of the bank are handled. `docs/memory-banks.md` describes the effect of each setting on a request.
#[derive(Clone, Debug)]
pub struct ResilienceConfig {
    /// Total time allowed for a call, including retries. 20 s; at most 44 s, because GPT Actions give up after 45.
    pub deadline: Duration,
    /// Time allowed for one attempt, from connecting to the last byte of the response. 8 s.
    pub attempt_timeout: Duration,
    /// Maximum number of attempts per call. 3.
    pub max_attempts: u32,
    /// Base of the exponential backoff with full jitter; it doubles with each attempt. 100 ms.
    pub backoff_base: Duration,
    /// Upper bound of the backoff. 2 s.
    pub backoff_max: Duration,
    /// Retry budget: retries allowed per 100 calls, shared by all callers. 10.
    pub retry_percent: u32,
    /// Retries available before any call was made. 10.
    pub retry_floor: u32,
    /// Maximum number of retries that can accumulate. 100.
    pub retry_savings: u32,
    /// Delay after which a read without a response is hedged, as long as the retry budget is above its floor; the first
    /// response counts. Learned by default.
    pub hedge_after: HedgeAfter,
    /// When the circuit breaker opens and closes.
    pub breaker: BreakerConfig,
    /// Maximum number of concurrent reads, and of concurrent writes. 64.
    pub max_concurrent: u32,
    /// Maximum number of reads, and of writes, that wait for a slot. 256.
    pub max_waiting: u32,
    /// Maximum time a request waits for a slot. 1 s.
    pub max_wait: Duration,
}

impl Default for ResilienceConfig {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(20),
            attempt_timeout: Duration::from_secs(8),
            max_attempts: 3,
            backoff_base: Duration::from_millis(100),
            backoff_max: Duration::from_secs(2),
            retry_percent: 10,
            retry_floor: 10,
            retry_savings: 100,
            hedge_after: HedgeAfter::Learned,
            breaker: BreakerConfig::default(),
            max_concurrent: 64,
            max_waiting: 256,
            max_wait: Duration::from_secs(1),
        }
    }
}

impl ResilienceConfig {
    /// GPT Actions give up after 45 s.
    const LONGEST_DEADLINE: Duration = Duration::from_secs(44);

    fn validate(&self) -> Result<(), InvalidValue> {
        let refuse = |field: &str, problem: &str| Err(InvalidValue::new(field, problem));
        if self.deadline.is_zero() || self.deadline > Self::LONGEST_DEADLINE {
            return refuse("memory_bank_deadline", "must be longer than zero and at most 44s");
        }
        if self.attempt_timeout.is_zero() || self.attempt_timeout > self.deadline {
            return refuse("memory_bank_attempt_timeout", "must be longer than zero and at most memory_bank_deadline");
        }
        if !(1..=10).contains(&self.max_attempts) {
            return refuse("memory_bank_max_attempts", "must be 1 to 10");
        }
        if self.backoff_base.is_zero() || self.backoff_max < self.backoff_base {
            return refuse("memory_bank_backoff_base", "must be longer than zero and at most memory_bank_backoff_max");
        }
        if self.retry_percent > 100 {
            return refuse("memory_bank_retry_percent", "must be 0 to 100");
        }
        if self.retry_savings < self.retry_floor || self.retry_savings > 1_000_000 {
            return refuse("memory_bank_retry_savings", "must be at least memory_bank_retry_floor and at most 1000000");
        }
        if self.max_concurrent == 0 || self.max_concurrent > 100_000 {
            return refuse("memory_bank_max_concurrent", "must be 1 to 100000");
        }
        self.breaker.validate()
    }
}

/// When the circuit breaker opens and closes again. Reads and writes have one breaker each.
#[derive(Clone, Debug)]
pub struct BreakerConfig {
    /// Time window: older attempts do not count. 30 s.
    pub window: Duration,
    /// Number of attempts that the rates are computed over: the latest ones within the window. 20.
    pub calls: u32,
    /// Failure rate in percent that opens the breaker. 50.
    pub failure_percent: u32,
    /// Duration from which a successful attempt counts as slow. 5 s.
    pub slow_call: Duration,
    /// Rate in percent of failed or slow attempts that opens the breaker. 80.
    pub slow_percent: u32,
    /// How long the breaker stays open. 10 s.
    pub open_for: Duration,
    /// Maximum number of concurrent attempts while half-open. 3.
    pub probes: u32,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(30),
            calls: 20,
            failure_percent: 50,
            slow_call: Duration::from_secs(5),
            slow_percent: 80,
            open_for: Duration::from_secs(10),
            probes: 3,
        }
    }
}

impl BreakerConfig {
    fn validate(&self) -> Result<(), InvalidValue> {
        let refuse = |field: &str, problem: &str| Err(InvalidValue::new(field, problem));
        if !(2..=10_000).contains(&self.calls) {
            return refuse("memory_bank_breaker_calls", "must be 2 to 10000");
        }
        for (field, percent) in [
            ("memory_bank_breaker_failure_percent", self.failure_percent),
            ("memory_bank_breaker_slow_percent", self.slow_percent),
        ] {
            if !(1..=100).contains(&percent) {
                return refuse(field, "must be 1 to 100");
            }
        }
        if self.window.is_zero() || self.slow_call.is_zero() || self.open_for.is_zero() {
            return refuse("memory_bank_breaker_window", "and the breaker's other times must be longer than zero");
        }
        if self.probes == 0 {
            return refuse("memory_bank_breaker_probes", "must be at least 1");
        }
        Ok(())
    }
}
