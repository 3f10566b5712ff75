//! The envelope: what every request and response passes through.

use std::sync::Arc;

use poem::error::NotFoundError;
use poem::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use poem::middleware::{CatchPanic, CatchPanicEndpoint, PanicHandler};
use poem::{Endpoint, IntoResponse, Middleware, Request, Response, Result, Route};
use poem_openapi::OperationId;
use tokio::time::Instant;

use super::pages::cookies::Cookies;
use super::pages::frame::Frame;
use super::server::caching::{self, IfNoneMatch};
use super::server::cors::CorsOrigins;
use super::server::error::{self, ApiError, Refused};
use super::server::exchange::Exchange;
use super::server::listener::Compressible;
use super::server::public_url::base_url;
use super::server::query;
use super::server::services::Services;
use super::{mcp, pages};
use crate::domain::applications::{Permissions, Resource};
use crate::domain::ids::RequestId;
use crate::domain::validation::InvalidValue;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Parameters that must not appear in a URL, because URLs are logged and shared (RFC 6750 §2.3, RFC 6749 §2.3.1).
const SECRET_PARAMETERS: [&str; 4] = ["access_token", "refresh_token", "token", "client_secret"];
/// The same for pages: other parameters of an application are ignored (RFC 6749 §3.1).
const SECRET_PARAMETERS_OF_PAGES: [&str; 1] = ["client_secret"];
/// Maximum number of query parameters. No operation and no page has more than a dozen.
const MAX_PARAMETERS: usize = 64;
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
/// Every origin, in the answer to a request.
const ANY: HeaderValue = HeaderValue::from_static("*");

/// Assigns a request ID, catches panics, shapes errors, and adds the headers of all responses.
pub(super) struct Envelope {
    inner: CatchPanicEndpoint<Route, Panics>,
    services: Arc<Services>,
}

impl Envelope {
    pub(super) fn new(inner: Route, services: Arc<Services>) -> Self {
        Self { inner: CatchPanic::new().with_handler(Panics).transform(inner), services }
    }

    async fn answer(&self, mut request: Request, area: Area, request_id: RequestId) -> (Option<OperationId>, Response) {
        let is_mcp = mcp::is_endpoint(request.uri().path());
        let refused = Refused {
            under_auth: area == Area::Auth,
            authorization_sent: request.headers().contains_key(header::AUTHORIZATION),
            resource: if is_mcp { Resource::Mcp } else { Resource::Api },
            // Clients that mishandle a later step-up get all at once, and a person can untick what they do not want.
            scope: is_mcp.then(Permissions::all),
            base: base_url(&self.services.policy.resources.issuer),
            request_id,
        };
        let frame = || Frame::of(&request, Cookies::at(&self.services.policy.resources.issuer));
        let page = (area == Area::Page).then(frame);
        // Somebody mistyped an address, or followed an old link.
        let stray = (page.is_none() && area != Area::Api && wants_page(&request)).then(frame);
        // An authorization request with too many parameters is reported to the application's redirect URI.
        if request.uri().path() != "/auth/authorize"
            && let Err(error) = refuse_too_many(&request)
        {
            return (None, render_api(&error.into(), page.as_ref(), refused));
        }
        if holds_secret(&request, area) {
            let error = ApiError::BearerRequest(
                "tokens and secrets must not be sent in the URL; send a token in the Authorization header",
            );
            return (None, render_api(&error, page.as_ref(), refused));
        }
        let exchange = Exchange::new(Arc::clone(&self.services), request_id);
        request.set_data(exchange.clone());
        let (operation, mut response) = match self.inner.call(request).await {
            Ok(response) if response.data::<Panicked>().is_some() => {
                (None, render_api(&ApiError::Panicked, page.as_ref(), refused))
            }
            Ok(response) => (response.data().copied(), response),
            Err(error) => {
                let page = page.as_ref().or(stray.as_ref().filter(|_| error.is::<NotFoundError>()));
                (error.data().copied(), render(&error, page, refused))
            }
        };
        exchange.answer.hold(&mut response).await;
        (operation, response)
    }
}

impl Endpoint for Envelope {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let started = Instant::now();
        let services = &self.services;
        let request_id = RequestId::generate_at(&*services.entropy, services.clock.now());
        let area = Area::of(request.uri().path());
        let method = request.method().clone();
        let is_well_known = request.uri().path().starts_with("/.well-known/");
        let known = matches!(method, Method::GET | Method::HEAD).then(|| IfNoneMatch::of(request.headers()));
        let cross_origin = CrossOrigin::of(&request, &services.cors_origins);
        let (operation, mut response) = match cross_origin.preflight() {
            Some(answer) => (None, answer),
            None => self.answer(request, area, request_id).await,
        };
        if is_well_known && response.status() == StatusCode::OK {
            caching::add_tag(&mut response).await;
        }
        if let Some(known) = known {
            known.apply_to(&mut response);
        }
        if matches!(area, Area::Api | Area::Other) {
            response.set_data(Compressible);
        }
        add_headers(&mut response, area, request_id);
        cross_origin.add_headers_to(&mut response);
        services.metrics.observe(operation, response.status().as_u16(), started.elapsed());
        // The path is left out: a caller can choose it freely.
        tracing::debug!(
            request.id = %request_id,
            method = %method,
            operation = operation.map_or("none", |operation| operation.0),
            status = response.status().as_u16(),
            duration_ms = started.elapsed().as_secs_f64() * 1000.0,
            "request completed",
        );
        Ok(response)
    }
}

