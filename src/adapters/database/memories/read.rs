//! Reading single memories and lists.

use memgate_domain::applications::CategoryAccess;
use memgate_domain::ids::MemoryId;
use memgate_domain::memories::{AnswerSize, Category, ListQuery, Memory, MemoryScope, Page, Position};
use memgate_domain::system::Timestamp;
use sea_orm::ConnectionTrait;

use super::failure::MemoryStoreError;
use super::index;
use super::row::{COLUMNS, categories_json, is_visible, json_array, memories_of, memory_of};
use super::sets::{VisibleSets, is_stale};
use super::sql::{Entries, Sql};

/// The statistics of the memories of one tenant.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScopeRow {
    pub(super) id: i64,
    pub(super) memories: i64,
    pub(super) total_length: i64,
}

/// `None` if nothing was ever stored.
pub(super) async fn scope_row(
    connection: &impl ConnectionTrait,
    scope: &MemoryScope,
) -> Result<Option<ScopeRow>, MemoryStoreError> {
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
) -> Result<Option<Memory>, MemoryStoreError> {
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
) -> Result<Page, MemoryStoreError> {
    let row = if allows_nothing(scope.categories()) { None } else { scope_row(connection, scope).await? };
    let Some(ScopeRow { id: scope_id, .. }) = row else { return Ok(Page { memories: Vec::new(), next: None }) };
    let listed = Listed::of(connection, scope_id, scope.categories(), query.category.as_ref()).await?;
    let limit = query.limit.get() as usize;
    // First the row numbers and the sizes: a row is read only if it fits into the page.
    let places = "SELECT m.seq, CAST(octet_length(m.content) + octet_length(m.metadata) AS bigint) FROM ";
    let mut sql = Sql::new(connection, places);
    sql = match listed {
        Listed::Lists(lists) if lists.is_empty() => return Ok(Page { memories: Vec::new(), next: None }),
        Listed::Lists(lists) => {
            for (number, list) in lists.iter().enumerate() {
                sql = sql.then(if number == 0 { "(" } else { " UNION ALL " });
                sql = sql.then("SELECT p.seq FROM (SELECT l.seq FROM memory_listings l CROSS JOIN memories m ");
                sql = sql.then("WHERE m.seq = l.seq AND l.scope_id = ").value(scope_id).then(" AND l.entry = ");
                sql = visible(after(sql.value(list.as_str()), "l", query), "m", &CategoryAccess::All, query.now);
                sql = sql.then(" ORDER BY l.created_at DESC, l.id DESC LIMIT ").value(limit_and_one(query)).then(") p");
            }
            sql.then(") page CROSS JOIN memories m WHERE m.seq = page.seq")
        }
        Listed::Index(entries) => {
            sql = sql.then("memories m WHERE m.scope_id = ").value(scope_id);
            if !entries.is_empty() {
                sql = sql.then(" AND m.seq IN (SELECT hit.seq FROM ").hits(&entries).then(")");
            }
            visible(after(sql, "m", query), "m", scope.categories(), query.now)
        }
    };
    let rows =
        sql.then(" ORDER BY m.created_at DESC, m.id DESC LIMIT ").value(limit_and_one(query)).all(connection).await?;
    let (mut seqs, mut bytes) = (Vec::new(), 0);
    for row in rows.iter().take(limit) {
        if bytes >= AnswerSize::MAX {
            break;
        }
        seqs.push(row.try_get_by_index::<i64>(0)?);
        bytes += usize::try_from(row.try_get_by_index::<i64>(1)?).unwrap_or(0);
    }
    let is_cut = seqs.len() < rows.len();
    let memories = at(connection, scope_id, seqs).await?;
    let visible = memories.into_iter().filter(|memory| is_visible(scope.categories(), memory, query.now));
    let mut page = Page::of(visible, query.limit);
    if is_cut && page.next.is_none() {
        page.next = page.memories.last().map(Position::after);
    }
    Ok(page)
}

