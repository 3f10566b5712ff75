//! `/api/v1/search`: finding memories.

use std::time::Instant;

use poem::Request;
use poem_openapi::OpenApi;

use super::assistant;
use super::dto::search::{SearchAnswer, SearchBody};
use crate::adapters::http::openapi::tag::Tag;
use crate::adapters::http::server::bearer::Bearer;
use crate::adapters::http::server::error::SearchFailure;
use crate::adapters::http::server::exchange::Exchange;
use crate::adapters::http::server::payload::Json;
use crate::domain::oauth::Read;

pub(crate) struct SearchApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Memories")]
impl SearchApi {
    /// Search memories
    ///
    /// Finds memories that were stored before. Ask a question or give key words; the best matches come first. Search before
    /// answering anything that depends on what the person said earlier.
    #[oai(path = "/search", method = "post", operation_id = "searchMemories")]
    async fn search(
        &self,
        request: &Request,
        exchange: &Exchange,
        caller: Bearer<Read>,
        body: Json<SearchBody>,
    ) -> Result<Json<SearchAnswer>, SearchFailure> {
        let started = Instant::now();
        let Exchange { services, request_id, .. } = exchange;
        let search = body.0.read(assistant::context(request))?;
        exchange.answer.reserve(&caller, search.limit.get()).await?;
        let found = services.memories.search(&caller, *request_id, search).await?;
        let answer = SearchAnswer::new(*request_id, found, started.elapsed());
        Ok(Json(if assistant::asks(request) { answer.for_assistant() } else { answer }))
    }
}
