//! Substitutes for words of a query that do not occur in the scope.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashSet};

use sea_orm::ConnectionTrait;

use super::candidates::Reach;
use super::failure::MemoryStoreError;
use super::ranking::{QueryTerm, is_one_edit_away, terms_ending_with, whole_stem, word_term};
use super::read::visible;
use super::sql::Sql;
use super::term_statistics::TermStatistics;
use crate::adapters::database::row::json_array;

/// Maximum number of words of a query that are substituted.
const MAX_UNKNOWN: usize = 4;
/// Maximum number of substitutes for a word.
const MAX_ALTERNATIVES: usize = 3;
/// Shorter words are not substituted.
const SHORTEST: usize = 4;
/// Shorter words are not searched as the end of others.
const SHORTEST_ENDING: usize = 3;
/// Number of newest memories that are searched for words ending with one of the query.
const NEWEST: i64 = 200;
/// Maximum number of terms considered for a word.
const LOOKED_AT: i64 = 20_000;
/// The weight of a substitute.
const SHARE: f64 = 0.5;

/// The terms to search by: those of `queried` that occur, the substitutes of those that do not, and those without a
/// substitute, because they tell how much of the query was found. Substitutes are added to `statistics`.
pub(super) async fn resolve(
    connection: &impl ConnectionTrait,
    reach: &Reach<'_>,
    statistics: &mut TermStatistics,
    queried: Vec<QueryTerm>,
) -> Result<Vec<String>, MemoryStoreError> {
    // Terms are distinct, and one that the query contains itself has its full weight.
    let mut taken: HashSet<String> = queried.iter().map(|term| term.text.clone()).collect();
    let mut terms = Vec::with_capacity(queried.len());
    let mut sought = 0;
    for QueryTerm { text, word, derived } in queried {
        if statistics.occurs(&text) {
            terms.push(text);
        } else if !derived {
            let length = text.chars().count();
            let others = match word {
                Some(word) if length >= SHORTEST_ENDING && sought < MAX_UNKNOWN => {
                    sought += 1;
                    let others = match length {
                        SHORTEST.. => alternatives(connection, reach, statistics, &text, &word).await?,
                        _ => Vec::new(),
                    };
                    if others.is_empty() { compounds(connection, reach, &word).await? } else { others }
                }
                _ => Vec::new(),
            };
            if others.is_empty() {
                terms.push(text);
            }
            for (other, memories) in others {
                if taken.insert(other.clone()) {
                    statistics.add(&other, memories, SHARE);
                    terms.push(other);
                }
            }
        }
    }
    Ok(terms)
}

async fn alternatives(
    connection: &impl ConnectionTrait,
    reach: &Reach<'_>,
    statistics: &TermStatistics,
    term: &str,
    word: &str,
) -> Result<Vec<(String, u64)>, MemoryStoreError> {
    let halves = halves(word);
    let known = reach.frequencies(connection, &halves.iter().flatten().cloned().collect::<Vec<_>>()).await?;
    let both = |[first, second]: &[String; 2]| Some((*known.get(first)?, *known.get(second)?));
    let split = halves.iter().filter_map(|pair| Some((both(pair)?, pair))).max_by_key(|((a, b), _)| *a.min(b));
    if let Some(((first, second), pair)) = split {
        return Ok(vec![(pair[0].clone(), first), (pair[1].clone(), second)]);
    }
    let is_number = term.contains(char::is_numeric);
    let mut similar: Vec<(bool, Reverse<u64>, String)> = similar(connection, reach, term)
        .await?
        .into_iter()
        .filter_map(|(other, memories)| {
            let is_edit = !is_number && is_one_edit_away(term, &other);
            (is_edit || other.starts_with(term)).then_some((!is_edit, Reverse(memories), other))
        })
        .filter(|(.., other)| !statistics.occurs(other))
        .collect();
    similar.sort_unstable();
    similar.truncate(MAX_ALTERNATIVES);
    Ok(similar.into_iter().map(|(_, Reverse(memories), other)| (other, memories)).collect())
}

