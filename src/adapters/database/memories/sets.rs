//! An application restricted to some categories sees only memories with certain combinations of categories. The index and the
//! counts are kept per combination, so that a restriction is looked up like any other entry.

use memgate_domain::applications::{Category, CategoryAccess};
use sea_orm::ConnectionTrait;

use super::failure::MemoryStoreError;
use super::index;
use super::row::categories;
use super::sql::Sql;
use crate::adapters::database::row::Row;

/// Maximum number of combinations of a scope that are read. In a scope with more, searches check each memory instead.
const MAX_KNOWN: usize = 1_024;
/// Maximum number of combinations in an index query.
const MAX_NAMED: usize = 64;

/// The combinations of categories that an application may see.
pub(super) struct VisibleSets {
    /// Those with the most memories, at most [`MAX_NAMED`].
    sets: Vec<CategorySet>,
    /// Whether there are no others.
    complete: bool,
}

struct CategorySet {
    entry: String,
    memories: u64,
    total_length: u64,
}

impl VisibleSets {
    /// Those of a scope that `access` allows and that have the category `filter`, if there is one.
    pub(super) async fn read(
        connection: &impl ConnectionTrait,
        scope_id: i64,
        access: &CategoryAccess,
        filter: Option<&Category>,
    ) -> Result<Self, MemoryStoreError> {
        let rows = Sql::new(connection, "SELECT entry, categories, memories, total_length FROM memory_category_sets ")
            .then("WHERE scope_id = ")
            .value(scope_id)
            .then(" ORDER BY entry LIMIT ")
            .value(i64::try_from(MAX_KNOWN).unwrap_or(i64::MAX) + 1)
            .all(connection)
            .await?;
        let all_known = rows.len() <= MAX_KNOWN;
        let mut sets = Vec::new();
        for row in rows {
            let entry: String = row.try_get_by_index(0)?;
            let categories =
                categories(&Row::new("memory_category_sets", &entry), &row.try_get_by_index::<String>(1)?)?;
            if access.allows(&categories) && filter.is_none_or(|filter| categories.contains(filter)) {
                let (memories, total_length) = (unsigned(row.try_get_by_index(2)?), unsigned(row.try_get_by_index(3)?));
                sets.push(CategorySet { entry, memories, total_length });
            }
        }
        let complete = all_known && sets.len() <= MAX_NAMED && !is_stale(connection, scope_id).await?;
        sets.sort_by(|a, b| b.memories.cmp(&a.memories).then_with(|| a.entry.cmp(&b.entry)));
        sets.truncate(MAX_NAMED);
        Ok(Self { sets, complete })
    }

    /// Their entries, if no visible memory has another.
    pub(super) fn entries(&self) -> Option<impl Iterator<Item = &str>> {
        self.complete.then(|| self.largest())
    }

    /// The entries of those with the most memories.
    pub(super) fn largest(&self) -> impl Iterator<Item = &str> {
        self.sets.iter().map(|set| set.entry.as_str())
    }

    /// How many memories the largest have, and how many terms those have together.
    pub(super) fn size(&self) -> (u64, u64) {
        self.sets.iter().fold((0, 0), |(memories, length), set| (memories + set.memories, length + set.total_length))
    }
}

/// Whether a scope has memories with index entries of an older version.
pub(super) async fn is_stale(connection: &impl ConnectionTrait, scope_id: i64) -> Result<bool, MemoryStoreError> {
    Ok(stale(connection, scope_id).one(connection).await?.is_some())
}

/// The statement for one of these memories. It names the order of the index of these memories, which is nearly always empty:
/// without it SQLite takes any index that begins with the scope, and reads all of its memories.
fn stale(connection: &impl ConnectionTrait, scope_id: i64) -> Sql {
    Sql::new(connection, &format!("SELECT seq FROM memories WHERE {} AND scope_id = ", index::stale()))
        .value(scope_id)
        .then(" ORDER BY scope_id, seq LIMIT 1")
}

/// A count, which is never negative.
pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::database::plan::Planner;

    #[tokio::test]
    async fn whether_a_scope_is_stale_does_not_cost_all_of_its_memories() {
        let planner = Planner::new().await;
        let reads = planner.reads(&stale(&planner.0, 1).statement(), "memories").await;
        assert_eq!(reads, ["SEARCH memories USING INDEX memories_stale_idx (scope_id=?)"]);
    }
}
