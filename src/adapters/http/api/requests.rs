//! `/api/v1/requests`: the status of accepted writes.

use poem_openapi::OpenApi;
use poem_openapi::param::Path;

use super::dto::memory::RequestAnswer;
use crate::adapters::http::openapi::scalar::RequestIdText;
use crate::adapters::http::openapi::tag::Tag;
use crate::adapters::http::server::bearer::Bearer;
use crate::adapters::http::server::error::RequestFailure;
use crate::adapters::http::server::exchange::Exchange;
use crate::adapters::http::server::payload::Json;
use crate::domain::oauth::Write;

pub(crate) struct RequestsApi;

#[OpenApi(prefix_path = "/api/v1/requests", tag = "Tag::Memories")]
impl RequestsApi {
    /// Get the status of a write
    ///
    /// Whether a memory that was accepted with 202 is still pending, stored, or was refused by the memory bank and why.
    #[oai(path = "/:request_id", method = "get", operation_id = "getRequest")]
    async fn get(
        &self,
        exchange: &Exchange,
        caller: Bearer<Write>,
        /// The `request_id` in the response to the create.
        request_id: Path<RequestIdText>,
    ) -> Result<Json<RequestAnswer>, RequestFailure> {
        exchange.answer.reserve(&caller, 1).await?;
        let outcome = exchange.services.memories.outcome(&caller, request_id.0.0.parse()?).await?;
        Ok(Json(outcome.into()))
    }
}