/// The terms of words in the newest memories that end with `word`, in languages written in plain letters: others join words
/// differently.
async fn compounds(
    connection: &impl ConnectionTrait,
    reach: &Reach<'_>,
    word: &str,
) -> Result<Vec<(String, u64)>, MemoryStoreError> {
    if !word.bytes().all(|b| b.is_ascii_lowercase()) {
        return Ok(Vec::new());
    }
    let stem = whole_stem(word);
    let sql = Sql::new(connection, "SELECT m.content FROM (SELECT content, categories, expires_at FROM memories ")
        .then("WHERE scope_id = ")
        .value(reach.scope_id)
        .then(" ORDER BY created_at DESC, id DESC LIMIT ")
        .value(NEWEST)
        .then(") m WHERE lower(m.content) LIKE ")
        .value(format!("%{stem}%"));
    let rows = visible(sql, "m", reach.access, reach.now).all(connection).await?;
    let mut terms = BTreeSet::new();
    for row in &rows {
        terms.extend(terms_ending_with(&row.try_get_by_index::<String>(0)?, word));
        tokio::task::yield_now().await;
    }
    let terms: Vec<String> = terms.into_iter().collect();
    let mut found: Vec<(String, u64)> = reach.frequencies(connection, &terms).await?.into_iter().collect();
    found.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    found.truncate(MAX_ALTERNATIVES);
    Ok(found)
}

/// The pairs of terms that `word` may be a compound of, for each position at which it can be split.
fn halves(word: &str) -> Vec<[String; 2]> {
    let characters: Vec<char> = word.chars().collect();
    let at_least = SHORTEST - 1;
    let last = characters.len().saturating_sub(at_least);
    (at_least..=last)
        .filter_map(|at| {
            let part = |part: &[char]| word_term(&part.iter().collect::<String>());
            Some([part(&characters[..at])?, part(&characters[at..])?])
        })
        .collect()
}

/// The terms that begin with the same letter and continue with the whole of `term`, or have a similar length.
async fn similar(
    connection: &impl ConnectionTrait,
    reach: &Reach<'_>,
    term: &str,
) -> Result<Vec<(String, u64)>, MemoryStoreError> {
    let Some(first) = term.chars().next() else { return Ok(Vec::new()) };
    let Some(next) = char::from_u32(u32::from(first) + 1) else { return Ok(Vec::new()) };
    if let Some(index) = reach.index() {
        let (start, end) = (first.to_string(), next.to_string());
        let looked_at = index.terms(&start, &end).take(usize::try_from(LOOKED_AT).unwrap_or(usize::MAX));
        let length = term.chars().count();
        let similar = looked_at
            .filter(|(other, _)| other.chars().count().abs_diff(length) <= 1 || other.starts_with(term))
            .map(|(other, memories)| (other.to_owned(), memories));
        return Ok(similar.collect());
    }
    let length = i64::try_from(term.chars().count()).unwrap_or(i64::MAX);
    let mut sql =
        Sql::new(connection, "SELECT t.term, CAST(sum(t.memories) AS bigint) FROM (SELECT term, memories FROM ");
    sql = match reach.sets() {
        None => sql.then("memory_term_counts WHERE scope_id = ").value(reach.scope_id),
        Some(sets) => sql
            .then("memory_set_term_counts WHERE scope_id = ")
            .value(reach.scope_id)
            .then(" AND entry IN (SELECT value FROM ")
            .elements(json_array(sets.largest()))
            .then(" s)"),
    };
    let rows = sql
        .then(" AND term >= ")
        .value(first.to_string())
        .then(" AND term < ")
        .value(next.to_string())
        .then(if reach.sets().is_none() { " ORDER BY term LIMIT " } else { " ORDER BY entry, term LIMIT " })
        .value(LOOKED_AT)
        .then(") t WHERE length(t.term) BETWEEN ")
        .value(length - 1)
        .then(" AND ")
        .value(length + 1)
        .then(" OR t.term LIKE ")
        .value(format!("{term}%"))
        .then(" GROUP BY t.term")
        .all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            let memories: i64 = row.try_get_by_index(1)?;
            Ok((row.try_get_by_index(0)?, super::sets::unsigned(memories)))
        })
        .collect()
}
