//! `/api/v1/me`: who the token stands for.

#![expect(clippy::unused_async, reason = "poem-openapi wants every operation to be async")]

use poem_openapi::OpenApi;

use super::bearer::{AnyToken, Authorized};
use super::dto::account::MeAnswer;
use super::error::AccountFailure;
use super::exchange::Exchange;
use super::openapi::Tag;
use super::payload::Json;

pub(super) struct MeApi;

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
