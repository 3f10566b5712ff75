//! `/api/v1/me`: the current caller.

#![expect(clippy::unused_async, reason = "poem-openapi wants every operation to be async")]

use poem_openapi::OpenApi;

use super::dto::account::MeAnswer;
use crate::adapters::http::openapi::tag::Tag;
use crate::adapters::http::server::bearer::Bearer;
use crate::adapters::http::server::error::AccountFailure;
use crate::adapters::http::server::exchange::Exchange;
use crate::adapters::http::server::payload::Json;
use crate::domain::oauth::AnyToken;

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
