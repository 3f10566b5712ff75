//! Searching: the databases return row numbers and words, [`ranking`](super::ranking) computes the order.
//!
//! 1. How common is each term of the query in the scope?
//! 2. The memories that have the rarest ones become candidates, if they pass the filter ([`candidates`](super::candidates)).
//!    With an embedding model, so do the memories that are the most similar to the query ([`meaning`](super::meaning)).
//! 3. The neighbours of each candidate in its conversation join them ([`pool`](super::pool)).
//! 4. All of them are scored; the best are read and returned.
//!
//! The first three steps of a search of a whole scope use its index in memory, if it has one ([`index_cache`](super::index_cache)).

use std::collections::HashMap;

use memgate_domain::applications::CategoryAccess;
use memgate_domain::memories::{AnswerSize, Hit, Memory, MemoryQuery, MemoryScope, Relevance, SearchResults};
use sea_orm::ConnectionTrait;

use super::candidates::Reach;
use super::failure::MemoryStoreError;
use super::index_cache::IndexCache;
use super::meaning::{Meaning, Near};
use super::pool::with_others;
use super::pool_rows;
use super::ranking::{CANDIDATES, WeightedQuery, query_terms, relevance, scores, with_meaning};
use super::read::{allows_nothing, scope_row};
use super::row::{COLUMNS, is_visible, memories_of};
use super::spelling;
use super::sql::Sql;
use super::term_statistics::TermStatistics;
use crate::adapters::database::connections::ConnectionPool;
use crate::adapters::database::row::json_array;

/// Number of memories read at a time: large ones may fill a response early.
const READ_AT_A_TIME: usize = 64;

pub(super) async fn search(
    connection: &ConnectionPool,
    indexes: &IndexCache,
    meaning: Option<&Meaning>,
    scope: &MemoryScope,
    query: &MemoryQuery,
) -> Result<SearchResults, MemoryStoreError> {
    let queried = query_terms(query.text.as_str());
    if queried.is_empty() || allows_nothing(scope.categories()) {
        return Ok(SearchResults::default());
    }
    // Before a connection is used: a model may take longer than all the rest.
    let asked = match meaning {
        Some(meaning) => meaning.ask(query.text.as_str()).await,
        None => None,
    };
    // One transaction, so that on SQLite all of it sees the same state.
    let transaction = connection.begin().await?;
    let results = match scope_row(&transaction, scope).await? {
        Some(row) => {
            let reach = Reach::of(&transaction, indexes, &row, scope.categories(), query).await?;
            let near = match asked {
                Some(asked) => Some(asked.near(&transaction, &row, &reach, query.limit.get() as usize).await?),
                None => None,
            };
            let texts: Vec<String> = queried.iter().map(|term| term.text.clone()).collect();
            let mut statistics = reach.statistics(&transaction, &row, &texts).await?;
            let terms = spelling::resolve(&transaction, &reach, &mut statistics, queried).await?;
            let terms = statistics.most_telling(terms);
            Search { scope, query, terms, reach, statistics, near }.run(&transaction).await?
        }
        None => SearchResults::default(),
    };
    transaction.commit().await?;
    Ok(results)
}

struct Search<'a> {
    scope: &'a MemoryScope,
    query: &'a MemoryQuery,
    terms: Vec<String>,
    reach: Reach<'a>,
    statistics: TermStatistics,
    near: Option<Near<'a>>,
}

impl Search<'_> {
    async fn run(self, connection: &impl ConnectionTrait) -> Result<SearchResults, MemoryStoreError> {
        let limit = self.query.limit.get() as usize;
        let wanted = CANDIDATES.max(limit);
        let average_length = self.statistics.average_length();
        let nearest = self.near.as_ref().map_or(&[][..], Near::nearest);
        let pool = if let Some(index) = self.reach.index() {
            index.pool(&self.terms, &self.statistics, wanted, nearest, self.query.now)
        } else {
            let gathering = self.reach.gather(connection, &self.terms, &self.statistics, wanted).await?;
            let candidates = with_others(gathering.heaviest(wanted), nearest.iter().copied());
            pool_rows::read(connection, &self.reach, &gathering, &candidates, &self.terms, average_length).await?
        };

        let weights = self.terms.iter().map(|term| self.statistics.weight(term)).collect();
        let weighted = WeightedQuery { weights, average_length };
        let mut scores = scores(&weighted, &pool.candidates);
        if let Some(near) = &self.near {
            let deviations = near.deviations(connection, self.reach.scope_id, &pool.seqs).await?;
            for (score, deviations) in scores.iter_mut().zip(deviations) {
                *score = with_meaning(*score, deviations);
            }
        }
        let places = pool.seqs.into_iter().zip(pool.gathered);
        let mut found: Vec<(f64, (i64, bool))> = scores.into_iter().zip(places).collect();
        let threshold = self.query.threshold.map_or(0.0, Relevance::get);
        found.retain(|(score, _)| *score > 0.0 && relevance(*score) >= threshold);
        found.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));

        // Candidates pass the filter; those who joined them may not.
        let filtered = !self.reach.is_whole_scope();
        let most = if filtered { found.len() } else { limit.min(found.len()) };
        let (mut memories, mut size, mut read) = (HashMap::new(), AnswerSize::default(), 0);
        for part in found[..most].chunks(READ_AT_A_TIME) {
            let of_part = self.memories(connection, part.iter().map(|(_, (seq, _))| *seq)).await?;
            read += part.len();
            let is_full = part.iter().filter_map(|(_, (seq, _))| of_part.get(seq)).any(|memory| !size.take(memory));
            memories.extend(of_part);
            if is_full {
                break;
            }
        }
        if filtered {
            let unread = found.split_off(read);
            found.retain(|(_, (seq, _))| memories.contains_key(seq));
            found.extend(unread);
        }
        let more = if self.query.threshold.is_some() {
            0
        } else {
            let counted = found.iter().filter(|(_, (_, gathered))| *gathered).count();
            pool.total_gathered.saturating_sub(counted)
        };
        let total_found = (found.len() + more) as u64;
        let hits = found.into_iter().filter_map(|(score, (seq, _))| {
            let memory = memories.remove(&seq)?;
            Some(Hit { memory, relevance: Relevance::clamped(relevance(score)) })
        });
        Ok(SearchResults { hits: hits.take(limit).collect(), total_found })
    }

    /// The visible memories with these row numbers that pass the filter.
    async fn memories(
        &self,
        connection: &impl ConnectionTrait,
        seqs: impl Iterator<Item = i64>,
    ) -> Result<HashMap<i64, Memory>, MemoryStoreError> {
        let rows = Sql::new(connection, &format!("SELECT {COLUMNS} FROM "))
            .elements(json_array(seqs))
            .then(" e CROSS JOIN memories m WHERE m.seq = CAST(e.value AS bigint) AND m.scope_id = ")
            .value(self.reach.scope_id)
            .all(connection)
            .await?;
        let mut memories: HashMap<_, _> = memories_of(&rows).await?.into_iter().collect();
        let access: &CategoryAccess = self.scope.categories();
        memories.retain(|_, memory| is_visible(access, memory, self.query.now) && self.query.filter.passes(memory));
        Ok(memories)
    }
}
