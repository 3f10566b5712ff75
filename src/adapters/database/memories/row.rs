//! Converts rows to memories: rows are not trusted.

use memgate_domain::applications::{Category, CategoryAccess};
use memgate_domain::memories::{Actor, Content, Memory, Metadata};
use memgate_domain::system::Timestamp;
use sea_orm::QueryResult;

use super::failure::MemoryStoreError;
use crate::adapters::database::row::{InvalidRow, Row, json_array};

/// The columns of a memory, for [`memory_of`], of the table `memories` under the name `m`.
pub(super) const COLUMNS: &str = "m.seq, m.id, m.created_at, m.updated_at, m.expires_at, m.priority, m.categories, m.metadata, m.content, m.occurred_at, m.created_by";

/// Number of [`COLUMNS`]; further ones follow.
pub(super) const COLUMN_COUNT: usize = 11;

/// Number of memories after which other tasks may run.
const ROWS_AT_A_TIME: usize = 32;

/// Reads [`COLUMNS`]. Also returns the row number.
pub(super) fn memory_of(columns: &QueryResult) -> Result<(i64, Memory), MemoryStoreError> {
    let seq: i64 = columns.try_get_by_index(0)?;
    let row = memory_row(seq);
    let memory = Memory {
        id: row.parse("id", &columns.try_get_by_index::<String>(1)?)?,
        created_at: row.timestamp("created_at", columns.try_get_by_index(2)?)?,
        updated_at: row.timestamp("updated_at", columns.try_get_by_index(3)?)?,
        occurred_at: row.optional_timestamp("occurred_at", columns.try_get_by_index(9)?)?,
        expires_at: row.optional_timestamp("expires_at", columns.try_get_by_index(4)?)?,
        priority: row.parse("priority", &columns.try_get_by_index::<String>(5)?)?,
        categories: categories(&row, &columns.try_get_by_index::<String>(6)?)?,
        metadata: metadata(&row, &columns.try_get_by_index::<String>(7)?)?,
        content: Content::try_from(columns.try_get_by_index::<String>(8)?).map_err(row.rejected("content"))?,
        created_by: actor(&row, "created_by", columns.try_get_by_index::<Option<String>>(10)?.as_deref())?,
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
    memory.is_visible_to(access, now)
}

/// The stored form of [`categories`].
pub(super) fn categories_json<'a>(categories: impl IntoIterator<Item = &'a Category>) -> String {
    json_array(categories.into_iter().map(Category::as_str))
}

/// The stored form of [`metadata`].
pub(super) fn metadata_json(metadata: &Metadata) -> String {
    serde_json::Value::Object(metadata.as_object().clone()).to_string()
}

/// The memory with this number, whose columns are read.
pub(super) fn memory_row(seq: i64) -> Row {
    Row::new("memories", seq)
}

/// Reads [`categories_json`].
pub(super) fn categories(row: &Row, json: &str) -> Result<Vec<Category>, InvalidRow> {
    let texts = row.texts("categories", json)?;
    Category::parse_list("categories", &texts).map_err(row.rejected("categories"))
}

/// Reads [`metadata_json`].
pub(super) fn metadata(row: &Row, json: &str) -> Result<Metadata, InvalidRow> {
    let object = serde_json::from_str(json).map_err(|_| row.inconsistent("column metadata is not a JSON object"))?;
    Metadata::from_stored(object).map_err(row.rejected("metadata"))
}

/// Reads who did something.
pub(super) fn actor(row: &Row, column: &str, name: Option<&str>) -> Result<Option<Actor>, InvalidRow> {
    name.map(|name| row.parse(column, name)).transpose()
}
