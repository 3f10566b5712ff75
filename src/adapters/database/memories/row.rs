//! Converts rows to memories: rows are not trusted.

use std::str::FromStr as _;

use memgate_domain::applications::CategoryAccess;
use memgate_domain::ids::MemoryId;
use memgate_domain::memories::{Actor, Category, Content, Memory, Metadata, Priority};
use memgate_domain::system::Timestamp;
use sea_orm::QueryResult;

use super::failure::MemoryStoreError;

/// The columns of a memory, for [`memory_of`], of the table `memories` under the name `m`.
pub(super) const COLUMNS: &str = "m.seq, m.id, m.created_at, m.updated_at, m.expires_at, m.priority, m.categories, m.metadata, m.content, m.occurred_at, m.created_by";

/// Number of [`COLUMNS`]; further ones follow.
pub(super) const COLUMN_COUNT: usize = 11;

/// Number of memories after which other tasks may run.
const ROWS_AT_A_TIME: usize = 32;

/// Reads [`COLUMNS`]. Also returns the row number.
pub(super) fn memory_of(row: &QueryResult) -> Result<(i64, Memory), MemoryStoreError> {
    let seq: i64 = row.try_get_by_index(0)?;
    let key = seq.to_string();
    let id: String = row.try_get_by_index(1)?;
    let expires_at: Option<i64> = row.try_get_by_index(4)?;
    let occurred_at: Option<i64> = row.try_get_by_index(9)?;
    let priority: String = row.try_get_by_index(5)?;
    let created_by: Option<String> = row.try_get_by_index(10)?;
    let memory = Memory {
        id: id.parse::<MemoryId>().map_err(MemoryStoreError::refused(&key, "id"))?,
        created_at: timestamp(&key, "created_at", row.try_get_by_index(2)?)?,
        updated_at: timestamp(&key, "updated_at", row.try_get_by_index(3)?)?,
        occurred_at: occurred_at.map(|millis| timestamp(&key, "occurred_at", millis)).transpose()?,
        expires_at: expires_at.map(|millis| timestamp(&key, "expires_at", millis)).transpose()?,
        priority: Priority::from_str(&priority).map_err(MemoryStoreError::refused(&key, "priority"))?,
        categories: categories(&key, &row.try_get_by_index::<String>(6)?)?,
        metadata: metadata(&key, &row.try_get_by_index::<String>(7)?)?,
        content: Content::try_from(row.try_get_by_index::<String>(8)?)
            .map_err(MemoryStoreError::refused(&key, "content"))?,
        created_by: actor(&key, "created_by", created_by.as_deref())?,
    };
    Ok((seq, memory))
}

/// Reads [`COLUMNS`] of many rows. Large texts take time, so it yields in between.
pub(super) async fn memories_of(rows: &[QueryResult]) -> Result<Vec<(i64, Memory)>, MemoryStoreError> {
    let mut memories = Vec::with_capacity(rows.len());
    for chunk in rows.chunks(ROWS_AT_A_TIME) {
        for row in chunk {
            memories.push(memory_of(row)?);
        }
        tokio::task::yield_now().await;
    }
    Ok(memories)
}

/// Whether `memory` is visible with `access`.
pub(super) fn is_visible(access: &CategoryAccess, memory: &Memory, now: Timestamp) -> bool {
    access.allows(&memory.categories) && memory.expires_at.is_none_or(|expiry| expiry > now)
}

/// A list of texts or numbers as a JSON array.
pub(super) fn json_array<T: Into<serde_json::Value>>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().collect::<serde_json::Value>().to_string()
}

/// The stored form of [`categories`].
pub(super) fn categories_json<'a>(categories: impl IntoIterator<Item = &'a Category>) -> String {
    json_array(categories.into_iter().map(Category::as_str))
}

/// The stored form of [`metadata`].
pub(super) fn metadata_json(metadata: &Metadata) -> String {
    serde_json::Value::Object(metadata.as_object().clone()).to_string()
}

/// Reads [`categories_json`].
pub(super) fn categories(key: &str, json: &str) -> Result<Vec<Category>, MemoryStoreError> {
    let texts: Vec<String> = serde_json::from_str(json)
        .map_err(|_| MemoryStoreError::row(key, "categories", "is not a JSON array of strings"))?;
    Category::parse_list("categories", &texts).map_err(MemoryStoreError::refused(key, "categories"))
}

/// Reads [`metadata_json`].
pub(super) fn metadata(key: &str, json: &str) -> Result<Metadata, MemoryStoreError> {
    let object =
        serde_json::from_str(json).map_err(|_| MemoryStoreError::row(key, "metadata", "is not a JSON object"))?;
    Metadata::from_stored(object).map_err(MemoryStoreError::refused(key, "metadata"))
}

/// Reads who did something.
pub(super) fn actor(key: &str, column: &'static str, text: Option<&str>) -> Result<Option<Actor>, MemoryStoreError> {
    text.map(str::parse).transpose().map_err(MemoryStoreError::refused(key, column))
}

pub(super) fn timestamp(key: &str, column: &'static str, millis: i64) -> Result<Timestamp, MemoryStoreError> {
    let at = Timestamp::from_unix_millis(millis);
    let possible = at.unix_millis() == millis;
    possible.then_some(at).ok_or_else(|| MemoryStoreError::row(key, column, "is outside of the years 1 to 9999"))
}
