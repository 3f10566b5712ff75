//! A search in the index of a scope in memory. It answers as the statements of [`candidates`](super::candidates) and
//! [`pool_rows`](super::pool_rows) do: a test compares both, to the last bit.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use memgate_domain::system::Timestamp;

use super::pool::{Pool, REACH, READ_AT_MOST, chunk_size, with_others};
use super::ranking::{BUDGET, Candidate, Gathering, MAX_TERMS, TermRole};
use super::scope_index::{Entry, ScopeIndex};
use super::term_statistics::TermStatistics;

/// A memory that is scored.
struct Member {
    number: u32,
    entry: Entry,
    /// Its place among the visible memories of its conversation.
    place: usize,
}

impl ScopeIndex {
    /// Gathers candidates, and everything that is scored with them. The memories `nearest` are candidates too.
    pub(super) fn pool(
        &self,
        terms: &[String],
        statistics: &TermStatistics,
        wanted: usize,
        nearest: &[i64],
        now: Timestamp,
    ) -> Pool {
        let now = now.unix_millis();
        let gathering = self.gather(terms, statistics, wanted, now);
        let nearest = nearest.iter().filter_map(|seq| self.number(*seq)).map(i64::from);
        let candidates = with_others(gathering.heaviest(wanted), nearest);
        let candidates: Vec<u32> = candidates.into_iter().filter_map(|number| u32::try_from(number).ok()).collect();
        let mut members = self.members(&candidates, now);
        keep_what_is_read(&mut members, &candidates, chunk_size(statistics.average_length()));
        let neighbours = neighbours(&members);
        let mut pool = Pool::with_capacity(members.len(), gathering.len());
        // The cursors of terms only go on.
        let mut in_order: Vec<usize> = (0..members.len()).collect();
        in_order.sort_unstable_by_key(|&at| members[at].number);
        let mut places = vec![0; members.len()];
        for (place, &at) in in_order.iter().enumerate() {
            places[at] = place;
        }
        for &at in &in_order {
            let Member { number, entry, .. } = members[at];
            let candidate = Candidate {
                counts: [0; MAX_TERMS],
                attributes: 0,
                length: entry.length,
                question: entry.question,
                priority: entry.priority,
                newness: 0.0,
                neighbours: neighbours[at].map(|other| other.map(|other| places[other])),
            };
            pool.push(entry.seq, candidate, gathering.contains(i64::from(number)));
        }
        for (term_number, term) in terms.iter().enumerate().take(MAX_TERMS) {
            let Some(postings) = self.postings(term) else { continue };
            let mut cursor = postings.cursor();
            for (&at, candidate) in in_order.iter().zip(&mut pool.candidates) {
                if let Some(occurrence) = cursor.find(members[at].number) {
                    candidate.counts[term_number] = occurrence.count;
                    candidate.attributes |= u32::from(occurrence.label) << term_number;
                }
            }
        }
        pool.compare_ages(in_order.iter().map(|&at| members[at].entry.occurred_at));
        pool
    }

    fn gather(&self, terms: &[String], statistics: &TermStatistics, wanted: usize, now: i64) -> Gathering {
        let mut gathering = Gathering::new(BUDGET);
        let rarest_first = statistics.rarest_first(terms);
        let mut rest = Vec::new();
        for (frequency, term) in rarest_first {
            let Some(postings) = self.postings(term) else { continue };
            let weight = statistics.weight(term);
            if rest.is_empty() && gathering.role_of(frequency) == TermRole::Selects {
                let found = postings.newest(usize::try_from(BUDGET).unwrap_or(usize::MAX));
                gathering.select(weight, frequency, found.into_iter().map(i64::from));
            } else {
                rest.push((weight, postings));
            }
        }
        let gathered = gathering.len();
        if self.expiring > 0 {
            gathering.retain(|number| u32::try_from(number).is_ok_and(|number| self.expires_at(number) > now));
        }
        if gathered > wanted {
            let weights: Vec<f64> = rest.iter().map(|(weight, _)| *weight).collect();
            for (place, (weight, postings)) in rest.into_iter().enumerate() {
                gathering.drop_hopeless(wanted, &weights[place..]);
                let mut cursor = postings.cursor();
                gathering.rank_only(weight, |number| {
                    u32::try_from(number).is_ok_and(|number| cursor.find(number).is_some())
                });
            }
        }
        gathering
    }

