//! The operator's listener: metrics, and the switch of the circuit breaker. It listens on loopback; on any other address it
//! requires a token.

pub(crate) mod attempt_metrics;
mod queue_metrics;

use std::net::IpAddr;
use std::sync::Arc;

use poem::endpoint::BoxEndpoint;
use poem::http::uri::Authority;
use poem::http::{StatusCode, header};
use poem::web::{Data, Json};
use poem::{Endpoint, EndpointExt as _, IntoResponse as _, Request, Response, Result, Route, get, handler};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

use super::openapi::object::read_from_objects;
use crate::domain::memories::WriteQueue;
use crate::domain::system::Clock;

/// The content type of the Prometheus text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the operator's listener serves.
pub struct AdminServices {
    /// Render parts of the metrics.
    pub metrics: Vec<Box<dyn Fn() -> String + Send + Sync>>,
    /// The write queue.
    pub queue: Arc<dyn WriteQueue>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The breakers of the memory bank, if it has any.
    pub breaker: Option<Arc<dyn BreakerSwitch>>,
    /// The required `Authorization: Bearer` token; `None` on a loopback address.
    pub token: Option<SecretString>,
}

/// A circuit breaker that an operator can inspect and switch.
pub trait BreakerSwitch: Send + Sync {
    /// Every breaker: one per kind of operation.
    fn breakers(&self) -> Vec<BreakerView>;

    /// Switches the breaker of `operation`, or all of them.
    fn switch(&self, operation: Option<BreakerOperation>, mode: BreakerSetting);
}

/// The kinds of operation that have their own breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerOperation {
    /// Searches, lists and reads.
    Read,
    /// Creates, updates and deletes.
    Write,
}

/// What determines the state of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerSetting {
    /// The outcomes of calls.
    Automatic,
    /// An operator keeps it open: no call reaches the bank.
    ForcedOpen,
    /// An operator keeps it closed: every call reaches the bank.
    ForcedClosed,
}

/// The state of a breaker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BreakerView {
    /// Its kind of operation.
    pub operation: BreakerOperation,
    /// `closed`, `half_open` or `open`.
    pub state: &'static str,
    /// What determines the state.
    pub mode: BreakerSetting,
}

read_from_objects!(Switch);

#[derive(Deserialize)]
#[serde(deny_unknown_fields, remote = "Self")]
struct Switch {
    operation: Option<BreakerOperation>,
    mode: BreakerSetting,
}

/// `/metrics` and `/admin/breaker`.
#[must_use]
pub fn admin_routes(services: AdminServices) -> BoxEndpoint<'static> {
    let token = services.token.as_ref().map(|token| digest(token.expose_secret()));
    let routes = Route::new()
        .at("/metrics", get(metrics))
        .at("/admin/breaker", get(show_breaker).post(switch_breaker))
        .data(Arc::new(services))
        .map_to_response();
    Guard { inner: routes, token }.boxed()
}

/// Rejects requests without the token, and web pages open in the operator's browser.
struct Guard<E> {
    inner: E,
    token: Option<[u8; 32]>,
}

impl<E: Endpoint<Output = Response>> Endpoint for Guard<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        if comes_from_a_page(&request) {
            return Ok(problem(StatusCode::FORBIDDEN, "web pages may not use the operator's listener"));
        }
        match &self.token {
            Some(token) if !sends(&request, token) => {
                let detail = "send the token of MEMGATE_ADMIN_TOKEN as `Authorization: Bearer <token>`";
                Ok(problem(StatusCode::UNAUTHORIZED, detail)
                    .with_header(header::WWW_AUTHENTICATE, "Bearer")
                    .into_response())
            }
            // A name controlled by somebody else can be made to resolve to this address (DNS rebinding).
            None if !names_this_machine(&request) => {
                let detail = "use an IP address or localhost as the host, or set MEMGATE_ADMIN_TOKEN and send it";
                Ok(problem(StatusCode::MISDIRECTED_REQUEST, detail))
            }
            _ => self.inner.call(request).await,
        }
    }
}

/// Browsers send these headers; nothing else does on its own.
fn comes_from_a_page(request: &Request) -> bool {
    let site = request.header("sec-fetch-site");
    request.headers().contains_key(header::ORIGIN) || matches!(site, Some("cross-site" | "same-site"))
}

fn sends(request: &Request, token: &[u8; 32]) -> bool {
    let sent = request.header(header::AUTHORIZATION).and_then(|value| value.split_once(' '));
    sent.is_some_and(|(scheme, sent)| {
        scheme.eq_ignore_ascii_case("bearer") && bool::from(digest(sent.trim()).ct_eq(token))
    })
}

fn names_this_machine(request: &Request) -> bool {
    let header = request.header(header::HOST).map(str::parse::<Authority>);
    let authority = match (request.uri().authority(), header) {
        (_, Some(Err(_))) => return false,
        (_, Some(Ok(authority))) => authority,
        (Some(authority), None) => authority.clone(),
        // HTTP/1.0, which no browser uses.
        (None, None) => return true,
    };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok()
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

#[handler]
async fn metrics(Data(services): Data<&Arc<AdminServices>>) -> Response {
    let mut text: String = services.metrics.iter().map(|render| render()).collect();
    text += &queue_metrics::render(&*services.queue, services.clock.now()).await;
    Response::builder().header(header::CONTENT_TYPE, METRICS_TYPE).body(text)
}

#[handler]
fn show_breaker(Data(services): Data<&Arc<AdminServices>>) -> Response {
    match &services.breaker {
        Some(breaker) => Json(json!({ "breakers": breaker.breakers() })).into_response(),
        None => no_breaker(),
    }
}

#[handler]
fn switch_breaker(Data(services): Data<&Arc<AdminServices>>, body: poem::Result<Json<Switch>>) -> Response {
    let Some(breaker) = &services.breaker else { return no_breaker() };
    let Ok(Json(switch)) = body else {
        return problem(
            StatusCode::BAD_REQUEST,
            r#"the body must be JSON such as {"mode": "forced_open"}, with mode automatic, forced_open or forced_closed, and optionally operation read or write"#,
        );
    };
    breaker.switch(switch.operation, switch.mode);
    tracing::warn!(operation = ?switch.operation, mode = ?switch.mode, "an operator switched the circuit breaker");
    Json(json!({ "breakers": breaker.breakers() })).into_response()
}

fn no_breaker() -> Response {
    problem(StatusCode::NOT_FOUND, "the embedded memory bank has no circuit breaker: it is in the database")
}

fn problem(status: StatusCode, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or_default();
    let body = json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail });
    let response = Response::builder().status(status).header(header::CONTENT_TYPE, "application/problem+json");
    response.body(body.to_string())
}
