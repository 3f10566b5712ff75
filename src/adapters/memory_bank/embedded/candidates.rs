//! The memories of which the rarest terms of a query say that they are worth a look.

use std::collections::HashMap;

use memgate_domain::applications::CategoryAccess;
use memgate_domain::memories::{DateRange, MemoryFilter, MemoryQuery};
use memgate_domain::system::Timestamp;
use sea_orm::ConnectionTrait;

use super::failure::Failure;
use super::index;
use super::ranking::{BUDGET, Gathering, MAX_TERMS, Part, inverse_frequency};
use super::read::{ScopeRow, allowed, within};
use super::row::json_array;
use super::sql::{Entries, Sql};

const READ_AT_MOST: i64 = BUDGET.cast_signed();

/// How many terms of a query are counted where counts are not kept.
const COUNT_AT_MOST: usize = 8 * MAX_TERMS;

/// Which memories of a scope a search may return.
pub(super) struct Reach<'a> {
    pub(super) scope_id: i64,
    pub(super) access: &'a CategoryAccess,
    pub(super) now: Timestamp,
    filter: &'a MemoryFilter,
}

impl<'a> Reach<'a> {
    pub(super) fn new(scope_id: i64, access: &'a CategoryAccess, query: &'a MemoryQuery) -> Self {
        Self { scope_id, access, now: query.now, filter: &query.filter }
    }

    /// Whether nothing but expiry keeps a memory of the scope from being returned.
    pub(super) fn is_whole_scope(&self) -> bool {
        *self.access == CategoryAccess::All && *self.filter == MemoryFilter::default()
    }

    /// Gathers candidates until there are `wanted` and the budget is used.
    pub(super) async fn gather(
        &self,
        connection: &impl ConnectionTrait,
        terms: &[String],
        statistics: &Statistics,
        wanted: usize,
    ) -> Result<Gathering, Failure> {
        let mut rarest_first: Vec<(u64, &str)> = terms
            .iter()
            .map(|term| (statistics.frequency(term), term.as_str()))
            .filter(|(size, _)| *size > 0)
            .collect();
        rarest_first.sort_unstable();
        let whole = self.is_whole_scope();
        let mut gathering = Gathering::new(BUDGET);
        let mut brought_in = Vec::new();
        for (frequency, term) in rarest_first {
            let entry = index::term(self.scope_id, term);
            let mut entries = self.entries().and_any(vec![entry.clone()]);
            if gathering.part_of(frequency) == Part::BringsIn {
                brought_in.push(entry);
            } else if whole {
                if gathering.len() <= wanted {
                    break;
                }
                entries = entries.and_any(brought_in.clone());
            }
            let found = self.read(connection, &entries).await?;
            // What passes a filter may be little of what has the term, and then it would be a pity to stop here.
            let size = if whole { frequency } else { found.len() as u64 };
            gathering.add(statistics.weight(term), size, &found);
        }
        for expired in self.expired(connection).await? {
            gathering.remove(expired);
        }
        Ok(gathering)
    }

    /// What the filter asks of the index.
    fn entries(&self) -> Entries {
        let mut entries = allowed(self.scope_id, self.access);
        if !self.filter.categories.is_empty() {
            let wanted = self.filter.categories.iter().map(|category| index::category(self.scope_id, category));
            entries = entries.and_any(wanted.collect());
        }
        for (name, value) in &self.filter.metadata {
            entries = entries.and_any(vec![index::member(self.scope_id, name, value)]);
        }
        entries
    }

    /// The newest memories within reach that match `entries`.
    async fn read(&self, connection: &impl ConnectionTrait, entries: &Entries) -> Result<Vec<i64>, Failure> {
        let created = self.filter.created;
        let mut sql = Sql::new(connection, "SELECT string_agg(CAST(f.seq AS text), ',') FROM (SELECT hit.seq FROM ");
        sql = sql.hits(entries);
        // The index knows the rest.
        if created != DateRange::default() || *self.access != CategoryAccess::All {
            sql = sql.then(" CROSS JOIN memories m WHERE m.seq = hit.seq");
            if let Some(start) = created.start() {
                sql = sql.then(" AND m.created_at >= ").value(start.unix_millis());
            }
            if let Some(end) = created.end() {
                sql = sql.then(" AND m.created_at <= ").value(end.unix_millis());
            }
            sql = within(sql, "m", self.access);
        }
        let sql = sql.then(" ORDER BY hit.seq DESC LIMIT ").value(READ_AT_MOST).then(") f");
        Ok(sql.numbers(connection).await?)
    }

