//! The memories that are scored: the candidates, and what was said around them.

use std::collections::{HashMap, HashSet};

use memgate_domain::memories::Priority;
use sea_orm::{ConnectionTrait, QueryResult};

use super::candidates::Reach;
use super::failure::Failure;
use super::ranking::Candidate;
use super::read::visible;
use super::row::json_array;
use super::sql::{Sql, parse_numbers};

/// How far around a candidate memories join it.
const REACH: usize = 2;

pub(super) struct Pool {
    /// Where each is in its scope.
    pub(super) seqs: Vec<i64>,
    pub(super) candidates: Vec<Candidate>,
}

impl Pool {
    pub(super) async fn read(
        connection: &impl ConnectionTrait,
        reach: &Reach<'_>,
        candidates: &[i64],
        terms: &[String],
    ) -> Result<Self, Failure> {
        let conversations = Conversations::around(connection, reach, candidates).await?;
        let mut seqs: Vec<i64> = candidates.iter().chain(&conversations.joining).copied().collect();
        seqs.sort_unstable();
        seqs.dedup();
        let rows = Sql::new(connection, "SELECT m.seq, m.length, m.question, m.priority, m.attributes, m.terms FROM ")
            .elements(json_array(seqs))
            .then(" e CROSS JOIN memories m WHERE m.seq = CAST(e.value AS bigint) AND m.scope_id = ")
            .value(reach.scope_id)
            .all(connection)
            .await?;
        let numbers: HashMap<&str, usize> = terms.iter().enumerate().map(|(n, term)| (term.as_str(), n)).collect();
        let (seqs, mut candidates): (Vec<i64>, Vec<Candidate>) =
            rows.iter().map(|row| candidate_of(row, &numbers)).collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
        let places: HashMap<i64, usize> = seqs.iter().enumerate().map(|(place, &seq)| (seq, place)).collect();
        for (candidate, &seq) in candidates.iter_mut().zip(&seqs) {
            candidate.neighbours = conversations.neighbours(seq).map(|other| places.get(&other?).copied());
        }
        Ok(Self { seqs, candidates })
    }
}

fn candidate_of(row: &QueryResult, numbers: &HashMap<&str, usize>) -> Result<(i64, Candidate), Failure> {
    let seq: i64 = row.try_get_by_index(0)?;
    let key = seq.to_string();
    let length: i64 = row.try_get_by_index(1)?;
    let priority: String = row.try_get_by_index(3)?;
    let attributes: String = row.try_get_by_index(4)?;
    let text: String = row.try_get_by_index(5)?;
    let mut counts = vec![0; numbers.len()];
    for &number in text.split_ascii_whitespace().filter_map(|term| numbers.get(term)) {
        counts[number] += 1;
    }
    let attributes = attributes.split_ascii_whitespace().filter_map(|term| numbers.get(term));
    let candidate = Candidate {
        counts,
        attributes: attributes.fold(0, |bits, number| bits | 1 << number),
        length: u32::try_from(length).map_err(|_| Failure::row(&key, "length", "cannot be a number of terms"))?,
        question: row.try_get_by_index(2)?,
        priority: priority.parse::<Priority>().map_err(Failure::refused(&key, "priority"))?,
        neighbours: [None; 4],
    };
    Ok((seq, candidate))
}

/// What was said after what, as far as it matters.
struct Conversations {
    joining: HashSet<i64>,
    after: HashMap<i64, i64>,
    before: HashMap<i64, i64>,
}

impl Conversations {
    async fn around(connection: &impl ConnectionTrait, reach: &Reach<'_>, candidates: &[i64]) -> Result<Self, Failure> {
        let mut sql = Sql::new(connection, "SELECT m.seq");
        // Twice as far onward: two memories that join different candidates may be neighbours of each other.
        for (side, order, count) in [("<", "DESC", REACH), (">", "ASC", 2 * REACH)] {
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
        let mut conversations = Self { joining: HashSet::new(), after: HashMap::new(), before: HashMap::new() };
        for row in rows {
            let seq: i64 = row.try_get_by_index(0)?;
            let before: Option<String> = row.try_get_by_index(1)?;
            let after: Option<String> = row.try_get_by_index(2)?;
            conversations.add(seq, parse_numbers(before.as_deref())?, parse_numbers(after.as_deref())?);
        }
        Ok(conversations)
    }

    fn add(&mut self, seq: i64, before: Vec<i64>, after: Vec<i64>) {
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

    /// The memories two before, one before, one after and two after the one at `seq`.
    fn neighbours(&self, seq: i64) -> [Option<i64>; 4] {
        let step = |map: &HashMap<i64, i64>, from: Option<i64>| map.get(&from?).copied();
        let (before, after) = (step(&self.before, Some(seq)), step(&self.after, Some(seq)));
        [step(&self.before, before), before, after, step(&self.after, after)]
    }
}
