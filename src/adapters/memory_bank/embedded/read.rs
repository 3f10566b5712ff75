//! Reading single memories and lists.

use memgate_domain::applications::CategoryAccess;
use memgate_domain::ids::MemoryId;
use memgate_domain::memories::{ListQuery, Memory, MemoryScope, Page, Position};
use memgate_domain::system::Timestamp;
use sea_orm::ConnectionTrait;

use super::failure::Failure;
use super::index;
use super::row::{COLUMNS, categories_json, is_visible, memory_of};
use super::sql::{Entries, Sql};

/// What is known of the memories of one space and person.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScopeRow {
    pub(super) id: i64,
    pub(super) memories: i64,
    pub(super) total_length: i64,
}

/// `None` if nothing was ever stored there.
pub(super) async fn scope_row(
    connection: &impl ConnectionTrait,
    scope: &MemoryScope,
) -> Result<Option<ScopeRow>, Failure> {
    let sql = Sql::new(connection, "SELECT id, memories, total_length FROM memory_scopes WHERE tenant = ");
    let Some(row) = sql.value(scope.tenant()).one(connection).await? else { return Ok(None) };
    Ok(Some(ScopeRow {
        id: row.try_get_by_index(0)?,
        memories: row.try_get_by_index(1)?,
        total_length: row.try_get_by_index(2)?,
    }))
}

pub(super) async fn get(
    connection: &impl ConnectionTrait,
    scope: &MemoryScope,
    id: &MemoryId,
    now: Timestamp,
) -> Result<Option<Memory>, Failure> {
    let row = Sql::new(connection, &format!("SELECT {COLUMNS} FROM memories m, memory_scopes s "))
        .then("WHERE s.tenant = ")
        .value(scope.tenant())
        .then(" AND m.scope_id = s.id AND m.id = ")
        .value(id.as_str())
        .one(connection)
        .await?;
    let memory = row.as_ref().map(memory_of).transpose()?.map(|(_, memory)| memory);
    Ok(memory.filter(|memory| is_visible(scope.categories(), memory, now)))
}

pub(super) async fn list(
    connection: &impl ConnectionTrait,
    scope: &MemoryScope,
    query: &ListQuery,
) -> Result<Page, Failure> {
    let row = if allows_nothing(scope.categories()) { None } else { scope_row(connection, scope).await? };
    let Some(ScopeRow { id: scope_id, .. }) = row else { return Ok(Page { memories: Vec::new(), next: None }) };
    let mut entries = allowed(scope_id, scope.categories());
    if let Some(category) = &query.category {
        entries = entries.and_any(vec![index::category(scope_id, category)]);
    }
    let mut sql =
        Sql::new(connection, &format!("SELECT {COLUMNS} FROM memories m WHERE m.scope_id = ")).value(scope_id);
    if !entries.is_empty() {
        sql = sql.then(" AND m.seq IN (SELECT hit.seq FROM ").hits(&entries).then(")");
    }
    if let Some(Position { created_at, id }) = &query.after {
        sql = sql.then(" AND (m.created_at, m.id) < (").value(created_at.unix_millis()).then(", ");
        sql = sql.value(id.as_str()).then(")");
    }
    let limit = query.limit.get() as usize;
    let rows = visible(sql, "m", scope.categories(), query.now)
        .then(" ORDER BY m.created_at DESC, m.id DESC LIMIT ")
        .value(i64::from(query.limit.get()) + 1)
        .all(connection)
        .await?;
    let mut memories: Vec<Memory> = rows.iter().map(|row| Ok(memory_of(row)?.1)).collect::<Result<_, Failure>>()?;
    let more = memories.len() > limit;
    memories.truncate(limit);
    let next = memories.last().filter(|_| more).map(Position::after);
    Ok(Page { memories, next })
}

/// Whether `access` leaves nothing to be seen.
pub(super) fn allows_nothing(access: &CategoryAccess) -> bool {
    matches!(access, CategoryAccess::Only(categories) if categories.is_empty())
}

/// What every memory has in the index that `access` allows: one of the allowed categories. It may have others too.
pub(super) fn allowed(scope_id: i64, access: &CategoryAccess) -> Entries {
    match access {
        CategoryAccess::All => Entries::default(),
        CategoryAccess::Only(categories) => {
            Entries::default().and_any(categories.iter().map(|category| index::category(scope_id, category)).collect())
        }
    }
}

/// Goes on with the conditions under which the memories of the table `name` can be seen.
pub(super) fn visible(sql: Sql, name: &str, access: &CategoryAccess, now: Timestamp) -> Sql {
    let sql = sql.then(&format!(" AND ({name}.expires_at IS NULL OR {name}.expires_at > ")).value(now.unix_millis());
    within(sql.then(")"), name, access)
}

/// Goes on with the condition that memories of the table `name` have categories, and none but allowed ones.
pub(super) fn within(sql: Sql, name: &str, access: &CategoryAccess) -> Sql {
    let CategoryAccess::Only(categories) = access else { return sql };
    sql.then(&format!(" AND {name}.categories <> '[]' AND NOT EXISTS (SELECT 1 FROM "))
        .elements_of(&format!("{name}.categories"))
        .then(" c WHERE c.value NOT IN (SELECT a.value FROM ")
        .elements(categories_json(categories))
        .then(" a))")
}
