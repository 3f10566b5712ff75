//! `/api/v1/capabilities`: what the memory bank can do.

#![expect(clippy::unused_async, reason = "poem-openapi wants every operation to be async")]

use poem_openapi::OpenApi;

use super::dto::account::CapabilitiesAnswer;
use crate::adapters::http::openapi::tag::Tag;
use crate::adapters::http::server::bearer::Bearer;
use crate::adapters::http::server::error::AccountFailure;
use crate::adapters::http::server::exchange::Exchange;
use crate::adapters::http::server::payload::Json;
use crate::domain::oauth::AnyToken;

pub(crate) struct CapabilitiesApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Account")]
impl CapabilitiesApi {
    /// Get the capabilities of the memory bank
    ///
    /// Operations that are not supported return 501.
    #[oai(path = "/capabilities", method = "get", operation_id = "getCapabilities")]
    async fn get(
        &self,
        exchange: &Exchange,
        _caller: Bearer<AnyToken>,
    ) -> Result<Json<CapabilitiesAnswer>, AccountFailure> {
        Ok(Json(exchange.services.memories.capabilities().into()))
    }
}
