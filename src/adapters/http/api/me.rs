//! `/api/v1/me`: who the token stands for.

#![expect(clippy::unused_async, reason = "poem-openapi wants every operation to be async")]

use poem_openapi::OpenApi;

use super::dto::account::MeAnswer;
use crate::adapters::http::openapi::tag::Tag;
use crate::adapters::http::server::bearer::{AnyToken, Authorized};
use crate::adapters::http::server::error::AccountFailure;
use crate::adapters::http::server::exchange::Exchange;
use crate::adapters::http::server::payload::Json;

pub(crate) struct MeApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Account")]
impl MeApi {
    /// Say who I am
    ///
    /// The application that the access token was issued to, its permissions and its limits.
    #[oai(path = "/me", method = "get", operation_id = "getMe")]
    async fn get(&self, exchange: &Exchange, auth: Authorized<AnyToken>) -> Result<Json<MeAnswer>, AccountFailure> {
        let memories = &exchange.services.memories;
        memories.admit(&auth.caller)?;
        Ok(Json(MeAnswer::new(&auth.caller, memories.rate_limit(&auth.caller))))
    }
}
