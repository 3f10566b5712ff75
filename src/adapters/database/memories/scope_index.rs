//! The index of one scope in memory: what a search reads of many memories, derived from their rows.
//!
//! It answers as the statements of [`candidates`](super::candidates) and [`pool`](super::pool) do, and is many times faster:
//! a statement takes most of its time to hand over numbers and words that only few memories need.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::mem::size_of;

use memgate_domain::memories::Priority;
use memgate_domain::system::Timestamp;
use sea_orm::QueryResult;

use super::failure::MemoryStoreError;
use super::pool::{Conversations, Pool, READ_AT_MOST, chunk_size, with_others};
use super::ranking::{BUDGET, Candidate, Gathering, TermRole};
use super::row::memory_row;
use super::term_statistics::TermStatistics;

/// The columns of an [`IndexedMemory`], of the table `memories` under the name `m`.
pub(super) const INDEXED_COLUMNS: &str = "m.seq, m.conversation_id, m.created_at, m.expires_at, m.priority, m.length, \
                                          m.question, m.attributes, m.terms, m.occurred_at";

/// Of the number of times that a memory has a term, the bits that hold it; the highest says that a label has it.
const COUNT: u16 = u16::MAX >> 1;
const LABEL: u16 = !COUNT;
/// Approximate size of what a term needs besides its postings: its text, its place in the tree, two allocations.
const TERM_BYTES: usize = 120;

/// What the index holds of a memory.
#[derive(Debug)]
pub(super) struct IndexedMemory {
    pub(super) seq: i64,
    conversation: Option<String>,
    created_at: i64,
    occurred_at: Option<i64>,
    expires_at: Option<i64>,
    priority: Priority,
    length: u32,
    question: bool,
    attributes: String,
    terms: String,
}

impl IndexedMemory {
    /// Reads [`INDEXED_COLUMNS`].
    pub(super) fn of_row(columns: &QueryResult) -> Result<Self, MemoryStoreError> {
        let seq: i64 = columns.try_get_by_index(0)?;
        let row = memory_row(seq);
        let (priority, length): (String, i64) = (columns.try_get_by_index(4)?, columns.try_get_by_index(5)?);
        Ok(Self {
            seq,
            conversation: columns.try_get_by_index(1)?,
            created_at: columns.try_get_by_index(2)?,
            expires_at: columns.try_get_by_index(3)?,
            priority: row.parse("priority", &priority)?,
            length: u32::try_from(length).map_err(|_| row.inconsistent("column length is not a number of terms"))?,
            question: columns.try_get_by_index(6)?,
            attributes: columns.try_get_by_index(7)?,
            terms: columns.try_get_by_index(8)?,
            occurred_at: columns.try_get_by_index(9)?,
        })
    }
}

/// The index of a scope. Memories have numbers in the order of their `seq`.
#[derive(Debug, Default)]
pub(super) struct ScopeIndex {
    seqs: Vec<i64>,
    /// `None` if the memory was deleted.
    memories: Vec<Option<Entry>>,
    terms: BTreeMap<Box<str>, Postings>,
    /// The memories of each conversation, oldest first.
    conversations: Vec<Vec<u32>>,
    numbers: HashMap<Box<str>, u32>,
    /// How many memories expire some day.
    expiring: usize,
    postings: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    created_at: i64,
    occurred_at: i64,
    /// The end of time for a memory that does not expire.
    expires_at: i64,
    length: u32,
    conversation: Option<u32>,
    question: bool,
    priority: Priority,
}

/// The memories that have a term, in ascending order.
#[derive(Debug, Default)]
struct Postings {
    memories: Vec<u32>,
    /// How often each has it: see [`COUNT`].
    counts: Vec<u16>,
}

impl ScopeIndex {
    /// Approximate size of the index of a scope with so many memories and terms.
    pub(super) fn estimated_bytes(memories: u64, total_length: u64) -> u64 {
        memories * (size_of::<Option<Entry>>() + size_of::<i64>() + 8) as u64 + total_length * 8
    }

    pub(super) fn bytes(&self) -> usize {
        self.seqs.len() * (size_of::<Option<Entry>>() + size_of::<i64>() + 8)
            + self.postings * (size_of::<u32>() + size_of::<u16>())
            + self.terms.len() * TERM_BYTES
    }

    /// Makes room for nothing more.
    pub(super) fn shrink(&mut self) {
        self.seqs.shrink_to_fit();
        self.memories.shrink_to_fit();
        for postings in self.terms.values_mut() {
            postings.memories.shrink_to_fit();
            postings.counts.shrink_to_fit();
        }
        self.conversations.iter_mut().for_each(Vec::shrink_to_fit);
    }

