//! Selects candidates: the memories that contain the rarest terms of a query.

use std::collections::{HashMap, HashSet};

use memgate_domain::applications::CategoryAccess;
use memgate_domain::memories::{Condition, DateRange, MemoryFilter, MemoryQuery};
use memgate_domain::system::Timestamp;
use sea_orm::ConnectionTrait;

use super::failure::MemoryStoreError;
use super::index;
use super::index_cache::{CurrentIndex, IndexCache};
use super::ranking::{BUDGET, Gathering, MAX_TERMS, TermRole};
use super::read::{ScopeRow, allowed, within, within_dates};
use super::row::{categories, memory_row, metadata};
use super::scope_index::ScopeIndex;
use super::sets::{VisibleSets, is_stale, unsigned};
use super::sql::{Entries, Sql, parse_numbers};
use super::term_statistics::TermStatistics;
use crate::adapters::database::row::json_array;

const READ_AT_MOST: i64 = BUDGET.cast_signed();

/// Maximum number of memories that a search checks individually against the filter.
const EXAMINED_AT_MOST: u64 = 20_000;

/// Number of those after which other tasks may run.
const EXAMINED_AT_A_TIME: usize = 256;

/// Maximum number of terms of a query that are looked up in the counts.
const COUNT_AT_MOST: usize = 32 * MAX_TERMS;

/// Which memories of a scope a search may return.
pub(super) struct Reach<'a> {
    pub(super) scope_id: i64,
    pub(super) access: &'a CategoryAccess,
    pub(super) now: Timestamp,
    filter: &'a MemoryFilter,
    /// The visible combinations of categories; `None` for all memories.
    sets: Option<VisibleSets>,
    /// The periods that the filter names, if they narrow the search.
    periods: Option<Vec<String>>,
    /// The index in memory, if there is one and the search is of the whole scope.
    index: Option<CurrentIndex>,
}

impl<'a> Reach<'a> {
    pub(super) async fn of(
        connection: &impl ConnectionTrait,
        indexes: &IndexCache,
        row: &ScopeRow,
        access: &'a CategoryAccess,
        query: &'a MemoryQuery,
    ) -> Result<Self, MemoryStoreError> {
        let sets = match access {
            CategoryAccess::All => None,
            CategoryAccess::Only(_) => Some(VisibleSets::read(connection, row.id, access, None).await?),
        };
        let periods = periods(connection, row.id, query.filter.created).await?;
        let (scope_id, now, filter) = (row.id, query.now, &query.filter);
        let mut reach = Self { scope_id, access, now, filter, sets, periods, index: None };
        if reach.is_whole_scope() {
            reach.index = indexes.current(connection, row).await?;
        }
        Ok(reach)
    }

    /// The index in memory, if the search uses it.
    pub(super) fn index(&self) -> Option<&ScopeIndex> {
        self.index.as_deref()
    }

    /// Whether only expiry can exclude a memory of the scope.
    pub(super) fn is_whole_scope(&self) -> bool {
        *self.access == CategoryAccess::All && *self.filter == MemoryFilter::default()
    }

    /// Whether the index alone cannot decide which memories pass.
    fn examines_memories(&self) -> bool {
        self.filter.has_dates()
            || self.filter.condition.is_some()
            || self.sets.as_ref().is_some_and(|sets| sets.entries().is_none())
    }

    /// Gathers candidates until there are `wanted` and the budget is used up.
    pub(super) async fn gather(
        &self,
        connection: &impl ConnectionTrait,
        terms: &[String],
        statistics: &TermStatistics,
        wanted: usize,
    ) -> Result<Gathering, MemoryStoreError> {
        let whole = self.is_whole_scope();
        let mut gathering = Gathering::new(BUDGET);
        let mut brought_in = Vec::new();
        let mut room = EXAMINED_AT_MOST;
        for (frequency, term) in statistics.rarest_first(terms) {
            let entry = index::term(self.scope_id, term);
            let mut entries = self.entries().and_any(vec![entry.clone()]);
            // The filter may leave few of the memories with the term, so this would be too early to stop.
            let brings_in = if whole { gathering.role_of(frequency) == TermRole::Selects } else { room > 0 };
            if brings_in {
                brought_in.push(entry);
            } else if gathering.len() <= wanted {
                break;
            } else {
                entries = entries.and_any(brought_in.clone());
            }
            let weight = statistics.weight(term);
            if whole {
                let found = self.read(connection, &entries).await?;
                gathering.add(weight, frequency, &found);
            } else if brings_in {
                let (examined, found) = self.examine(connection, &entries, room).await?;
                room = room.saturating_sub(examined);
                gathering.bring_in(weight, found.into_iter());
            } else {
                let found = self.read(connection, &entries).await?;
                gathering.rank(weight, |memory| found.binary_search(&memory).is_ok());
            }
        }
        let expired = self.expired(connection).await?;
        if !expired.is_empty() {
            let expired: HashSet<i64> = expired.into_iter().collect();
            gathering.retain(|memory| !expired.contains(&memory));
        }
        Ok(gathering)
    }

