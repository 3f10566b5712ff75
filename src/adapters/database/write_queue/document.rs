//! The JSON representation of a memory while it is queued.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::adapters::database::row::{InvalidRow, Row};
use crate::domain::applications::Category;
use crate::domain::ids::ApplicationId;
use crate::domain::memories::{Actor, Content, Memory, Metadata, NewMemory};
use crate::domain::system::Timestamp;
use crate::domain::validation::InvalidValue;

/// Timestamps are milliseconds since the Unix epoch.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MemoryDocument {
    id: String,
    content: String,
    categories: Vec<String>,
    metadata: Map<String, Value>,
    priority: String,
    created_at: i64,
    /// Left out where it is not known, so that an older version reads all other memories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    occurred_at: Option<i64>,
    updated_at: Option<i64>,
    expires_at: Option<i64>,
    /// As `occurred_at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    supersedes: Option<String>,
}

impl MemoryDocument {
    pub(super) fn to_json(&self) -> String {
        serde_json::json!(self).to_string()
    }

    pub(super) fn parse(row: &Row, column: &str, json: &str) -> Result<Self, InvalidRow> {
        // The error of the parser may repeat a part of the memory.
        serde_json::from_str(json).map_err(|_| row.inconsistent(format!("column {column} is not a memory in JSON")))
    }

    /// The memory that an application wants to store. Who that is stands in the row, and no history is queued.
    pub(super) fn into_new_memory(self, row: &Row, application: ApplicationId) -> Result<NewMemory, InvalidRow> {
        let invalid = |error: InvalidValue| row.inconsistent(format!("its memory holds an invalid value: {error}"));
        let categories = self.categories.iter().map(|text| row.parse_exactly("memory.categories", text));
        let updated_at = self.updated_at.filter(|at| *at != self.created_at);
        Ok(NewMemory {
            id: self.id.parse().map_err(invalid)?,
            content: Content::try_from(self.content).map_err(invalid)?,
            categories: categories.collect::<Result<_, _>>()?,
            metadata: Metadata::from_stored(self.metadata).map_err(invalid)?,
            priority: self.priority.parse().map_err(invalid)?,
            created_at: row.timestamp("created_at of the memory", self.created_at)?,
            occurred_at: row.optional_timestamp("occurred_at of the memory", self.occurred_at)?,
            updated_at: row.optional_timestamp("updated_at of the memory", updated_at)?,
            expires_at: row.optional_timestamp("expires_at of the memory", self.expires_at)?,
            created_by: Some(Actor::Application(application)),
            supersedes: self.supersedes.map(|older| older.parse()).transpose().map_err(invalid)?,
            history: Vec::new(),
        })
    }

    pub(super) fn into_memory(self, row: &Row, application: ApplicationId) -> Result<Memory, InvalidRow> {
        Ok(self.into_new_memory(row, application)?.into_memory())
    }
}

fn texts(categories: &[Category]) -> Vec<String> {
    categories.iter().map(ToString::to_string).collect()
}

impl From<&NewMemory> for MemoryDocument {
    fn from(memory: &NewMemory) -> Self {
        Self {
            id: memory.id.to_string(),
            content: memory.content.as_str().to_owned(),
            categories: texts(&memory.categories),
            metadata: memory.metadata.as_object().clone(),
            priority: memory.priority.as_str().to_owned(),
            created_at: memory.created_at.unix_millis(),
            updated_at: memory.updated_at.map(Timestamp::unix_millis),
            occurred_at: memory.occurred_at.map(Timestamp::unix_millis),
            expires_at: memory.expires_at.map(Timestamp::unix_millis),
            supersedes: memory.supersedes.as_ref().map(ToString::to_string),
        }
    }
}

impl From<&Memory> for MemoryDocument {
    fn from(memory: &Memory) -> Self {
        Self {
            id: memory.id.to_string(),
            content: memory.content.as_str().to_owned(),
            categories: texts(&memory.categories),
            metadata: memory.metadata.as_object().clone(),
            priority: memory.priority.as_str().to_owned(),
            created_at: memory.created_at.unix_millis(),
            updated_at: Some(memory.updated_at.unix_millis()),
            occurred_at: memory.occurred_at.map(Timestamp::unix_millis),
            expires_at: memory.expires_at.map(Timestamp::unix_millis),
            supersedes: None,
        }
    }
}
