//! `/api/v1/memories/{memory_id}/history`: what happened to a memory.

use poem_openapi::param::Path;
use poem_openapi::{Enum, Object, OpenApi};
use serde::Serialize;

use super::dto::memory::{DeletedAnswer, MemoryAnswer};
use crate::adapters::http::openapi::scalar::{DateTime, MemoryIdText};
use crate::adapters::http::openapi::tag::Tag;
use crate::adapters::http::server::bearer::Bearer;
use crate::adapters::http::server::error::{DeleteFailure, GetFailure};
use crate::adapters::http::server::exchange::Exchange;
use crate::adapters::http::server::payload::Json;
use crate::domain::ids::RequestId;
use crate::domain::memories::{HistoryEntry, HistoryEvent, MemoryHistory, MemoryMember};
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

/// A member of a memory that can be changed.
#[derive(Clone, Copy, Enum, Serialize)]
#[oai(rename = "MemoryMember", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
enum MemberName {
    Content,
    Categories,
    Metadata,
    Priority,
    OccurredAt,
    ExpiresAt,
}

impl From<MemoryMember> for MemberName {
    fn from(member: MemoryMember) -> Self {
        match member {
            MemoryMember::Content => Self::Content,
            MemoryMember::Categories => Self::Categories,
            MemoryMember::Metadata => Self::Metadata,
            MemoryMember::Priority => Self::Priority,
            MemoryMember::OccurredAt => Self::OccurredAt,
            MemoryMember::ExpiresAt => Self::ExpiresAt,
        }
    }
}

/// What happened to a memory, newest first.
#[derive(Object, Serialize)]
struct HistoryAnswer {
    /// Always `success`.
    status: String,
    /// Identifies this request in the log.
    request_id: String,
    /// The ID of the memory.
    memory_id: String,
    /// When it was created.
    created_at: DateTime,
    /// Who stored it: the ID of an application, or `person`, on their pages; left out if that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<String>,
    /// What happened to it since, newest first.
    #[oai(validator(max_items = 100))]
    history: Vec<HistoryEntryAnswer>,
}

/// Something that happened to a memory.
#[derive(Object, Serialize)]
#[oai(rename = "HistoryEntry")]
struct HistoryEntryAnswer {
    /// `updated`, with the members that were changed, or `superseded`, with the older memory that it replaced, as it was.
    event: String,
    /// When.
    at: DateTime,
    /// Who did it: the ID of an application, or `person`, on their pages; left out if that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    /// The members that got another value. Their earlier values are not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<Vec<MemberName>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<MemoryAnswer>,
}

impl From<HistoryEntry> for HistoryEntryAnswer {
    fn from(entry: HistoryEntry) -> Self {
        let event = entry.event.kind().to_owned();
        let (changed, memory) = match entry.event {
            HistoryEvent::Updated(members) => (Some(members.into_iter().map(MemberName::from).collect()), None),
            HistoryEvent::Superseded(memory) => (None, Some(MemoryAnswer::from(*memory))),
        };
        Self { event, at: entry.at.into(), by: entry.by.map(|actor| actor.to_string()), changed, memory }
    }
}

impl HistoryAnswer {
    fn new(request_id: RequestId, history: MemoryHistory) -> Self {
        let MemoryHistory { memory, entries } = history;
        Self {
            status: "success".to_owned(),
            request_id: request_id.to_string(),
            memory_id: memory.id.to_string(),
            created_at: memory.created_at.into(),
            created_by: memory.created_by.map(|actor| actor.to_string()),
            history: entries.into_iter().map(HistoryEntryAnswer::from).collect(),
        }
    }
}
