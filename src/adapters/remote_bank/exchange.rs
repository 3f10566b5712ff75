//! Requests to the bank and its responses.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;

/// The purpose of a request; a label of metrics and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Create a memory.
    Create,
    /// Look up whether a write was stored already.
    FindWrite,
    /// Poll the status of an asynchronous write.
    Event,
    /// Search.
    Search,
    /// List.
    List,
    /// Get one memory.
    Get,
    /// Update one.
    Update,
    /// Delete one.
    Delete,
    /// Check the bank's health.
    Health,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 9] = [
        Self::Create,
        Self::FindWrite,
        Self::Event,
        Self::Search,
        Self::List,
        Self::Get,
        Self::Update,
        Self::Delete,
        Self::Health,
    ];

    /// The name in metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::FindWrite => "find_write",
            Self::Event => "event",
            Self::Search => "search",
            Self::List => "list",
            Self::Get => "get",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Health => "health",
        }
    }

    /// Whether it reads or writes.
    #[must_use]
    pub fn access(self) -> Access {
        match self {
            Self::Create | Self::Update | Self::Delete => Access::Write,
            Self::FindWrite | Self::Event | Self::Search | Self::List | Self::Get | Self::Health => Access::Read,
        }
    }
}

/// The two kinds of operation. Each has its own circuit breaker and bulkhead, so that a bank that cannot write any more
/// still serves searches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Changes nothing.
    Read,
    /// Changes something.
    Write,
}

impl Access {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Read, Self::Write];

    /// The name in metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// The HTTP methods that are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// GET.
    Get,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// DELETE.
    Delete,
}

/// One request to the bank.
#[derive(Clone)]
pub struct Request {
    /// Its purpose.
    pub operation: Operation,
    /// Its method.
    pub method: Method,
    /// The segments of its path, unescaped; an empty last one is a trailing slash.
    pub path: Vec<String>,
    /// Its query, unescaped.
    pub query: Vec<(&'static str, String)>,
    /// Its JSON body.
    pub body: Option<Bytes>,
    /// What must be checked before it is sent again; `None` if it is idempotent.
    pub precondition: Option<Precondition>,
    /// Whether 404 is a valid response rather than a sign of a wrong URL or kind.
    pub may_be_missing: bool,
    /// Whether concurrent identical requests may share one response.
    pub shareable: bool,
    /// Whether a response with status 200 may report a temporary failure in its body.
    pub is_failure: fn(&Value) -> bool,
}

impl Request {
    /// A request without query and body, safe to repeat.
    pub fn new<'a>(operation: Operation, method: Method, path: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            operation,
            method,
            path: path.into_iter().map(str::to_owned).collect(),
            query: Vec::new(),
            body: None,
            precondition: None,
            may_be_missing: false,
            shareable: operation == Operation::Search,
            is_failure: |_| false,
        }
    }

    /// Adds a query parameter.
    #[must_use]
    pub fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    /// Sets the JSON body.
    #[must_use]
    pub fn json(mut self, body: &Value) -> Self {
        self.body = Some(Bytes::from(body.to_string()));
        self
    }

    /// Accepts 404 as a valid response.
    #[must_use]
    pub fn or_missing(mut self) -> Self {
        self.may_be_missing = true;
        self
    }
}

impl fmt::Debug for Request {
    /// Omits path, query and body: they contain people's memories.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("operation", &self.operation)
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// The condition under which a request may be sent again: what it creates must not exist yet.
#[derive(Clone)]
pub struct Precondition {
    /// The request that looks for it.
    pub request: Arc<Request>,
    /// Whether a response to that request contains it.
    pub is_there: Arc<dyn Fn(&BankResponse) -> bool + Send + Sync>,
    /// Whether to check before the first attempt too, because an earlier call may have sent it.
    pub look_first: bool,
}

/// A successful response: status 2xx, or 404 where that is valid.
#[derive(Clone, Debug)]
pub struct BankResponse {
    /// The status.
    pub status: u16,
    /// The body; null if it was empty.
    pub body: Value,
    /// Its share of the memory reserved for responses.
    pub room: ResponseRoom,
}

/// A share of the bytes reserved for the bank's responses, released when the last clone is dropped.
#[derive(Clone, Debug, Default)]
pub struct ResponseRoom {
    _permit: Option<Arc<OwnedSemaphorePermit>>,
}

impl From<OwnedSemaphorePermit> for ResponseRoom {
    fn from(permit: OwnedSemaphorePermit) -> Self {
        Self { _permit: Some(Arc::new(permit)) }
    }
}

impl BankResponse {
    /// Whether the status is 404.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.status == 404
    }
}

/// The result of an exchange, however often its request was sent.
#[derive(Clone, Debug)]
pub struct Exchanged {
    /// The response.
    pub response: Arc<BankResponse>,
    /// How often the request was sent.
    pub attempts: u32,
    /// Whether the response is that of the look-up: what was to be created exists already.
    pub was_there: bool,
}

/// A response as received, not yet interpreted.
#[derive(Clone, Debug, Default)]
pub struct RawResponse {
    /// The status.
    pub status: u16,
    /// The header `Retry-After`.
    pub retry_after: Option<String>,
    /// The header `X-RateLimit-Reset`.
    pub rate_limit_reset: Option<String>,
    /// The header `X-Request-ID`.
    pub request_id: Option<String>,
    /// The complete body.
    pub body: Bytes,
    /// Its share of the memory reserved for responses.
    pub room: ResponseRoom,
}
