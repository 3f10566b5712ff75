//! Cross-origin requests (the CORS protocol of the Fetch standard).
//!
//! Credentials are never allowed: these endpoints need an access token or client credentials, and a cookie must not
//! authenticate there. The pages, where cookies do count, allow no cross-origin requests.

use std::collections::BTreeSet;

use poem::http::{HeaderValue, Method, StatusCode, header};
use poem::{Request, Response};

/// The methods of all operations; one that a path does not support is rejected when it is used.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PATCH, DELETE");
/// The headers of the memory API and of MCP, whose clients send theirs when they fetch metadata too.
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, accept, idempotency-key, mcp-protocol-version, mcp-method, mcp-name, mcp-session-id, \
     last-event-id",
);
/// Response headers that a script may read in addition to the safelisted ones.
const EXPOSED: HeaderValue =
    HeaderValue::from_static("WWW-Authenticate, Retry-After, X-Request-Id, MCP-Protocol-Version");
/// How long a browser may cache a preflight, in seconds: the longest that a major browser accepts.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");
const ANY: HeaderValue = HeaderValue::from_static("*");

/// The origins whose scripts may call the memory API.
#[derive(Clone, Debug, Default)]
pub struct CorsOrigins {
    any: bool,
    origins: BTreeSet<String>,
}

impl CorsOrigins {
    /// Allows these, each as a browser writes it (`https://app.example.com`), or `*` for all.
    #[must_use]
    pub fn new(origins: impl IntoIterator<Item = String>) -> Self {
        let origins: BTreeSet<String> = origins.into_iter().collect();
        Self { any: origins.contains("*"), origins }
    }

    /// Whether this origin is allowed.
    pub(crate) fn contain(&self, origin: &HeaderValue) -> bool {
        self.allow(Some(origin)).is_some()
    }

    fn allow(&self, origin: Option<&HeaderValue>) -> Option<HeaderValue> {
        if self.any {
            return Some(ANY);
        }
        origin.filter(|origin| origin.to_str().is_ok_and(|origin| self.origins.contains(origin))).cloned()
    }
}

/// Which origins may use a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OpenTo {
    Everybody,
    Configured,
    Nobody,
}

impl OpenTo {
    fn of(path: &str) -> Self {
        match path {
            "/auth/token" | "/auth/revoke" | "/auth/register" | "/openapi.json" | "/openapi/gpt-actions.json" => {
                Self::Everybody
            }
            "/mcp" => Self::Configured,
            _ if path.starts_with("/.well-known/") => Self::Everybody,
            _ if path.starts_with("/api/") || path.starts_with("/mcp/") => Self::Configured,
            _ => Self::Nobody,
        }
    }
}

/// What a cross-origin request may do.
pub(crate) struct CrossOrigin {
    /// The value of `Access-Control-Allow-Origin`.
    allow: Option<HeaderValue>,
    /// Whether that depends on the origin of the request.
    varies: bool,
    /// Whether the browser sends a preflight.
    asks: bool,
}

impl CrossOrigin {
    pub(crate) fn of(request: &Request, configured: &CorsOrigins) -> Self {
        let headers = request.headers();
        let origin = headers.get(header::ORIGIN);
        let open_to = OpenTo::of(request.uri().path());
        Self {
            allow: match open_to {
                OpenTo::Everybody => Some(ANY),
                OpenTo::Configured => configured.allow(origin),
                OpenTo::Nobody => None,
            },
            varies: open_to == OpenTo::Configured && !configured.any,
            asks: request.method() == Method::OPTIONS
                && origin.is_some()
                && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD),
        }
    }

    /// The response, if the request is an allowed preflight.
    pub(crate) fn preflight(&self) -> Option<Response> {
        (self.asks && self.allow.is_some()).then(|| {
            Response::builder()
                .status(StatusCode::NO_CONTENT)
                .header(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS)
                .header(header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS)
                .header(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE)
                .finish()
        })
    }

    /// Adds the headers of every response, including errors: without them a script cannot read it.
    pub(crate) fn add_headers_to(self, response: &mut Response) {
        let headers = response.headers_mut();
        if self.varies {
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        if let Some(origin) = self.allow {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
    }
}