    /// Replaces the memories `seqs` by `found`, which are those of them that still exist, in ascending order. Returns whether
    /// that was possible; if not, the index has to be built anew.
    pub(super) fn update(&mut self, seqs: &HashSet<i64>, found: Vec<IndexedMemory>) -> bool {
        self.remove(seqs);
        found.into_iter().all(|memory| self.insert(memory))
    }

    /// How many of the memories `seqs` the index has.
    pub(super) fn known(&self, seqs: &HashSet<i64>) -> usize {
        seqs.iter().filter(|seq| self.number(**seq).is_some()).count()
    }

    /// Inserts a memory: a new one, or one that was removed. Returns whether that was possible.
    pub(super) fn insert(&mut self, memory: IndexedMemory) -> bool {
        let place = match self.seqs.binary_search(&memory.seq) {
            Ok(place) if self.memories[place].is_none() => place,
            Err(place) if place == self.seqs.len() => place,
            _ => return false,
        };
        let Ok(number) = u32::try_from(place) else { return false };
        let conversation = memory.conversation.map(|name| self.conversation(name));
        let entry = Entry {
            created_at: memory.created_at,
            occurred_at: memory.occurred_at.unwrap_or(memory.created_at),
            expires_at: memory.expires_at.unwrap_or(i64::MAX),
            length: memory.length,
            conversation,
            question: memory.question,
            priority: memory.priority,
        };
        self.expiring += usize::from(memory.expires_at.is_some());
        if place == self.seqs.len() {
            self.seqs.push(memory.seq);
            self.memories.push(Some(entry));
        } else {
            self.memories[place] = Some(entry);
        }
        if let Some(conversation) = conversation {
            let (memories, mates) = (&self.memories, &mut self.conversations[conversation as usize]);
            let key = |number: u32| (memories[number as usize].map_or(i64::MIN, |entry| entry.created_at), number);
            let at = mates.partition_point(|mate| key(*mate) < key(number));
            mates.insert(at, number);
        }
        let mut counts: HashMap<&str, u16> = HashMap::new();
        for term in memory.terms.split_ascii_whitespace() {
            let count = counts.entry(term).or_default();
            *count = (*count + 1).min(COUNT);
        }
        for term in memory.attributes.split_ascii_whitespace() {
            *counts.entry(term).or_default() |= LABEL;
        }
        self.postings += counts.len();
        for (term, count) in counts {
            match self.terms.get_mut(term) {
                Some(postings) => postings.insert(number, count),
                None => drop(self.terms.insert(term.into(), Postings { memories: vec![number], counts: vec![count] })),
            }
        }
        true
    }

    fn remove(&mut self, seqs: &HashSet<i64>) {
        let mut numbers: Vec<u32> = seqs.iter().filter_map(|seq| self.number(*seq)).collect();
        if numbers.is_empty() {
            return;
        }
        numbers.sort_unstable();
        for &number in &numbers {
            let Some(entry) = self.memories[number as usize].take() else { continue };
            self.expiring -= usize::from(entry.expires_at != i64::MAX);
            if let Some(conversation) = entry.conversation {
                self.conversations[conversation as usize].retain(|mate| *mate != number);
            }
        }
        let left = &mut self.postings;
        self.terms.retain(|_, postings| {
            for number in &numbers {
                *left -= usize::from(postings.remove(*number));
            }
            !postings.memories.is_empty()
        });
    }

    fn number(&self, seq: i64) -> Option<u32> {
        let place = self.seqs.binary_search(&seq).ok()?;
        self.memories[place]?;
        u32::try_from(place).ok()
    }

