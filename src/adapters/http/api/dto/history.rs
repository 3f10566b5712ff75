//! What happened to a memory.

use poem_openapi::{Enum, Object};
use serde::Serialize;

use super::memory::MemoryAnswer;
use crate::adapters::http::openapi::scalar::DateTime;
use crate::domain::ids::RequestId;
use crate::domain::memories::{HistoryEntry, HistoryEvent, MemoryHistory, MemoryMember};

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
pub(in super::super) struct HistoryAnswer {
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
    pub(in super::super) fn new(request_id: RequestId, history: MemoryHistory) -> Self {
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
