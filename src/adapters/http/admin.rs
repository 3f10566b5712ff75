//! The operator's listener: metrics, and the switch of the circuit breaker. It has no authentication, so it listens on
//! the machine itself unless it is told otherwise.

use std::sync::Arc;

use super::dto::object::read_from_objects;
use poem::endpoint::BoxEndpoint;
use poem::http::{StatusCode, header};
use poem::web::{Data, Json};
use poem::{EndpointExt as _, IntoResponse as _, Response, Route, get, handler};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::queue_metrics;
use crate::domain::memories::WriteQueue;
use crate::domain::system::Clock;

/// The content type of the text format of Prometheus.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the operator's listener shows.
pub struct AdminServices {
    /// Each renders a part of the metrics.
    pub metrics: Vec<Box<dyn Fn() -> String + Send + Sync>>,
    /// The writes that wait for the memory bank.
    pub queue: Arc<dyn WriteQueue>,
    /// Tells how long they have waited.
    pub clock: Arc<dyn Clock>,
    /// The breaker of the memory bank, if the bank has one.
    pub breaker: Option<Arc<dyn BreakerSwitch>>,
}

/// A circuit breaker that an operator can look at and switch.
pub trait BreakerSwitch: Send + Sync {
    /// Every breaker there is: one for each kind of operation.
    fn breakers(&self) -> Vec<BreakerView>;

    /// Switches the breaker of `operation`, or all of them.
    fn switch(&self, operation: Option<BreakerOperation>, mode: BreakerMode);
}

/// The kinds of operation that have a breaker of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerOperation {
    /// Searches, lists and reads.
    Read,
    /// Creates, updates and deletes.
    Write,
}

/// Who decides about a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerMode {
    /// It decides by itself.
    Automatic,
    /// An operator keeps it open: nothing reaches the bank.
    ForcedOpen,
    /// An operator keeps it closed: everything reaches the bank, whatever becomes of it.
    ForcedClosed,
}

/// A breaker as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BreakerView {
    /// For which operations.
    pub operation: BreakerOperation,
    /// `closed`, `half_open` or `open`.
    pub state: &'static str,
    /// Who decides.
    pub mode: BreakerMode,
}

read_from_objects!(Switch);

#[derive(Deserialize)]
#[serde(deny_unknown_fields, remote = "Self")]
struct Switch {
    operation: Option<BreakerOperation>,
    mode: BreakerMode,
}

/// `/metrics` and `/admin/breaker`.
#[must_use]
pub fn admin_routes(services: AdminServices) -> BoxEndpoint<'static> {
    let services = Arc::new(services);
    Route::new()
        .at("/metrics", get(metrics))
        .at("/admin/breaker", get(show_breaker).post(switch_breaker))
        .data(services)
        .map_to_response()
        .boxed()
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
