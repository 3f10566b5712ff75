//! Responses of one JSON object per line, written while they are read.

use std::io;

use futures_util::{StreamExt as _, stream};
use poem::http::{StatusCode, header};
use poem::{Body, IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::payload::Payload;
use poem_openapi::registry::{MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, Registry};

use super::payload::media_type;
use crate::domain::memories::{Export, MemoryBankError, MemoryRecord, OwnMemory};

/// A response of one JSON object per line.
pub(crate) struct JsonLines(Body);

impl JsonLines {
    /// All memories of an export. The first page is read at once, so that a failure is a status; a failure later breaks the
    /// response off, so that nobody takes it for the whole. `may_go_on` is asked before each further page, and dropped after the
    /// last byte.
    ///
    /// # Errors
    /// [`MemoryBankError`].
    pub(crate) async fn of<F>(
        mut export: Export,
        may_go_on: impl Fn() -> F + Send + 'static,
    ) -> Result<Self, MemoryBankError>
    where
        F: Future<Output = io::Result<()>> + Send,
    {
        let first = export.next().await?;
        let rest = stream::try_unfold((export, may_go_on), |(mut export, may_go_on)| async move {
            may_go_on().await.inspect_err(|error| {
                tracing::debug!(error = error as &dyn std::error::Error, "an export was broken off");
            })?;
            let page = export.next().await.map_err(|error| {
                tracing::warn!(error = &error as &dyn std::error::Error, "an export was broken off");
                io::Error::other(error)
            })?;
            page.map(|page| Ok((lines(&page)?, (export, may_go_on)))).transpose()
        });
        let pages = stream::iter(first.as_deref().map(lines)).chain(rest);
        Ok(Self(Body::from_bytes_stream(pages)))
    }
}

/// The lines of some memories.
///
/// # Errors
/// None that can be: a memory can be written as JSON.
pub(in crate::adapters::http) fn lines(page: &[OwnMemory]) -> Result<Vec<u8>, io::Error> {
    let mut bytes = Vec::new();
    for memory in page {
        serde_json::to_writer(&mut bytes, &MemoryRecord::from(memory))?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

impl Payload for JsonLines {
    /// Client generators know no media type of JSON lines, and stream this one.
    const CONTENT_TYPE: &'static str = "application/octet-stream";

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema::new_with_format("string", "binary")))
    }
}

impl IntoResponse for JsonLines {
    fn into_response(self) -> Response {
        Response::builder()
            .status(StatusCode::OK)
            .header(header::CONTENT_TYPE, Self::CONTENT_TYPE)
            .header(header::CACHE_CONTROL, "no-store")
            .header(header::CONTENT_DISPOSITION, "attachment; filename=\"memories.jsonl\"")
            .body(self.0)
    }
}

impl ApiResponse for JsonLines {
    fn meta() -> MetaResponses {
        let response = MetaResponse {
            description: "One JSON object per line, newest first; `memgate import` and the import page read it.",
            status: Some(200),
            status_range: None,
            content: vec![media_type::<Self>()],
            headers: Vec::new(),
        };
        MetaResponses { responses: vec![response] }
    }

    fn register(_registry: &mut Registry) {}
}
