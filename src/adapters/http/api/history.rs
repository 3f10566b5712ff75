//! `/api/v1/memories/{memory_id}/history`: what happened to a memory.

use poem_openapi::OpenApi;
use poem_openapi::param::Path;

use super::dto::history::HistoryAnswer;
use super::dto::memory::DeletedAnswer;
use crate::adapters::http::openapi::scalar::MemoryIdText;
use crate::adapters::http::openapi::tag::Tag;
use crate::adapters::http::server::bearer::Bearer;
use crate::adapters::http::server::error::{DeleteFailure, GetFailure};
use crate::adapters::http::server::exchange::Exchange;
use crate::adapters::http::server::payload::Json;
use crate::domain::oauth::{Delete, Read};

/// How many of the largest memories a history is as long as, at most.
const MEMORIES: u32 = 3;

pub(crate) struct HistoryApi;

#[OpenApi(prefix_path = "/api/v1/memories", tag = "Tag::Memories")]
impl HistoryApi {
    /// Get the history of a memory
    ///
    /// Who changed which of its members and when, without their earlier values, and the memories that it superseded, as they
    /// were. Newest first; the newest 100 entries are kept.
    #[oai(path = "/:memory_id/history", method = "get", operation_id = "getMemoryHistory")]
    async fn get(
        &self,
        exchange: &Exchange,
        caller: Bearer<Read>,
        /// The id of the memory, as a search, a list or a create returned it.
        memory_id: Path<MemoryIdText>,
    ) -> Result<Json<HistoryAnswer>, GetFailure> {
        let Exchange { services, request_id, .. } = exchange;
        exchange.answer.reserve(&caller, MEMORIES).await?;
        let history = services.memories.history(&caller, *request_id, &memory_id.0.0.parse()?).await?;
        Ok(Json(HistoryAnswer::new(*request_id, history)))
    }

    /// Forget the history of a memory
    ///
    /// Deletes all of it permanently, with the memories that it superseded. The memory itself stays.
    #[oai(path = "/:memory_id/history", method = "delete", operation_id = "deleteMemoryHistory")]
    async fn delete(
        &self,
        exchange: &Exchange,
        caller: Bearer<Delete>,
        /// The id of the memory, as a search, a list or a create returned it.
        memory_id: Path<MemoryIdText>,
    ) -> Result<Json<DeletedAnswer>, DeleteFailure> {
        let Exchange { services, request_id, .. } = exchange;
        services.memories.forget_history(&caller, *request_id, &memory_id.0.0.parse()?).await?;
        Ok(Json(DeletedAnswer::new(*request_id, memory_id.0.0)))
    }
}