    fn conversation(&mut self, name: String) -> u32 {
        let next = u32::try_from(self.conversations.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry(name.into()).or_insert(next);
        if number == next {
            self.conversations.push(Vec::new());
        }
        number
    }

    /// How many memories have `term`.
    pub(super) fn frequency(&self, term: &str) -> u64 {
        self.terms.get(term).map_or(0, |postings| postings.memories.len() as u64)
    }

    /// The terms from `first` on, before `end`, with the number of memories that have each.
    pub(super) fn terms<'a>(&'a self, first: &str, end: &'a str) -> impl Iterator<Item = (&'a str, u64)> {
        let from = self.terms.range::<str, _>((std::ops::Bound::Included(first), std::ops::Bound::Unbounded));
        from.map(|(term, postings)| (&**term, postings.memories.len() as u64)).take_while(move |(term, _)| *term < end)
    }

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
        let mut conversations = Conversations::default();
        for &number in &candidates {
            let (before, after) = self.around(number, now);
            conversations.add(number, before, after);
        }
        let wanted = conversations.with_joining(&candidates);
        let (mut numbers, mut read) = (Vec::with_capacity(wanted.len()), 0_u32);
        for chunk in wanted.chunks(chunk_size(statistics.average_length())) {
            if read >= READ_AT_MOST {
                break;
            }
            for &number in chunk {
                let Some(entry) = self.entry(number) else { continue };
                read = read.saturating_add(entry.length);
                numbers.push(number);
            }
        }
        numbers.sort_unstable();
        let (mut scored, mut occurred) = (Vec::with_capacity(numbers.len()), Vec::with_capacity(numbers.len()));
        for number in &numbers {
            let Some(entry) = self.entry(*number) else { continue };
            occurred.push(entry.occurred_at);
            scored.push(Candidate {
                counts: vec![0; terms.len()],
                attributes: 0,
                length: entry.length,
                question: entry.question,
                priority: entry.priority,
                newness: 0.0,
                neighbours: [None; 4],
            });
        }
        for (place, term) in terms.iter().enumerate() {
            let Some(postings) = self.terms.get(term.as_str()) else { continue };
            let mut cursor = Cursor::new(&postings.memories);
            for (number, candidate) in numbers.iter().zip(&mut scored) {
                if let Some(at) = cursor.find(*number) {
                    let count = postings.counts[at];
                    candidate.counts[place] = u32::from(count & COUNT);
                    candidate.attributes |= u32::from(count & LABEL != 0) << place;
                }
            }
        }
        let seqs = numbers.iter().map(|number| self.seqs[usize::try_from(*number).unwrap_or(0)]).collect();
        Pool::of(numbers, &occurred, scored, &conversations, &gathering).with_seqs(seqs)
    }

    fn entry(&self, number: i64) -> Option<&Entry> {
        self.memories.get(usize::try_from(number).ok()?)?.as_ref()
    }

    fn gather(&self, terms: &[String], statistics: &TermStatistics, wanted: usize, now: i64) -> Gathering {
        let mut gathering = Gathering::new(BUDGET);
        for (frequency, term) in statistics.rarest_first(terms) {
            let Some(postings) = self.terms.get(term) else { continue };
            let weight = statistics.weight(term);
            if gathering.role_of(frequency) == TermRole::Selects {
                let skipped = postings.memories.len().saturating_sub(usize::try_from(BUDGET).unwrap_or(usize::MAX));
                gathering.select(
                    weight,
                    frequency,
                    postings.memories[skipped..].iter().map(|number| i64::from(*number)),
                );
            } else if gathering.len() <= wanted {
                break;
            } else {
                let mut cursor = Cursor::new(&postings.memories);
                gathering.rank_only(weight, |number| cursor.find(number).is_some());
            }
        }
        if self.expiring > 0 {
            gathering.retain(|number| self.entry(number).is_some_and(|entry| entry.expires_at > now));
        }
        gathering
    }

    /// The visible memories of the same conversation, oldest first: two before the memory `number`, and four after it.
    fn around(&self, number: i64, now: i64) -> (Vec<i64>, Vec<i64>) {
        let Some(entry) = self.entry(number) else { return Default::default() };
        let Some(conversation) = entry.conversation else { return Default::default() };
        let mates = &self.conversations[conversation as usize];
        let key = |number: i64| (self.entry(number).map_or(i64::MIN, |entry| entry.created_at), number);
        let at = mates.partition_point(|mate| key(i64::from(*mate)) < key(number));
        let visible = |mate: &&u32| self.entry(i64::from(**mate)).is_some_and(|entry| entry.expires_at > now);
        let numbers = |mate: &u32| i64::from(*mate);
        let mut before: Vec<i64> =
            mates[..at].iter().rev().filter(visible).take(Conversations::BEFORE).map(numbers).collect();
        before.reverse();
        let after = mates.iter().skip(at + 1).filter(visible).take(Conversations::AFTER).map(numbers).collect();
        (before, after)
    }
}

impl Postings {
    fn insert(&mut self, number: u32, count: u16) {
        if self.memories.last().is_none_or(|last| *last < number) {
            self.memories.push(number);
            self.counts.push(count);
        } else if let Err(at) = self.memories.binary_search(&number) {
            self.memories.insert(at, number);
            self.counts.insert(at, count);
        }
    }

    fn remove(&mut self, number: u32) -> bool {
        let Ok(at) = self.memories.binary_search(&number) else { return false };
        self.memories.remove(at);
        self.counts.remove(at);
        true
    }
}

/// Finds ascending numbers in an ascending list, in steps that double.
struct Cursor<'a> {
    list: &'a [u32],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn new(list: &'a [u32]) -> Self {
        Self { list, at: 0 }
    }

    /// The place of `number`, which is not less than that of the previous call.
    fn find(&mut self, number: i64) -> Option<usize> {
        let number = u32::try_from(number).ok()?;
        let rest = &self.list[self.at..];
        let mut step = 1;
        while step < rest.len() && rest[step] < number {
            step *= 2;
        }
        let from = step / 2;
        let part = &rest[from.min(rest.len())..rest.len().min(step + 1)];
        self.at += from.min(rest.len()) + part.partition_point(|other| *other < number);
        (self.list.get(self.at) == Some(&number)).then_some(self.at)
    }
}
