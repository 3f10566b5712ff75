//! `/api/v1/me`: the current caller.

#![expect(clippy::unused_async, reason = "poem-openapi wants every operation to be async")]

use poem_openapi::{Object, OpenApi};
use serde::Serialize;

use crate::adapters::http::openapi::scalar::DateTime;
use crate::adapters::http::openapi::tag::Tag;
use crate::adapters::http::server::bearer::Bearer;
use crate::adapters::http::server::error::AccountFailure;
use crate::adapters::http::server::exchange::Exchange;
use crate::adapters::http::server::payload::Json;
use crate::domain::applications::RequestsPerMinute;
use crate::domain::oauth::{AnyToken, Caller, Subject};

pub(crate) struct MeApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Account")]
impl MeApi {
    /// Get the current caller
    ///
    /// The application that the access token was issued to, its permissions and its limits.
    #[oai(path = "/me", method = "get", operation_id = "getMe")]
    async fn get(&self, exchange: &Exchange, caller: Bearer<AnyToken>) -> Result<Json<MeAnswer>, AccountFailure> {
        Ok(Json(MeAnswer::new(&caller, exchange.services.guard.rate_limit(&caller))))
    }
}

/// The caller that the access token identifies.
#[derive(Object, Serialize)]
struct MeAnswer {
    /// The ID of the application.
    application_id: String,
    /// Its OAuth client ID.
    client_id: String,
    /// Its name.
    name: String,
    /// The space that its memories live in.
    space: String,
    /// The subject of the token: a person's ID, or the `client_id` if the application acts for itself.
    subject: String,
    /// The permissions of the token.
    permissions: Vec<String>,
    /// When the token expires.
    token_expires_at: DateTime,
    /// Rate limit of the application, in requests per minute.
    rate_limit_per_minute: u32,
}

impl MeAnswer {
    fn new(caller: &Caller, limit: RequestsPerMinute) -> Self {
        let application = caller.application();
        Self {
            application_id: application.id.to_string(),
            client_id: application.client_id.to_string(),
            name: application.name.to_string(),
            space: application.space.to_string(),
            subject: match caller.subject() {
                Subject::Application => application.client_id.to_string(),
                Subject::Person(user) => user.to_string(),
            },
            permissions: caller.permissions().iter().map(|permission| permission.to_string()).collect(),
            token_expires_at: caller.expires_at().into(),
            rate_limit_per_minute: limit.get(),
        }
    }
}