    /// What has expired in the scope and is not swept away yet.
    async fn expired(&self, connection: &impl ConnectionTrait) -> Result<Vec<i64>, Failure> {
        let sql = Sql::new(connection, "SELECT string_agg(CAST(seq AS text), ',') FROM memories WHERE scope_id = ")
            .value(self.scope_id)
            .then(" AND expires_at <= ")
            .value(self.now.unix_millis());
        Ok(sql.numbers(connection).await?)
    }
}

/// How common terms are in a scope.
pub(super) struct Statistics {
    memories: u64,
    total_length: u64,
    frequencies: HashMap<String, u64>,
}

impl Statistics {
    pub(super) async fn read(
        connection: &impl ConnectionTrait,
        row: &ScopeRow,
        reach: &Reach<'_>,
        terms: &[String],
    ) -> Result<Self, Failure> {
        match reach.access {
            CategoryAccess::All => Self::kept(connection, row, terms).await,
            CategoryAccess::Only(_) => Self::counted(connection, row, reach.access, terms).await,
        }
    }

    /// The counts of the whole scope, which are kept up to date.
    async fn kept(connection: &impl ConnectionTrait, row: &ScopeRow, terms: &[String]) -> Result<Self, Failure> {
        let rows = Sql::new(connection, "SELECT term, memories FROM memory_term_counts WHERE scope_id = ")
            .value(row.id)
            .then(" AND term IN (SELECT value FROM ")
            .elements(json_array(terms.iter().cloned()))
            .then(")")
            .all(connection)
            .await?;
        let mut frequencies = HashMap::with_capacity(rows.len());
        for row in rows {
            frequencies.insert(row.try_get_by_index(0)?, unsigned(row.try_get_by_index(1)?));
        }
        Ok(Self { memories: unsigned(row.memories), total_length: unsigned(row.total_length), frequencies })
    }

    /// Counts what can be seen, and no further than matters: the scores of somebody who must not see some categories do
    /// not tell which words are in them.
    async fn counted(
        connection: &impl ConnectionTrait,
        row: &ScopeRow,
        access: &CategoryAccess,
        terms: &[String],
    ) -> Result<Self, Failure> {
        let entries = allowed(row.id, access);
        let (memories, total_length) = count(connection, &entries, access).await?;
        let mut frequencies = HashMap::with_capacity(terms.len());
        for term in terms.iter().take(COUNT_AT_MOST) {
            let entries = entries.clone().and_any(vec![index::term(row.id, term)]);
            frequencies.insert(term.clone(), count(connection, &entries, access).await?.0);
        }
        Ok(Self { memories, total_length, frequencies })
    }

    /// The terms by which to search: all of a question, and of a long text the rarest of those that are there at all.
    pub(super) fn most_telling(&self, terms: Vec<String>) -> Vec<String> {
        if terms.len() <= MAX_TERMS {
            return terms;
        }
        let mut known: Vec<(u64, usize)> = terms.iter().map(|term| self.frequency(term)).zip(0..).collect();
        known.retain(|(frequency, _)| *frequency > 0);
        known.sort_unstable();
        let mut kept: Vec<usize> = known.into_iter().take(MAX_TERMS).map(|(_, number)| number).collect();
        kept.sort_unstable();
        kept.into_iter().map(|number| terms[number].clone()).collect()
    }

    /// How many memories have `term`.
    fn frequency(&self, term: &str) -> u64 {
        self.frequencies.get(term).copied().unwrap_or(0).min(self.memories)
    }

    /// How much `term` weighs.
    pub(super) fn weight(&self, term: &str) -> f64 {
        inverse_frequency(self.memories, self.frequency(term))
    }

    /// How many terms a memory has on average.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub(super) fn average_length(&self) -> f64 {
        if self.total_length == 0 { 1.0 } else { self.total_length as f64 / self.memories.max(1) as f64 }
    }
}

/// How many memories match and can be seen, and how many terms they have together.
async fn count(
    connection: &impl ConnectionTrait,
    entries: &Entries,
    access: &CategoryAccess,
) -> Result<(u64, u64), Failure> {
    let sql =
        Sql::new(connection, "SELECT count(*), CAST(coalesce(sum(f.length), 0) AS bigint) FROM (SELECT m.length FROM ")
            .hits(entries)
            .then(" CROSS JOIN memories m WHERE m.seq = hit.seq");
    let row = within(sql, "m", access).then(" LIMIT ").value(READ_AT_MOST).then(") f").one(connection).await?;
    let Some(row) = row else { return Ok((0, 0)) };
    Ok((unsigned(row.try_get_by_index(0)?), unsigned(row.try_get_by_index(1)?)))
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
