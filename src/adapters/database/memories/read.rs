//! Reading single memories and lists.

use memgate_domain::applications::CategoryAccess;
use memgate_domain::ids::MemoryId;
use memgate_domain::memories::{AnswerSize, ListOrder, ListQuery, Memory, MemoryFilter, MemoryScope, Page, Position};
use memgate_domain::system::Timestamp;
use sea_orm::{ConnectionTrait, QueryResult};

use super::failure::MemoryStoreError;
use super::index;
use super::row::{COLUMNS, categories_json, is_visible, memories_of, memory_of, memory_row};
use super::sets::{VisibleSets, is_stale};
use super::sql::{Entries, Sql};
use crate::adapters::database::row::json_array;

/// The statistics of the memories of one tenant.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScopeRow {
    pub(super) id: i64,
    pub(super) memories: i64,
    pub(super) total_length: i64,
    /// The number of the newest transaction that changed the scope.
    pub(super) revision: i64,
}

/// `None` if nothing was ever stored.
pub(super) async fn scope_row(
    connection: &impl ConnectionTrait,
    scope: &MemoryScope,
) -> Result<Option<ScopeRow>, MemoryStoreError> {
    let sql = Sql::new(connection, "SELECT id, memories, total_length, revision FROM memory_scopes WHERE tenant = ");
    let Some(row) = sql.value(scope.tenant()).one(connection).await? else { return Ok(None) };
    Ok(Some(ScopeRow {
        id: row.try_get_by_index(0)?,
        memories: row.try_get_by_index(1)?,
        total_length: row.try_get_by_index(2)?,
        revision: row.try_get_by_index(3)?,
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

/// Number of memories of a filtered list that are read at a time.
const READ_AT_A_TIME: i64 = 500;
/// Maximum number of memories that a page checks individually against the filter. It ends early after that many.
const EXAMINED_AT_MOST: usize = 10_000;
/// Up to how many memories are looked up in the index before they are sorted, rather than read in order and checked.
const LOOKED_UP_AT_MOST: i64 = 2_000;

pub(super) async fn list(
    connection: &impl ConnectionTrait,
    scope: &MemoryScope,
    query: &ListQuery,
) -> Result<Page, MemoryStoreError> {
    let row = if allows_nothing(scope.categories()) { None } else { scope_row(connection, scope).await? };
    let Some(ScopeRow { id: scope_id, .. }) = row else { return Ok(Page { memories: Vec::new(), next: None }) };
    let listed = Listed::of(connection, scope_id, scope.categories(), query).await?;
    // Whether the statement alone decides which memories are on the page.
    let is_exact = matches!(listed, Listed::Lists(_))
        || (query.filter.categories.is_empty() && query.filter.metadata.is_empty() && query.filter.condition.is_none());
    let rows_at_a_time = if is_exact { limit_and_one(query) } else { limit_and_one(query).max(READ_AT_A_TIME) };
    let limit = query.limit.get() as usize;
    let (mut memories, mut bytes, mut examined) = (Vec::new(), 0, 0);
    let mut reached = query.after.clone();
    loop {
        let places =
            places(connection, scope_id, scope.categories(), query, &listed, reached.as_ref(), rows_at_a_time).await?;
        let mut seqs = Vec::new();
        for place in &places {
            let is_full = is_exact && seqs.len() >= limit;
            if is_full || bytes >= AnswerSize::MAX {
                break;
            }
            seqs.push(place.seq);
            bytes += place.bytes;
        }
        examined += seqs.len();
        let is_last =
            seqs.len() == places.len() && i64::try_from(seqs.len()).is_ok_and(|number| number < rows_at_a_time);
        reached = places.into_iter().take(seqs.len()).next_back().map(|place| place.position);
        let read = at(connection, scope_id, seqs, query.order).await?;
        memories.extend(read.into_iter().filter(|memory| {
            is_visible(scope.categories(), memory, query.now) && (is_exact || query.filter.passes(memory))
        }));
        // The room of the page is for what passes.
        bytes = memories.iter().map(|memory| memory.content.as_str().len()).sum();
        let is_full = memories.len() > limit || bytes >= AnswerSize::MAX || examined >= EXAMINED_AT_MOST;
        if is_last || is_exact || is_full {
            let mut page = Page::of(memories, query.limit, query.order);
            if !is_last && page.next.is_none() {
                // What was read and did not pass need not be read again.
                page.next = reached;
            }
            return Ok(page);
        }
    }
}

/// A memory of a list, before it is read.
struct Place {
    seq: i64,
    /// Its approximate size.
    bytes: usize,
    position: Position,
}

impl Place {
    fn of(row: &QueryResult, order: ListOrder) -> Result<Self, MemoryStoreError> {
        let (seq, id): (i64, String) = (row.try_get_by_index(0)?, row.try_get_by_index(3)?);
        let id = memory_row(seq).parse("id", &id)?;
        let at = Timestamp::from_unix_millis(row.try_get_by_index(2)?);
        let bytes = usize::try_from(row.try_get_by_index::<i64>(1)?).unwrap_or(0);
        Ok(Self { seq, bytes, position: Position { order, at, id } })
    }
}

/// What is listed after a position, without its content: a row is read only if it fits into the page.
async fn places(
    connection: &impl ConnectionTrait,
    scope_id: i64,
    access: &CategoryAccess,
    query: &ListQuery,
    listed: &Listed,
    position: Option<&Position>,
    rows_at_most: i64,
) -> Result<Vec<Place>, MemoryStoreError> {
    let key = sort_key(query.order);
    let size = "CAST(octet_length(m.content) + octet_length(m.metadata) AS bigint)";
    let mut sql = Sql::new(connection, &format!("SELECT m.seq, {size}, {key}, m.id FROM "));
    sql = match listed {
        Listed::Lists(lists) if lists.is_empty() => return Ok(Vec::new()),
        Listed::Lists(lists) => {
            for (number, list) in lists.iter().enumerate() {
                sql = sql.then(if number == 0 { "(" } else { " UNION ALL " });
                sql = sql.then("SELECT p.seq FROM (SELECT l.seq FROM memory_listings l CROSS JOIN memories m ");
                sql = sql.then("WHERE m.seq = l.seq AND l.scope_id = ").value(scope_id).then(" AND l.entry = ");
                sql = within_dates(
                    after(sql.value(list.as_str()), "l.created_at", "l.id", position),
                    "l.created_at",
                    &query.filter,
                );
                sql = visible(sql, "m", &CategoryAccess::All, query.now);
                sql = sql.then(" ORDER BY l.created_at DESC, l.id DESC LIMIT ").value(rows_at_most).then(") p");
            }
            sql.then(") page CROSS JOIN memories m WHERE m.seq = page.seq")
        }
        Listed::Index(entries) => {
            sql = sql.then("memories m WHERE m.scope_id = ").value(scope_id);
            if !entries.is_empty() {
                sql = sql.then(" AND m.seq IN (SELECT hit.seq FROM ").hits(entries).then(")");
            }
            sql = within_dates(after(sql, key, "m.id", position), "m.created_at", &query.filter);
            visible(sql, "m", access, query.now)
        }
    };
    let rows = sql.then(&format!(" ORDER BY {key} DESC, m.id DESC LIMIT ")).value(rows_at_most).all(connection).await?;
    rows.iter().map(|row| Place::of(row, query.order)).collect()
}

/// What a list is sorted by, of the table `memories` under the name `m`. An index has the same expression.
fn sort_key(order: ListOrder) -> &'static str {
    match order {
        ListOrder::Created => "m.created_at",
        ListOrder::Occurred => OCCURRED,
    }
}

/// When a memory was said or happened, of the table `memories` under the name `m`.
pub(super) const OCCURRED: &str = "COALESCE(m.occurred_at, m.created_at)";

/// Appends the ranges of dates of a filter on the table `memories` under the name `m`. `created_at` is its column, or a copy.
pub(super) fn within_dates(mut sql: Sql, created_at: &str, filter: &MemoryFilter) -> Sql {
    for (column, range) in [(created_at, filter.created), (OCCURRED, filter.occurred)] {
        for (comparison, end) in [(">=", range.start()), ("<=", range.end())] {
            if let Some(end) = end {
                sql = sql.then(&format!(" AND {column} {comparison} ")).value(end.unix_millis());
            }
        }
    }
    sql
}

/// The memories with these row numbers, newest first.
async fn at(
    connection: &impl ConnectionTrait,
    scope_id: i64,
    seqs: Vec<i64>,
    order: ListOrder,
) -> Result<Vec<Memory>, MemoryStoreError> {
    let rows = Sql::new(connection, &format!("SELECT {COLUMNS} FROM "))
        .elements(json_array(seqs))
        .then(" e CROSS JOIN memories m WHERE m.seq = CAST(e.value AS bigint) AND m.scope_id = ")
        .value(scope_id)
        .all(connection)
        .await?;
    let mut memories: Vec<_> = memories_of(&rows).await?.into_iter().map(|(_, memory)| memory).collect();
    // SQLite would write that many texts to a temporary file in order to sort them.
    memories.sort_by(|one, other| (order.date_of(other), &other.id).cmp(&(order.date_of(one), &one.id)));
    Ok(memories)
}

fn limit_and_one(query: &ListQuery) -> i64 {
    i64::from(query.limit.get()) + 1
}

/// Appends the condition that rows come after the position, by a date and an ID.
fn after(sql: Sql, date: &str, id: &str, position: Option<&Position>) -> Sql {
    let Some(Position { at, id: last, .. }) = position else { return sql };
    // SQLite looks up the first comparison in an index on an expression, but not the second.
    sql.then(&format!(" AND {date} <= "))
        .value(at.unix_millis())
        .then(&format!(" AND ({date}, {id}) < ("))
        .value(at.unix_millis())
        .then(", ")
        .value(last.as_str())
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
        query: &ListQuery,
    ) -> Result<Self, MemoryStoreError> {
        let filter = &query.filter;
        let entries = index::entries(scope_id, filter);
        if query.order == ListOrder::Created && filter.metadata.is_empty() && filter.condition.is_none() {
            let category = match filter.categories.as_slice() {
                [] => Some(None),
                [category] => Some(Some(category)),
                _ => None,
            };
            if let (CategoryAccess::All, Some(Some(category))) = (access, category)
                && !is_stale(connection, scope_id).await?
            {
                return Ok(Self::Lists(vec![index::category_entry(category)]));
            }
            if let (CategoryAccess::Only(_), Some(category)) = (access, category) {
                let sets = VisibleSets::read(connection, scope_id, access, category).await?;
                if let Some(entries) = sets.entries() {
                    return Ok(Self::Lists(entries.map(ToOwned::to_owned).collect()));
                }
            }
        }
        if entries.is_empty() {
            return Ok(Self::Index(allowed(scope_id, access)));
        }
        let row = Sql::new(connection, "SELECT count(*) FROM (SELECT hit.seq FROM ")
            .hits(&entries)
            .then(" LIMIT ")
            .value(LOOKED_UP_AT_MOST + 1)
            .then(") found")
            .one(connection)
            .await?;
        let found: i64 = row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or_default();
        // Of many that pass, a few are soon found in the order of the list.
        Ok(Self::Index(if found <= LOOKED_UP_AT_MOST { entries } else { Entries::default() }))
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