/// The memories with these row numbers, newest first.
async fn at(connection: &impl ConnectionTrait, scope_id: i64, seqs: Vec<i64>) -> Result<Vec<Memory>, MemoryStoreError> {
    let rows = Sql::new(connection, &format!("SELECT {COLUMNS} FROM "))
        .elements(json_array(seqs))
        .then(" e CROSS JOIN memories m WHERE m.seq = CAST(e.value AS bigint) AND m.scope_id = ")
        .value(scope_id)
        .then(" ORDER BY m.created_at DESC, m.id DESC")
        .all(connection)
        .await?;
    Ok(memories_of(&rows).await?.into_iter().map(|(_, memory)| memory).collect())
}

fn limit_and_one(query: &ListQuery) -> i64 {
    i64::from(query.limit.get()) + 1
}

/// Appends the condition that rows of the table `name` come after the previous page.
fn after(sql: Sql, name: &str, query: &ListQuery) -> Sql {
    let Some(Position { created_at, id }) = &query.after else { return sql };
    sql.then(&format!(" AND ({name}.created_at, {name}.id) < ("))
        .value(created_at.unix_millis())
        .then(", ")
        .value(id.as_str())
        .then(")")
}

/// How a page is read.
enum Listed {
    /// From these listings, so that the cost depends on the page alone.
    Lists(Vec<String>),
    /// By looking these entries up in the index, if there are any, and then each memory.
    Index(Entries),
}

impl Listed {
    async fn of(
        connection: &impl ConnectionTrait,
        scope_id: i64,
        access: &CategoryAccess,
        category: Option<&Category>,
    ) -> Result<Self, MemoryStoreError> {
        match (access, category) {
            (CategoryAccess::All, None) => return Ok(Self::Index(Entries::default())),
            (CategoryAccess::All, Some(category)) => {
                if !is_stale(connection, scope_id).await? {
                    return Ok(Self::Lists(vec![index::category_entry(category)]));
                }
            }
            (CategoryAccess::Only(_), _) => {
                let sets = VisibleSets::read(connection, scope_id, access, category).await?;
                if let Some(entries) = sets.entries() {
                    return Ok(Self::Lists(entries.map(ToOwned::to_owned).collect()));
                }
            }
        }
        let entries = allowed(scope_id, access);
        Ok(Self::Index(match category {
            Some(category) => entries.and_any(vec![index::category(scope_id, category)]),
            None => entries,
        }))
    }
}

/// Whether `access` allows nothing.
pub(super) fn allows_nothing(access: &CategoryAccess) -> bool {
    matches!(access, CategoryAccess::Only(categories) if categories.is_empty())
}

/// The index entries of which every visible memory has one: the allowed categories. It may have others too.
pub(super) fn allowed(scope_id: i64, access: &CategoryAccess) -> Entries {
    match access {
        CategoryAccess::All => Entries::default(),
        CategoryAccess::Only(categories) => {
            Entries::default().and_any(categories.iter().map(|category| index::category(scope_id, category)).collect())
        }
    }
}

/// Appends the conditions under which memories of the table `name` are visible.
pub(super) fn visible(sql: Sql, name: &str, access: &CategoryAccess, now: Timestamp) -> Sql {
    let sql = sql.then(&format!(" AND ({name}.expires_at IS NULL OR {name}.expires_at > ")).value(now.unix_millis());
    within(sql.then(")"), name, access)
}

/// Appends the condition that memories of the table `name` have categories, and only allowed ones.
pub(super) fn within(sql: Sql, name: &str, access: &CategoryAccess) -> Sql {
    let CategoryAccess::Only(categories) = access else { return sql };
    sql.then(&format!(" AND {name}.categories <> '[]' AND NOT EXISTS (SELECT 1 FROM "))
        .elements_of(&format!("{name}.categories"))
        .then(" c WHERE c.value NOT IN (SELECT a.value FROM ")
        .elements(categories_json(categories))
        .then(" a))")
}
