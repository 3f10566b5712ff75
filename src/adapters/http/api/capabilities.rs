//! `/api/v1/capabilities`: what the memory bank can do.

#![expect(clippy::unused_async, reason = "poem-openapi wants every operation to be async")]

use poem_openapi::{Object, OpenApi};
use serde::Serialize;

use crate::adapters::http::openapi::tag::Tag;
use crate::adapters::http::server::bearer::Bearer;
use crate::adapters::http::server::error::AccountFailure;
use crate::adapters::http::server::exchange::Exchange;
use crate::adapters::http::server::limits::MAX_BODY_BYTES;
use crate::adapters::http::server::payload::Json;
use crate::domain::memories::{Capabilities, Content, Limit};
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

/// The capabilities of the memory bank behind this service. Operations that are not supported return 501.
#[derive(Object, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "a list of independent yes-or-no facts")]
struct CapabilitiesAnswer {
    /// The kind of memory bank.
    memory_bank: String,
    /// Memories can be updated.
    update: bool,
    /// Memories can be listed. Without it they cannot be exported, counted or deleted by filters either.
    list: bool,
    /// Searches can be filtered by date.
    date_filter: bool,
    /// Searches can be filtered by metadata.
    metadata_filter: bool,
    /// Memories can expire.
    expiry: bool,
    /// What happened to a memory is kept.
    history: bool,
    /// A new memory can supersede an older one.
    supersede: bool,
    limits: LimitsAnswer,
}

/// Limits of requests.
#[derive(Object, Serialize)]
#[oai(rename = "Limits")]
struct LimitsAnswer {
    /// Maximum length of a memory's content, in characters.
    content_characters: usize,
    /// Maximum number of results of a search or a list.
    results: u32,
    /// Maximum number of results that the memory bank returns for one search.
    search_results: u32,
    /// Maximum number of memories that can be listed. If there are more, a list is refused, since it would have gaps; a search
    /// finds them. Left out if there is no such limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    listed_memories: Option<u32>,
    /// Maximum size of a request body, in bytes.
    body_bytes: usize,
}

impl From<Capabilities> for CapabilitiesAnswer {
    fn from(capabilities: Capabilities) -> Self {
        Self {
            memory_bank: capabilities.kind.to_owned(),
            update: capabilities.update,
            list: capabilities.list,
            date_filter: capabilities.date_filter,
            metadata_filter: capabilities.metadata_filter,
            expiry: capabilities.expiry,
            history: capabilities.history,
            supersede: capabilities.supersede,
            limits: LimitsAnswer {
                content_characters: Content::MAX,
                results: Limit::MAX,
                search_results: capabilities.max_searched.map_or(Limit::MAX, |most| most.min(Limit::MAX)),
                listed_memories: capabilities.max_listed,
                body_bytes: MAX_BODY_BYTES,
            },
        }
    }
}
