//! `/api/v1/capabilities`: what the memory bank can do.

#![expect(clippy::unused_async, reason = "poem-openapi wants every operation to be async")]

use poem_openapi::OpenApi;

use super::bearer::{AnyToken, Authorized};
use super::dto::account::CapabilitiesAnswer;
use super::error::AccountFailure;
use super::exchange::Exchange;
use super::openapi::Tag;
use super::payload::Json;

pub(super) struct CapabilitiesApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Account")]
impl CapabilitiesApi {
    /// Say what the memory bank can do
    ///
    /// What is not supported is answered with 501 when it is asked for.
    #[oai(path = "/capabilities", method = "get", operation_id = "getCapabilities")]
    async fn get(
        &self,
        exchange: &Exchange,
        auth: Authorized<AnyToken>,
    ) -> Result<Json<CapabilitiesAnswer>, AccountFailure> {
        let memories = &exchange.services.memories;
        memories.admit(&auth.caller)?;
        Ok(Json(memories.capabilities().into()))
    }
}
