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
use crate::domain::oauth::{OAuthError, RegisteredClient};

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
struct RegistrationAnswer<'a> {
    client_id: &'a str,
    client_id_issued_at: i64,
    client_name: &'a str,
    redirect_uris: Vec<&'a str>,
    grant_types: Vec<&'a str>,
    response_types: [&'a str; 1],
    token_endpoint_auth_method: &'a str,
    scope: String,
}

impl<'a> From<&'a Application> for RegistrationAnswer<'a> {
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
    let registered = registration.register(&bytes, address).await.map_err(RefusedGrant)?;
    log_dropped(&registered);
    Ok(json_response(StatusCode::CREATED, JSON, &RegistrationAnswer::from(&registered.application)))
}

/// The answer names those that are left, and few clients compare. One line, whatever a client sends.
fn log_dropped(registered: &RegisteredClient) {
    let Some(first) = registered.dropped.first() else { return };
    tracing::info!(
        client.id = registered.application.client_id.as_str(),
        dropped = registered.dropped.len(),
        first.index = first.index,
        first.problem = first.problem.as_str(),
        "a client registered with redirect URIs that cannot be used; they were dropped"
    );
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing::subscriber::with_default;

    use super::*;
    use crate::domain::oauth::DroppedRedirectUri;
    use crate::domain::testing::application;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(dropped: usize) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_max_level(tracing::Level::INFO)
            .with_writer(move || writer.clone())
            .finish();
        let problem = "must use https; http is for loopback addresses only".to_owned();
        let dropped = (3..3 + dropped).map(|index| DroppedRedirectUri { index, problem: problem.clone() }).collect();
        let registered = RegisteredClient { application: application(), dropped };
        with_default(subscriber, || log_dropped(&registered));
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.contains(registered.application.client_id.as_str()), !text.is_empty());
        text
    }

    #[test]
    fn redirect_uris_that_are_dropped_are_one_line_and_none_is_not() {
        assert_eq!(logged(0), "");
        for dropped in [1, 19] {
            let text = logged(dropped);
            assert_eq!(text.lines().count(), 1, "{text}");
            assert!(text.len() < 1_000 && text.contains("loopback addresses only"), "{text}");
            let fields = serde_json::from_str::<serde_json::Value>(&text).unwrap()["fields"].clone();
            assert_eq!((&fields["dropped"], &fields["first.index"]), (&dropped.into(), &3.into()));
        }
    }
}
