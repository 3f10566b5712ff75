//! `/auth/register`: a client registers itself (RFC 7591). The route exists only where the setting says so.

use poem::error::NotFoundError;
use poem::http::{Method, StatusCode};
use poem::{Body, EndpointExt as _, Request, Response, Result, Route, handler};
use serde::Serialize;

use crate::adapters::http::server::error::RefusedGrant;
use crate::adapters::http::server::exchange::Exchange;
use crate::adapters::http::server::json::json_response;
use crate::adapters::http::server::payload;
use crate::adapters::http::server::services::Services;
use crate::adapters::http::server::table::Methods;
use crate::domain::applications::{Application, GrantType, RedirectUri};
use crate::domain::oauth::OAuthError;

pub(super) const PATH: &str = "/auth/register";
const JSON: &str = "application/json";

/// Adds the endpoint, if clients may register themselves.
pub(crate) fn add_to(route: Route, services: &Services) -> Route {
    if services.registration.is_none() {
        return route;
    }
    route.at(PATH, Methods::new([(Method::POST, register.boxed())]))
}

/// A registered client (RFC 7591 §3.2.1).
#[derive(Serialize)]
struct RegisteredClient<'a> {
    client_id: &'a str,
    client_id_issued_at: i64,
    client_name: &'a str,
    redirect_uris: Vec<&'a str>,
    grant_types: Vec<&'a str>,
    response_types: [&'a str; 1],
    token_endpoint_auth_method: &'a str,
    scope: String,
}

impl<'a> From<&'a Application> for RegisteredClient<'a> {
    fn from(application: &'a Application) -> Self {
        Self {
            client_id: application.client_id.as_str(),
            client_id_issued_at: application.created_at.unix_seconds(),
            client_name: application.name.as_str(),
            redirect_uris: application.redirect_uris.iter().map(RedirectUri::as_str).collect(),
            grant_types: application.grants.iter().copied().map(GrantType::as_str).collect(),
            response_types: ["code"],
            // Whatever the client prefers.
            token_endpoint_auth_method: "none",
            scope: application.permissions.to_string(),
        }
    }
}

#[handler]
async fn register(request: &Request, body: Body) -> Result<Response> {
    let services = &Exchange::of(request)?.services;
    let registration = services.registration.as_ref().ok_or(NotFoundError)?;
    if payload::essence(request).as_deref() != Some(JSON) {
        let problem = format!("the body must be {JSON}, and the header Content-Type must say so");
        return Err(RefusedGrant(OAuthError::InvalidClientMetadata(problem)).into());
    }
    let bytes = payload::read(request, &mut poem::RequestBody::new(body)).await?;
    let address = services.trusted_proxies.address_of(request);
    let application = registration.register(&bytes, address).await.map_err(RefusedGrant)?;
    Ok(json_response(StatusCode::CREATED, JSON, &RegisteredClient::from(&application)))
}
