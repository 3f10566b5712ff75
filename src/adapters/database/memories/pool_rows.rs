//! Reads the memories that are scored.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, QueryResult};

use super::candidates::Reach;
use super::failure::MemoryStoreError;
use super::pool::{Conversations, Pool, READ_AT_MOST, chunk_size};
use super::ranking::{Candidate, Gathering, MAX_TERMS};
use super::read::{OCCURRED, visible};
use super::row::memory_row;
use super::sql::{Sql, parse_numbers};
use crate::adapters::database::row::json_array;

/// Number of terms after which other tasks may run.
const READ_AT_A_TIME: u32 = 20_000;

/// Reads the candidates and their neighbours.
pub(super) async fn read(
    connection: &impl ConnectionTrait,
    reach: &Reach<'_>,
    gathering: &Gathering,
    candidates: &[i64],
    terms: &[String],
    average_length: f64,
) -> Result<Pool, MemoryStoreError> {
    let conversations = around(connection, reach, candidates).await?;
    let wanted = conversations.with_joining(candidates);
    let numbers: HashMap<&str, usize> = terms.iter().enumerate().map(|(n, term)| (term.as_str(), n)).collect();
    let mut pool = Pool::with_capacity(wanted.len(), gathering.len());
    let mut occurred: Vec<i64> = Vec::new();
    let (mut read, mut since_yield) = (0_u32, 0_u32);
    for chunk in wanted.chunks(chunk_size(average_length)) {
        if read >= READ_AT_MOST {
            break;
        }
        let columns = "m.seq, m.length, m.question, m.priority, m.attributes, m.terms";
        let rows = Sql::new(connection, &format!("SELECT {columns}, {OCCURRED} FROM "))
            .elements(json_array(chunk.iter().copied()))
            .then(" e CROSS JOIN memories m WHERE m.seq = CAST(e.value AS bigint) AND m.scope_id = ")
            .value(reach.scope_id)
            .all(connection)
            .await?;
        for row in &rows {
            let (seq, candidate) = candidate_of(row, &numbers)?;
            let length = candidate.length;
            (read, since_yield) = (read.saturating_add(length), since_yield.saturating_add(length));
            pool.push(seq, candidate, gathering.contains(seq));
            occurred.push(row.try_get_by_index(6)?);
            if since_yield > READ_AT_A_TIME {
                since_yield = 0;
                tokio::task::yield_now().await;
            }
        }
    }
    pool.introduce(&conversations);
    pool.compare_ages(occurred.into_iter());
    Ok(pool)
}

fn candidate_of(columns: &QueryResult, numbers: &HashMap<&str, usize>) -> Result<(i64, Candidate), MemoryStoreError> {
    let seq: i64 = columns.try_get_by_index(0)?;
    let row = memory_row(seq);
    let length: i64 = columns.try_get_by_index(1)?;
    let priority: String = columns.try_get_by_index(3)?;
    let attributes: String = columns.try_get_by_index(4)?;
    let text: String = columns.try_get_by_index(5)?;
    let mut counts = [0; MAX_TERMS];
    for &number in text.split_ascii_whitespace().filter_map(|term| numbers.get(term)) {
        counts[number] += 1;
    }
    let attributes = attributes.split_ascii_whitespace().filter_map(|term| numbers.get(term));
    let candidate = Candidate {
        counts,
        attributes: attributes.fold(0, |bits, number| bits | 1 << number),
        length: u32::try_from(length).map_err(|_| row.inconsistent("column length is not a number of terms"))?,
        question: columns.try_get_by_index(2)?,
        priority: row.parse("priority", &priority)?,
        newness: 0.0,
        neighbours: [None; 4],
    };
    Ok((seq, candidate))
}

/// The conversations around the candidates.
async fn around(
    connection: &impl ConnectionTrait,
    reach: &Reach<'_>,
    candidates: &[i64],
) -> Result<Conversations, MemoryStoreError> {
    let mut sql = Sql::new(connection, "SELECT m.seq");
    for (side, order, count) in [("<", "DESC", Conversations::BEFORE), (">", "ASC", Conversations::AFTER)] {
        sql = sql.then(", (SELECT string_agg(CAST(a.seq AS text), ',' ORDER BY a.created_at, a.seq) FROM ").then(
            &format!(
                "(SELECT n.created_at, n.seq FROM memories n WHERE n.scope_id = m.scope_id \
             AND n.conversation_id = m.conversation_id AND (n.created_at, n.seq) {side} (m.created_at, m.seq)"
            ),
        );
        sql = visible(sql, "n", reach.access, reach.now)
            .then(&format!(" ORDER BY n.created_at {order}, n.seq {order} LIMIT {count}) a)"));
    }
    let rows = sql
        .then(" FROM ")
        .elements(json_array(candidates.iter().copied()))
        .then(" e CROSS JOIN memories m WHERE m.seq = CAST(e.value AS bigint) AND m.conversation_id IS NOT NULL")
        .all(connection)
        .await?;
    let mut conversations = Conversations::default();
    for row in rows {
        let seq: i64 = row.try_get_by_index(0)?;
        let before: Option<String> = row.try_get_by_index(1)?;
        let after: Option<String> = row.try_get_by_index(2)?;
        conversations.add(seq, parse_numbers(before.as_deref())?, parse_numbers(after.as_deref())?);
    }
    Ok(conversations)
}
