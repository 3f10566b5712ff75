//! The Model Context Protocol: the same memories, for clients that speak MCP over Streamable HTTP, or over standard input and
//! output ([`stdio`]).
//!
//! One stateless endpoint serves every protocol version, with and without `initialize`. rmcp implements the protocol; the
//! checks before a message is processed are in [`Endpoint::call`], in this order: method, `Host` and `Origin`, body, message,
//! access token, permission, rate limit.

mod answer;
mod arguments;
mod call;
mod client;
mod message;
mod origin;
mod server;
mod stdio;
mod tools;

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use poem::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use poem::{Body, Endpoint, EndpointExt as _, Request, Response, Result, Route};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::Value;

use super::server::error::{self, ApiError, Refused};
use super::server::exchange::Exchange;
use super::server::{bearer, payload};
use crate::adapters::http::server::json::json_response;
use crate::adapters::http::server::limits::MAX_BODY_BYTES;
use crate::adapters::http::server::public_url::base_url;
use crate::adapters::http::server::services::Services;
use crate::domain::applications::{Permission, Resource};
use crate::domain::ids::RequestId;
use crate::domain::oauth::{Caller, MissingPermission};
use call::McpCall;
use message::{InvalidMessage, Message};
use origin::AllowedOrigins;
use server::McpServer;
use tools::Tool;

pub use server::LocalServices;
pub use stdio::{StdioError, serve_stdio};

/// The path of the endpoint. Some clients fail with any other path.
pub(super) const PATH: &str = "/mcp";
const JSON: &str = "application/json";
const EVENT_STREAM: &str = "text/event-stream";

/// Whether this is a path of the endpoint.
pub(super) fn is_endpoint(path: &str) -> bool {
    path.strip_suffix('/').unwrap_or(path) == PATH
}

/// Adds the endpoint.
pub(super) fn add_to(route: Route, services: &Arc<Services>) -> Route {
    let endpoint = Arc::new(McpEndpoint::new(services));
    route.at(PATH, Arc::clone(&endpoint).boxed()).at("/mcp/", endpoint.boxed())
}

struct McpEndpoint {
    json: StreamableHttpService<McpServer, NeverSessionManager>,
    event_stream: StreamableHttpService<McpServer, NeverSessionManager>,
    origins: AllowedOrigins,
    base: String,
}

impl McpEndpoint {
    fn new(services: &Arc<Services>) -> Self {
        let server = McpServer::new(services);
        let base = base_url(&services.policy.resources.issuer).to_owned();
        let service = |json_response| {
            let server = server.clone();
            // `Host` and `Origin` are validated before.
            let config = StreamableHttpServerConfig::default()
                .with_legacy_session_mode(false)
                .with_json_response(json_response)
                .with_max_request_body_bytes(MAX_BODY_BYTES)
                .with_sse_retry(None)
                .disable_allowed_hosts()
                .disable_allowed_origins();
            StreamableHttpService::new(move || Ok(server.clone()), Arc::new(NeverSessionManager::default()), config)
        };
        Self {
            json: service(true),
            event_stream: service(false),
            origins: AllowedOrigins::new(&services.policy.resources.issuer, services.cors_origins.clone()),
            base,
        }
    }

    /// The rejection of a call for which the token lacks the permission although the application has it, so that asking the
    /// person again can help.
    fn missing_scope(&self, caller: &Caller, needed: Option<Permission>, request_id: RequestId) -> Option<Response> {
        let held = caller.application().permissions;
        let needed = needed?;
        if caller.permissions().contains(needed) || !held.contains(needed) {
            return None;
        }
        let refused = Refused {
            under_auth: false,
            authorization_sent: true,
            resource: Resource::Mcp,
            scope: Some(held),
            base: &self.base,
            request_id,
        };
        Some(error::render_api(&MissingPermission(needed).into(), refused))
    }

    async fn answer(&self, request: Request) -> Result<Response> {
        let exchange = Exchange::of(&request)?.clone();
        let (services, request_id) = (&exchange.services, exchange.request_id);
        let (request, mut body) = request.split();
        let bytes = payload::read(&request, &mut body).await?;
        let message = match Message::parse(&bytes) {
            Ok(message) => message,
            Err(invalid) => return Ok(json_rpc(InvalidMessage::status(), &invalid.to_json())),
        };
        let caller = bearer::authenticate(&request, &services.guard, Resource::Mcp).await?;
        let needed = needed_permission(&message);
        if let Some(response) = self.missing_scope(&caller, needed, request_id) {
            return Ok(response);
        }
        let caller = services.guard.authorize(caller).map_err(ApiError::from)?;
        if needed.is_some() {
            exchange.answer.reserve(&caller, server::MAX_MEMORIES).await?;
        }
        let wants_stream = only_event_streams(request.headers());
        let service = if wants_stream { &self.event_stream } else { &self.json };
        let response = service.handle(to_http(&request, bytes, McpCall { caller, request_id })).await;
        let (parts, body) = response.into_parts();
        let mut response = Response::default();
        response.set_status(parts.status);
        *response.headers_mut() = parts.headers;
        response.set_body(Body::from(body.map_err(|never| match never {}).boxed()));
        Ok(response)
    }
}

impl Endpoint for McpEndpoint {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        // Before the access token is checked: 401 to a GET makes some clients loop.
        if request.method() != Method::POST {
            return Err(ApiError::MethodNotAllowed { allow: HeaderValue::from_static("POST") }.into());
        }
        if !self.origins.allow(&request) {
            return Ok(json_rpc(
                StatusCode::FORBIDDEN,
                &message::error(None, -32600, "this host or origin is not allowed here"),
            ));
        }
        self.answer(request).await
    }
}

/// The permission that a call of a tool or a prompt needs. Other messages read and write no memories.
fn needed_permission(message: &Message) -> Option<Permission> {
    let name = message.name.as_deref()?;
    match message.method.as_deref()? {
        "tools/call" => Tool::find(name).map(Tool::permission),
        "prompts/get" => (name == server::PROMPT).then_some(server::PROMPT_PERMISSION),
        _ => None,
    }
}

/// A JSON-RPC error as an HTTP response.
fn json_rpc(status: StatusCode, body: &Value) -> Response {
    json_response(status, JSON, body)
}

/// Whether a client accepts only event streams.
fn only_event_streams(headers: &HeaderMap) -> bool {
    let accept: Vec<&str> = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let mut types =
        accept.iter().flat_map(|value| value.split(',')).map(|entry| entry.split(';').next().unwrap_or("").trim());
    !accept.is_empty() && types.all(|media_type| media_type.eq_ignore_ascii_case(EVENT_STREAM))
}

/// The request for rmcp. It requires both media types, while real clients name one, any or none; which of them is sent was
/// decided before.
fn to_http(request: &Request, body: Bytes, call: McpCall) -> poem::http::Request<Full<Bytes>> {
    let (mut parts, ()) = poem::http::Request::new(()).into_parts();
    parts.method = request.method().clone();
    parts.uri = request.uri().clone();
    parts.headers = request.headers().clone();
    parts.headers.insert(header::ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    // The token is not passed further than necessary.
    parts.headers.remove(header::AUTHORIZATION);
    parts.extensions.insert(call);
    poem::http::Request::from_parts(parts, Full::new(body))
}
