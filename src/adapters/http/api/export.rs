//! `/api/v1/export`: all memories, as a stream.

use std::io;

use poem::Request;
use poem_openapi::OpenApi;

use crate::adapters::http::openapi::tag::Tag;
use crate::adapters::http::server::bearer::{Admission, Bearer};
use crate::adapters::http::server::error::ListFailure;
use crate::adapters::http::server::exchange::Exchange;
use crate::adapters::http::server::json_lines::JsonLines;
use crate::domain::memories::{Limit, MemoryError};
use crate::domain::oauth::Read;

pub(crate) struct ExportApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Memories")]
impl ExportApi {
    /// Export all memories
    ///
    /// One JSON object per line with everything that is stored, newest first, as a stream of any length. A response that
    /// breaks off is not complete.
    #[oai(path = "/export", method = "get", operation_id = "exportMemories")]
    async fn export(
        &self,
        request: &Request,
        exchange: &Exchange,
        caller: Bearer<Read>,
    ) -> Result<JsonLines, ListFailure> {
        let Exchange { services, request_id, .. } = exchange;
        // A stream holds a page at a time, until its end.
        let reservation = services.answers.reserve(&caller, Limit::PAGE.get()).await?;
        let export = services.memories.export(&caller, *request_id).await?;
        let admission = Admission::<Read>::of(request)?;
        let may_go_on = move || {
            let (admission, _held) = (admission.clone(), &reservation);
            async move { admission.check().await.map_err(io::Error::other) }
        };
        Ok(JsonLines::of(export, may_go_on).await.map_err(MemoryError::from)?)
    }
}