/// The areas of the path space, which differ in their headers and in the shape of their errors.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Area {
    /// The OAuth endpoints.
    Auth,
    /// The memory API.
    Api,
    /// The pages for people.
    Page,
    /// The public documents.
    Other,
}

impl Area {
    fn of(path: &str) -> Self {
        let first = path.trim_start_matches('/').split('/').next();
        match first {
            _ if pages::is_page(path) => Self::Page,
            Some("auth") => Self::Auth,
            Some("api" | "mcp") => Self::Api,
            _ => Self::Other,
        }
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

/// What a cross-origin request may do (the CORS protocol of the Fetch standard).
///
/// Credentials are never allowed: these endpoints need an access token or client credentials, and a cookie must not
/// authenticate there. The pages, where cookies do count, allow no cross-origin requests.
struct CrossOrigin {
    /// The value of `Access-Control-Allow-Origin`.
    allow: Option<HeaderValue>,
    /// Whether that depends on the origin of the request.
    varies: bool,
    /// Whether the browser sends a preflight.
    asks: bool,
}

impl CrossOrigin {
    fn of(request: &Request, configured: &CorsOrigins) -> Self {
        let headers = request.headers();
        let origin = headers.get(header::ORIGIN);
        let open_to = OpenTo::of(request.uri().path());
        Self {
            allow: match open_to {
                OpenTo::Everybody => Some(ANY),
                OpenTo::Configured if configured.are_all() => Some(ANY),
                OpenTo::Configured => origin.filter(|origin| configured.contain(origin)).cloned(),
                OpenTo::Nobody => None,
            },
            varies: open_to == OpenTo::Configured && !configured.are_all(),
            asks: request.method() == Method::OPTIONS
                && origin.is_some()
                && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD),
        }
    }

    /// The response, if the request is an allowed preflight.
    fn preflight(&self) -> Option<Response> {
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
    fn add_headers_to(self, response: &mut Response) {
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

fn render(error: &poem::Error, page: Option<&Frame>, refused: Refused<'_>) -> Response {
    match page {
        Some(frame) => pages::render(error, frame, refused.request_id),
        None => error::render(error, refused),
    }
}

fn render_api(error: &ApiError, page: Option<&Frame>, refused: Refused<'_>) -> Response {
    match page {
        Some(frame) => pages::render_api(error, frame, refused.request_id),
        None => error::render_api(error, refused),
    }
}

/// Whether a browser asks for something to show, rather than a program for data (RFC 9110 §12.5.1).
fn wants_page(request: &Request) -> bool {
    let accepted = request.headers().get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut ranges = accepted.flat_map(|value| value.split(',')).filter_map(|range| range.split(';').next());
    matches!(*request.method(), Method::GET | Method::HEAD)
        && ranges.any(|range| range.trim().eq_ignore_ascii_case("text/html"))
}

/// Rejects a query string with too many parameters, before anything is decoded or compared.
fn refuse_too_many(request: &Request) -> Result<(), InvalidValue> {
    let separators = request.uri().query().unwrap_or_default().bytes().filter(|b| *b == b'&').count();
    if separators < MAX_PARAMETERS {
        return Ok(());
    }
    Err(InvalidValue::new("query", format!("must have at most {MAX_PARAMETERS} parameters")))
}

fn holds_secret(request: &Request, area: Area) -> bool {
    let secret: &[&str] = match area {
        Area::Auth | Area::Api => &SECRET_PARAMETERS,
        Area::Page => &SECRET_PARAMETERS_OF_PAGES,
        Area::Other => return false,
    };
    request.uri().query().is_some() && query::pairs(request).any(|(name, _)| secret.contains(&name.as_ref()))
}

fn add_headers(response: &mut Response, area: Area, request_id: RequestId) {
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::try_from(request_id.to_string()) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if area != Area::Other || !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if area == Area::Auth {
        headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    }
}

/// The response for a panicked handler. The panic message is left to the panic hook: it may repeat a caller's text.
#[derive(Clone, Copy)]
struct Panics;

#[derive(Clone)]
struct Panicked;

impl PanicHandler for Panics {
    type Response = Response;

    fn get_response(&self, _panic: Box<dyn std::any::Any + Send>) -> Response {
        let mut response = ().into_response();
        response.set_data(Panicked);
        response
    }
}