    /// The visible combinations of categories; `None` for all memories.
    pub(super) fn sets(&self) -> Option<&VisibleSets> {
        self.sets.as_ref()
    }

    /// Number of memories that contain each of `terms`.
    pub(super) async fn frequencies(
        &self,
        connection: &impl ConnectionTrait,
        terms: &[String],
    ) -> Result<HashMap<String, u64>, MemoryStoreError> {
        if let Some(index) = &self.index {
            let known = terms.iter().take(COUNT_AT_MOST).map(|term| (term.clone(), index.frequency(term)));
            return Ok(known.filter(|(_, memories)| *memories > 0).collect());
        }
        let terms = json_array(terms.iter().take(COUNT_AT_MOST).cloned());
        let sql = match &self.sets {
            None => Sql::new(connection, "SELECT term, memories FROM memory_term_counts WHERE scope_id = ")
                .value(self.scope_id)
                .then(" AND term IN (SELECT value FROM ")
                .elements(terms)
                .then(" t)"),
            Some(sets) => {
                let select = "SELECT term, CAST(sum(memories) AS bigint) FROM memory_set_term_counts WHERE scope_id = ";
                Sql::new(connection, select)
                    .value(self.scope_id)
                    .then(" AND entry IN (SELECT value FROM ")
                    .elements(json_array(sets.largest()))
                    .then(" s) AND term IN (SELECT value FROM ")
                    .elements(terms)
                    .then(" t) GROUP BY term")
            }
        };
        let rows = sql.all(connection).await?;
        let mut frequencies = HashMap::with_capacity(rows.len());
        for row in rows {
            let memories: i64 = row.try_get_by_index(1)?;
            frequencies.insert(row.try_get_by_index(0)?, unsigned(memories));
        }
        Ok(frequencies)
    }

    /// The counts of what is visible: scores must not reveal which words are in invisible categories.
    pub(super) async fn statistics(
        &self,
        connection: &impl ConnectionTrait,
        row: &ScopeRow,
        terms: &[String],
    ) -> Result<TermStatistics, MemoryStoreError> {
        let (memories, total_length) = match &self.sets {
            None => (unsigned(row.memories), unsigned(row.total_length)),
            Some(sets) => sets.size(),
        };
        let mut frequencies = HashMap::with_capacity(terms.len());
        if self.sets.as_ref().is_some_and(|sets| sets.entries().is_none()) {
            // Memories with unknown counts may have it.
            frequencies.extend(terms.iter().map(|term| (term.clone(), 1)));
        }
        frequencies.extend(self.frequencies(connection, terms).await?);
        Ok(TermStatistics::new(memories, total_length, frequencies))
    }

    /// The filter in terms of the index.
    fn entries(&self) -> Entries {
        let mut entries = match (&self.sets, self.access) {
            (Some(sets), access) => match sets.entries() {
                Some(named) => {
                    Entries::default().and_any(named.map(|entry| format!("{}{entry}", self.scope_id)).collect())
                }
                None => allowed(self.scope_id, access),
            },
            (None, _) => Entries::default(),
        };
        entries = entries.and(index::entries(self.scope_id, self.filter));
        if let Some(periods) = &self.periods {
            entries = entries.and_any(periods.clone());
        }
        entries
    }

    /// The newest of the memories that pass the filter and have not expired, in ascending order.
    pub(super) async fn passing(&self, connection: &impl ConnectionTrait) -> Result<Vec<i64>, MemoryStoreError> {
        let entries = self.entries();
        if entries.match_nothing() {
            return Ok(Vec::new());
        }
        let (_, mut found) = self.examine(connection, &entries, EXAMINED_AT_MOST).await?;
        let expired: HashSet<i64> = self.expired(connection).await?.into_iter().collect();
        found.retain(|memory| !expired.contains(memory));
        Ok(found)
    }

    /// Appends a table `f` with the newest memories that match `entries`, at most `room`.
    fn newest(&self, sql: Sql, entries: &Entries, room: i64) -> Sql {
        let sql = if entries.is_empty() {
            sql.then("(SELECT n.seq FROM memories n WHERE n.scope_id = ")
                .value(self.scope_id)
                .then(" ORDER BY n.created_at DESC, n.id DESC LIMIT ")
        } else {
            sql.then("(SELECT hit.seq FROM ").hits(entries).then(" ORDER BY hit.seq DESC LIMIT ")
        };
        sql.value(room).then(") f")
    }

