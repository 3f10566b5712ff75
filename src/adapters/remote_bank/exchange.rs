//! What goes to the bank and what comes back.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;

/// What a request to the bank is for; a label of metrics and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// To create a memory.
    Create,
    /// To look whether a write is there already.
    FindWrite,
    /// To ask what has become of a write.
    Event,
    /// To search.
    Search,
    /// To list.
    List,
    /// To get one memory.
    Get,
    /// To change one.
    Update,
    /// To delete one.
    Delete,
    /// To see whether the bank answers.
    Health,
}

impl Operation {
    /// Every operation there is.
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

/// The two kinds of operation. Each has a breaker and a bulkhead of its own, so that a bank that can no longer write still
/// answers searches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// It changes nothing.
    Read,
    /// It changes something.
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

/// The HTTP methods that banks are asked with.
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
    /// What it is for.
    pub operation: Operation,
    /// Its method.
    pub method: Method,
    /// The segments of its path, unescaped; an empty last one is a trailing slash.
    pub path: Vec<String>,
    /// Its query, unescaped.
    pub query: Vec<(&'static str, String)>,
    /// Its JSON body.
    pub body: Option<Bytes>,
    /// What must be looked up before it is sent again; `None` if sending it twice does no harm.
    pub precondition: Option<Precondition>,
    /// Whether a 404 is an answer, and not a sign that the service is not what it was taken for.
    pub may_be_missing: bool,
    /// Whether callers who ask the very same at the same time may share one answer.
    pub shareable: bool,
    /// Whether an answer of status 200 says that the bank could not do what it was asked, and may be able to later.
    pub is_failure: fn(&Value) -> bool,
}

impl Request {
    /// A request without query and body, that may be sent any number of times.
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

    /// The same with a query.
    #[must_use]
    pub fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    /// The same with a body.
    #[must_use]
    pub fn json(mut self, body: &Value) -> Self {
        self.body = Some(Bytes::from(body.to_string()));
        self
    }

    /// The same, of which a 404 is an answer.
    #[must_use]
    pub fn or_missing(mut self) -> Self {
        self.may_be_missing = true;
        self
    }
}

impl fmt::Debug for Request {
    /// Without path, query and body: they hold people's memories.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("operation", &self.operation)
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// What must not be there when a request is sent again.
#[derive(Clone)]
pub struct Precondition {
    /// The request that looks for it.
    pub request: Arc<Request>,
    /// Whether its answer shows it.
    pub is_there: Arc<dyn Fn(&BankResponse) -> bool + Send + Sync>,
    /// Whether to look before the first time too, because an earlier call may have sent it.
    pub look_first: bool,
}

/// An answer of the bank that is not a failure: a status of 2xx, or 404 where that is an answer.
#[derive(Clone, Debug)]
pub struct BankResponse {
    /// The status.
    pub status: u16,
    /// The body; null if it was empty.
    pub body: Value,
    /// What it takes of the room for all answers.
    pub room: ResponseRoom,
}

/// A share of the bytes that the bank's answers may take, given back when the last copy is dropped.
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
    /// Whether it says that there is no such thing.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.status == 404
    }
}

/// What a server sent, before anybody has made sense of it.
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
    /// The whole body.
    pub body: Bytes,
    /// What it takes of the room for all answers.
    pub room: ResponseRoom,
}
