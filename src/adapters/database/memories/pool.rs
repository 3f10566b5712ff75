//! The memories that are scored: the candidates and their neighbours.

use std::collections::{HashMap, HashSet};

use sea_orm::{ConnectionTrait, QueryResult};

use super::candidates::Reach;
use super::failure::MemoryStoreError;
use super::ranking::{Candidate, Gathering};
use super::read::{OCCURRED, visible};
use super::row::memory_row;
use super::sql::{Sql, parse_numbers};
use crate::adapters::database::row::json_array;

/// Maximum distance of neighbours that join a candidate.
const REACH: usize = 2;

/// Maximum number of terms read for all memories together; the rest is not scored.
pub(super) const READ_AT_MOST: u32 = 500_000;
/// Number of terms after which other tasks may run.
const READ_AT_A_TIME: u32 = 20_000;
/// Minimum number of memories read per statement.
const LEAST_CHUNK: usize = 16;

pub(super) struct Pool {
    /// Where each is in its scope.
    pub(super) seqs: Vec<i64>,
    pub(super) candidates: Vec<Candidate>,
    /// Whether each was gathered, and did not just join.
    pub(super) gathered: Vec<bool>,
    /// How many were gathered in all.
    pub(super) total_gathered: usize,
}

impl Pool {
    pub(super) async fn read(
        connection: &impl ConnectionTrait,
        reach: &Reach<'_>,
        gathering: &Gathering,
        candidates: &[i64],
        terms: &[String],
        average_length: f64,
    ) -> Result<Self, MemoryStoreError> {
        let conversations = Conversations::around(connection, reach, candidates).await?;
        let wanted = conversations.with_joining(candidates);
        let numbers: HashMap<&str, usize> = terms.iter().enumerate().map(|(n, term)| (term.as_str(), n)).collect();
        let (mut seqs, mut candidates): (Vec<i64>, Vec<Candidate>) = (Vec::new(), Vec::new());
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
                seqs.push(seq);
                occurred.push(row.try_get_by_index(6)?);
                candidates.push(candidate);
                if since_yield > READ_AT_A_TIME {
                    since_yield = 0;
                    tokio::task::yield_now().await;
                }
            }
        }
        Ok(Self::of(seqs, &occurred, candidates, &conversations, gathering))
    }

    /// The memories `seqs`, which occurred at `occurred`.
    pub(super) fn of(
        seqs: Vec<i64>,
        occurred: &[i64],
        mut candidates: Vec<Candidate>,
        conversations: &Conversations,
        gathering: &Gathering,
    ) -> Self {
        let mut oldest_first: Vec<usize> = (0..seqs.len()).collect();
        oldest_first.sort_unstable_by_key(|&place| (occurred[place], seqs[place]));
        for (age, place) in oldest_first.into_iter().enumerate() {
            candidates[place].newness = ratio(age + 1, seqs.len());
        }
        let places: HashMap<i64, usize> = seqs.iter().enumerate().map(|(place, &seq)| (seq, place)).collect();
        for (candidate, &seq) in candidates.iter_mut().zip(&seqs) {
            candidate.neighbours = conversations.neighbours(seq).map(|other| places.get(&other?).copied());
        }
        let gathered = seqs.iter().map(|seq| gathering.contains(*seq)).collect();
        Self { seqs, candidates, gathered, total_gathered: gathering.len() }
    }

    /// The same memories under their row numbers.
    pub(super) fn with_seqs(self, seqs: Vec<i64>) -> Self {
        Self { seqs, ..self }
    }
}

/// The candidates, and then those of the others that are not among them.
pub(super) fn with_others(mut candidates: Vec<i64>, others: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut others = others.peekable();
    if others.peek().is_none() {
        return candidates;
    }
    let known: HashSet<i64> = candidates.iter().copied().collect();
    candidates.extend(others.filter(|other| !known.contains(other)));
    candidates
}

#[expect(clippy::cast_precision_loss, reason = "some thousands")]
fn ratio(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}

/// How many memories of this average length to read per statement, so that it reads no more than needed.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive and rounded down")]
pub(super) fn chunk_size(average_length: f64) -> usize {
    let memories = f64::from(READ_AT_MOST / 4) / average_length.max(1.0);
    (memories as usize).max(LEAST_CHUNK)
}

fn candidate_of(columns: &QueryResult, numbers: &HashMap<&str, usize>) -> Result<(i64, Candidate), MemoryStoreError> {
    let seq: i64 = columns.try_get_by_index(0)?;
    let row = memory_row(seq);
    let length: i64 = columns.try_get_by_index(1)?;
    let priority: String = columns.try_get_by_index(3)?;
    let attributes: String = columns.try_get_by_index(4)?;
    let text: String = columns.try_get_by_index(5)?;
    let mut counts = vec![0; numbers.len()];
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

/// The order of the conversations, as far as it is needed.
#[derive(Default)]
pub(super) struct Conversations {
    joining: HashSet<i64>,
    after: HashMap<i64, i64>,
    before: HashMap<i64, i64>,
}

impl Conversations {
    /// The numbers of visible memories before and after a candidate that are looked at. After it, twice as far: two memories
    /// that join different candidates may be neighbours of each other.
    pub(super) const BEFORE: usize = REACH;
    pub(super) const AFTER: usize = 2 * REACH;

    async fn around(
        connection: &impl ConnectionTrait,
        reach: &Reach<'_>,
        candidates: &[i64],
    ) -> Result<Self, MemoryStoreError> {
        let mut sql = Sql::new(connection, "SELECT m.seq");
        for (side, order, count) in [("<", "DESC", Self::BEFORE), (">", "ASC", Self::AFTER)] {
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
        let mut conversations = Self::default();
        for row in rows {
            let seq: i64 = row.try_get_by_index(0)?;
            let before: Option<String> = row.try_get_by_index(1)?;
            let after: Option<String> = row.try_get_by_index(2)?;
            conversations.add(seq, parse_numbers(before.as_deref())?, parse_numbers(after.as_deref())?);
        }
        Ok(conversations)
    }

    /// Adds a candidate with the memories before and after it, oldest first.
    pub(super) fn add(&mut self, seq: i64, before: Vec<i64>, after: Vec<i64>) {
        let own = before.len();
        let mut run = before;
        run.push(seq);
        run.extend(after);
        for pair in run.windows(2) {
            self.after.insert(pair[0], pair[1]);
            self.before.insert(pair[1], pair[0]);
        }
        self.joining.extend(run.into_iter().take(own + REACH + 1));
    }

    /// The candidates, and then those that join them.
    pub(super) fn with_joining(&self, candidates: &[i64]) -> Vec<i64> {
        let mut joining: Vec<i64> = self.joining.iter().copied().collect();
        joining.sort_unstable();
        let mut known: HashSet<i64> = HashSet::new();
        let mut all = candidates.to_vec();
        all.extend(joining);
        all.retain(|seq| known.insert(*seq));
        all
    }

    /// The neighbours of the memory `seq` at the distances -2, -1, 1 and 2.
    fn neighbours(&self, seq: i64) -> [Option<i64>; 4] {
        let step = |map: &HashMap<i64, i64>, from: Option<i64>| map.get(&from?).copied();
        let (before, after) = (step(&self.before, Some(seq)), step(&self.after, Some(seq)));
        [step(&self.before, before), before, after, step(&self.after, after)]
    }
}