    /// The newest memories that match `entries`, in ascending order.
    async fn read(&self, connection: &impl ConnectionTrait, entries: &Entries) -> Result<Vec<i64>, MemoryStoreError> {
        let sql = Sql::new(connection, "SELECT string_agg(CAST(f.seq AS text), ',') FROM ");
        let mut found = self.newest(sql, entries, READ_AT_MOST).numbers(connection).await?;
        found.sort_unstable();
        Ok(found)
    }

    /// How many of the newest memories that match `entries` were checked, at most `room`, and which of them pass, in ascending
    /// order.
    async fn examine(
        &self,
        connection: &impl ConnectionTrait,
        entries: &Entries,
        room: u64,
    ) -> Result<(u64, Vec<i64>), MemoryStoreError> {
        if !self.examines_memories() {
            let found = self.read(connection, entries).await?;
            return Ok((found.len() as u64, found));
        }
        if let Some(condition) = &self.filter.condition {
            return self.examine_each(connection, entries, room, condition).await;
        }
        let mut sql = Sql::new(connection, "SELECT string_agg(CAST(CASE WHEN true");
        sql = within_dates(sql, "m.created_at", self.filter);
        if self.sets.as_ref().is_some_and(|sets| sets.entries().is_none()) {
            sql = within(sql, "m", self.access);
        }
        sql = sql.then(" THEN m.seq END AS text), ','), count(*) FROM ");
        let row = self
            .newest(sql, entries, room.cast_signed())
            .then(" CROSS JOIN memories m WHERE m.seq = f.seq")
            .one(connection)
            .await?;
        let Some(row) = row else { return Ok((0, Vec::new())) };
        let found: Option<String> = row.try_get_by_index(0)?;
        let mut found = parse_numbers(found.as_deref())?;
        found.sort_unstable();
        Ok((unsigned(row.try_get_by_index(1)?), found))
    }

    /// As [`examine`](Self::examine), with a condition that no statement evaluates.
    async fn examine_each(
        &self,
        connection: &impl ConnectionTrait,
        entries: &Entries,
        room: u64,
        condition: &Condition,
    ) -> Result<(u64, Vec<i64>), MemoryStoreError> {
        let mut sql = Sql::new(connection, "SELECT m.seq, m.categories, m.metadata, CASE WHEN true");
        sql = within(within_dates(sql, "m.created_at", self.filter), "m", self.access);
        sql = sql.then(" THEN 1 ELSE 0 END FROM ");
        let rows = self
            .newest(sql, entries, room.cast_signed())
            .then(" CROSS JOIN memories m WHERE m.seq = f.seq")
            .all(connection)
            .await?;
        let mut found = Vec::new();
        for chunk in rows.chunks(EXAMINED_AT_A_TIME) {
            for row in chunk {
                let seq: i64 = row.try_get_by_index(0)?;
                let memory = memory_row(seq);
                let categories = categories(&memory, &row.try_get_by_index::<String>(1)?)?;
                let metadata = metadata(&memory, &row.try_get_by_index::<String>(2)?)?;
                let passes: i32 = row.try_get_by_index(3)?;
                if passes == 1 && condition.holds(&categories, metadata.as_object()) {
                    found.push(seq);
                }
            }
            tokio::task::yield_now().await;
        }
        found.sort_unstable();
        Ok((rows.len() as u64, found))
    }

    /// The expired memories of the scope that are not swept yet.
    pub(super) async fn expired(&self, connection: &impl ConnectionTrait) -> Result<Vec<i64>, MemoryStoreError> {
        let sql = Sql::new(connection, "SELECT string_agg(CAST(seq AS text), ',') FROM memories WHERE scope_id = ")
            .value(self.scope_id)
            .then(" AND expires_at <= ")
            .value(self.now.unix_millis());
        Ok(sql.numbers(connection).await?)
    }
}

/// The entries of the periods of `range`, if there is one and they narrow the search.
async fn periods(
    connection: &impl ConnectionTrait,
    scope_id: i64,
    range: DateRange,
) -> Result<Option<Vec<String>>, MemoryStoreError> {
    if range == DateRange::default() || is_stale(connection, scope_id).await? {
        return Ok(None);
    }
    let mut sql = Sql::new(connection, "SELECT ");
    for (order, goes_on) in [("ASC", ", "), ("DESC", "")] {
        sql = sql.then("(SELECT created_at FROM memories WHERE scope_id = ").value(scope_id);
        sql = sql.then(&format!(" ORDER BY created_at {order}, id {order} LIMIT 1){goes_on}"));
    }
    let Some(row) = sql.one(connection).await? else { return Ok(None) };
    let (oldest, newest): (Option<i64>, Option<i64>) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
    Ok(oldest.zip(newest).and_then(|(oldest, newest)| index::periods(scope_id, range, oldest, newest)))
}