    /// The candidates and those that join them, by conversation and in the order of each.
    fn members(&self, candidates: &[u32], now: i64) -> Vec<Member> {
        let mut members = Vec::with_capacity(candidates.len() * (2 * REACH + 1));
        let mut in_conversations = Vec::with_capacity(candidates.len());
        for &number in candidates {
            let Some(entry) = self.entry(number) else { continue };
            match entry.conversation {
                Some(conversation) => in_conversations.push((conversation, number)),
                None => members.push(Member { number, entry, place: 0 }),
            }
        }
        in_conversations.sort_unstable();
        for of_one in in_conversations.chunk_by(|a, b| a.0 == b.0) {
            let mates = self.visible_mates(of_one[0].0, now);
            let mut places: Vec<usize> = of_one.iter().map(|(_, number)| self.place_among(&mates, *number)).collect();
            places.sort_unstable();
            let mut next = 0;
            for place in places {
                let (from, to) = (place.saturating_sub(REACH).max(next), (place + REACH + 1).min(mates.len()));
                for (place, &number) in mates.iter().enumerate().take(to).skip(from) {
                    let Some(entry) = self.entry(number) else { continue };
                    members.push(Member { number, entry, place });
                }
                next = to;
            }
        }
        members
    }

    fn visible_mates(&self, conversation: u32, now: i64) -> Cow<'_, [u32]> {
        let mates = self.mates(conversation);
        if self.expiring == 0 {
            return Cow::Borrowed(mates);
        }
        Cow::Owned(mates.iter().copied().filter(|mate| self.expires_at(*mate) > now).collect())
    }
}

/// Drops what a search does not read of very long memories: in parts of `chunk` memories, the candidates come first.
fn keep_what_is_read(members: &mut Vec<Member>, candidates: &[u32], chunk: usize) {
    let total: u64 = members.iter().map(|member| u64::from(member.entry.length)).sum();
    if total < u64::from(READ_AT_MOST) {
        return;
    }
    let lengths: HashMap<u32, u32> = members.iter().map(|member| (member.number, member.entry.length)).collect();
    let mut known: HashSet<u32> = candidates.iter().copied().collect();
    let mut wanted: Vec<u32> = candidates.iter().copied().filter(|number| lengths.contains_key(number)).collect();
    let mut joining: Vec<u32> = members.iter().map(|member| member.number).filter(|n| known.insert(*n)).collect();
    joining.sort_unstable();
    wanted.extend(joining);
    let (mut read, mut kept) = (0_u32, HashSet::new());
    for chunk in wanted.chunks(chunk) {
        if read >= READ_AT_MOST {
            break;
        }
        for number in chunk {
            read = read.saturating_add(lengths[number]);
            kept.insert(*number);
        }
    }
    members.retain(|member| kept.contains(&member.number));
}

/// The places in `members` of the neighbours of each at the distances -2, -1, 1 and 2.
fn neighbours(members: &[Member]) -> Vec<[Option<usize>; 4]> {
    let mut neighbours = vec![[None; 4]; members.len()];
    for (at, member) in members.iter().enumerate() {
        let Some(conversation) = member.entry.conversation else { continue };
        for (other, earlier) in members[..at].iter().enumerate().rev().take(REACH) {
            if earlier.entry.conversation != Some(conversation) {
                break;
            }
            match member.place - earlier.place {
                1 => (neighbours[at][1], neighbours[other][2]) = (Some(other), Some(at)),
                2 => (neighbours[at][0], neighbours[other][3]) = (Some(other), Some(at)),
                _ => break,
            }
        }
    }
    neighbours
}
