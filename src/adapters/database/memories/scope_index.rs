//! The index of one scope in memory: what a search reads of many memories, derived from their rows.
//!
//! It holds what the statements of [`candidates`](super::candidates) and [`pool_rows`](super::pool_rows) read, in about a fifth of
//! the space that plain lists would take: what fits is found many times faster.

use std::collections::{HashMap, HashSet};
use std::mem::size_of;

use memgate_domain::memories::Priority;
use sea_orm::QueryResult;

use super::failure::MemoryStoreError;
use super::postings::{Occurrence, Postings, PostingsView};
use super::row::memory_row;
use super::term_map::TermMap;

/// The columns of an [`IndexedMemory`], of the table `memories` under the name `m`.
pub(super) const INDEXED_COLUMNS: &str = "m.seq, m.conversation_id, m.created_at, m.expires_at, m.priority, m.length, \
                                          m.question, m.attributes, m.terms, m.occurred_at";

/// Approximate size of what a conversation needs besides its name and the numbers of its memories.
const CONVERSATION_BYTES: usize = 80;
/// Approximate size of two postings.
const TWO_POSTINGS_BYTES: u64 = 3;

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

    /// Its terms, each once, in ascending order.
    fn occurrences(&self) -> Vec<(&str, Occurrence)> {
        let in_text = self.terms.split_ascii_whitespace().map(|term| (term, Occurrence { count: 1, label: false }));
        let in_labels =
            self.attributes.split_ascii_whitespace().map(|term| (term, Occurrence { count: 0, label: true }));
        let mut all: Vec<(&str, Occurrence)> = in_text.chain(in_labels).collect();
        all.sort_unstable_by_key(|(term, _)| *term);
        all.dedup_by(|(term, other), (kept_term, kept)| {
            let is_same = term == kept_term;
            if is_same {
                *kept = Occurrence { count: kept.count + other.count, label: kept.label || other.label };
            }
            is_same
        });
        all
    }
}

/// The index of a scope. Memories have numbers in the order of their `seq`.
#[derive(Debug, Default)]
pub(super) struct ScopeIndex {
    first_seq: i64,
    slots: Vec<Slot>,
    /// When each has occurred, if any has at another time than when it was created; otherwise empty.
    occurred: Vec<i64>,
    /// When each expires, if any does; otherwise empty.
    expires: Vec<i64>,
    /// How many expire some day.
    pub(super) expiring: usize,
    terms: TermMap,
    /// The memories of each conversation, oldest first.
    conversations: Vec<Vec<u32>>,
    names: HashMap<Box<str>, u32>,
    names_bytes: usize,
}

/// A memory, as small as possible.
#[derive(Clone, Copy, Debug)]
struct Slot {
    created_at: [u8; size_of::<i64>()],
    /// By how much its `seq` is more than the first.
    seq: u32,
    conversation: u32,
    /// Its length, and the bits above.
    shape: u32,
}

/// The conversation of a memory that is in none.
const NO_CONVERSATION: u32 = u32::MAX;
/// The bits of [`Slot::shape`]. A memory is not there if it was deleted.
const LENGTH: u32 = (1 << 24) - 1;
const IS_THERE: u32 = 1 << 24;
const IS_QUESTION: u32 = 1 << 25;
const IS_LOW: u32 = 1 << 26;
const IS_HIGH: u32 = 1 << 27;

/// What a search needs to know of a memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) seq: i64,
    pub(super) occurred_at: i64,
    pub(super) length: u32,
    pub(super) conversation: Option<u32>,
    pub(super) question: bool,
    pub(super) priority: Priority,
}

impl ScopeIndex {
    /// Approximate size of the index of a scope with so many memories and terms; the real one may be larger.
    pub(super) fn estimated_bytes(memories: u64, total_length: u64) -> u64 {
        memories * (size_of::<Slot>() + size_of::<u32>()) as u64 + total_length * TWO_POSTINGS_BYTES / 2
    }

    pub(super) fn bytes(&self) -> usize {
        self.slots.len() * (size_of::<Slot>() + size_of::<u32>())
            + (self.occurred.len() + self.expires.len()) * size_of::<i64>()
            + self.terms.bytes()
            + self.names_bytes
            + self.conversations.len() * CONVERSATION_BYTES
    }

    /// Packs what can be, and frees spare capacity.
    pub(super) fn shrink(&mut self) {
        self.slots.shrink_to_fit();
        self.occurred.shrink_to_fit();
        self.expires.shrink_to_fit();
        self.terms.pack();
        self.conversations.iter_mut().for_each(Vec::shrink_to_fit);
        self.conversations.shrink_to_fit();
        self.names.shrink_to_fit();
    }

    /// Replaces the memories `seqs` by `found`, which are those of them that still exist, in ascending order. Returns whether
    /// that was possible; if not, the index has to be built anew.
    pub(super) fn update(&mut self, seqs: &HashSet<i64>, found: Vec<IndexedMemory>) -> bool {
        self.remove(seqs);
        let is_complete = found.into_iter().all(|memory| self.insert(memory));
        self.terms.pack_if_due();
        is_complete
    }

    /// How many of the memories `seqs` the index has.
    pub(super) fn known(&self, seqs: &HashSet<i64>) -> usize {
        seqs.iter().filter(|seq| self.number(**seq).is_some()).count()
    }

    /// Inserts a memory: a new one, or one that was removed. Returns whether that was possible.
    pub(super) fn insert(&mut self, memory: IndexedMemory) -> bool {
        if self.slots.is_empty() {
            self.first_seq = memory.seq;
        }
        let Some(seq) = self.distance(memory.seq) else { return false };
        let place = match self.slots.binary_search_by_key(&seq, |slot| slot.seq) {
            Ok(place) if self.slots[place].shape & IS_THERE == 0 => place,
            Err(place) if place == self.slots.len() => place,
            _ => return false,
        };
        let Ok(number @ ..=Postings::MAX_NUMBER) = u32::try_from(place) else { return false };
        if memory.length > LENGTH {
            return false;
        }
        for (term, occurrence) in memory.occurrences() {
            self.terms.insert(term, number, occurrence);
        }
        let conversation = memory.conversation.map(|name| self.conversation(name));
        let slot = Slot {
            created_at: memory.created_at.to_le_bytes(),
            seq,
            conversation: conversation.unwrap_or(NO_CONVERSATION),
            shape: memory.length
                | IS_THERE
                | if memory.question { IS_QUESTION } else { 0 }
                | match memory.priority {
                    Priority::Low => IS_LOW,
                    Priority::Normal => 0,
                    Priority::High => IS_HIGH,
                },
        };
        if place == self.slots.len() {
            self.slots.push(slot);
        } else {
            self.slots[place] = slot;
        }
        let occurred_at = memory.occurred_at.unwrap_or(memory.created_at);
        if occurred_at != memory.created_at && self.occurred.is_empty() {
            self.occurred = self.slots.iter().map(|slot| i64::from_le_bytes(slot.created_at)).collect();
        }
        set(&mut self.occurred, place, occurred_at);
        self.expiring += usize::from(memory.expires_at.is_some());
        if memory.expires_at.is_some() && self.expires.is_empty() {
            self.expires = vec![i64::MAX; self.slots.len()];
        }
        set(&mut self.expires, place, memory.expires_at.unwrap_or(i64::MAX));
        if let Some(conversation) = conversation {
            let (slots, mates) = (&self.slots, &mut self.conversations[conversation as usize]);
            let at = mates.partition_point(|mate| order(slots, *mate) < order(slots, number));
            mates.insert(at, number);
        }
        true
    }

    fn remove(&mut self, seqs: &HashSet<i64>) {
        let mut numbers: Vec<u32> = seqs.iter().filter_map(|seq| self.number(*seq)).collect();
        numbers.sort_unstable();
        for &number in &numbers {
            let place = number as usize;
            if let Some(conversation) = self.entry(number).and_then(|entry| entry.conversation) {
                self.conversations[conversation as usize].retain(|mate| *mate != number);
            }
            if self.expires_at(number) != i64::MAX {
                self.expiring -= 1;
            }
            self.slots[place].shape &= !IS_THERE;
        }
        self.terms.remove(&numbers);
    }

    fn distance(&self, seq: i64) -> Option<u32> {
        u32::try_from(seq.checked_sub(self.first_seq)?).ok()
    }

    /// The number of a memory that is there.
    pub(super) fn number(&self, seq: i64) -> Option<u32> {
        let seq = self.distance(seq)?;
        let place = self.slots.binary_search_by_key(&seq, |slot| slot.seq).ok()?;
        (self.slots[place].shape & IS_THERE != 0).then(|| u32::try_from(place).ok()).flatten()
    }

    fn conversation(&mut self, name: String) -> u32 {
        let next = u32::try_from(self.conversations.len()).unwrap_or(NO_CONVERSATION);
        let length = name.len();
        let number = *self.names.entry(name.into()).or_insert(next);
        if number == next {
            self.names_bytes += length;
            self.conversations.push(Vec::new());
        }
        number
    }

    /// A memory that is there.
    pub(super) fn entry(&self, number: u32) -> Option<Entry> {
        let slot = self.slots.get(number as usize).filter(|slot| slot.shape & IS_THERE != 0)?;
        let created_at = i64::from_le_bytes(slot.created_at);
        Some(Entry {
            seq: self.first_seq + i64::from(slot.seq),
            occurred_at: self.occurred.get(number as usize).copied().unwrap_or(created_at),
            length: slot.shape & LENGTH,
            conversation: (slot.conversation != NO_CONVERSATION).then_some(slot.conversation),
            question: slot.shape & IS_QUESTION != 0,
            priority: match slot.shape & (IS_LOW | IS_HIGH) {
                IS_LOW => Priority::Low,
                IS_HIGH => Priority::High,
                _ => Priority::Normal,
            },
        })
    }

    /// When a memory expires; at the end of time, if it does not.
    pub(super) fn expires_at(&self, number: u32) -> i64 {
        self.expires.get(number as usize).copied().unwrap_or(i64::MAX)
    }

    /// The memories of a conversation, oldest first.
    pub(super) fn mates(&self, conversation: u32) -> &[u32] {
        &self.conversations[conversation as usize]
    }

    /// The place of a memory among `mates`, some of those of its conversation.
    pub(super) fn place_among(&self, mates: &[u32], number: u32) -> usize {
        mates.partition_point(|mate| order(&self.slots, *mate) < order(&self.slots, number))
    }

    /// The memories that have `term`.
    pub(super) fn postings(&self, term: &str) -> Option<PostingsView<'_>> {
        self.terms.get(term)
    }

    /// How many memories have `term`.
    pub(super) fn frequency(&self, term: &str) -> u64 {
        self.postings(term).map_or(0, |postings| postings.len() as u64)
    }

    /// The terms from `first` on, before `end`, in order, with the number of memories that have each.
    pub(super) fn terms<'a>(&'a self, first: &str, end: &'a str) -> impl Iterator<Item = (&'a str, u64)> {
        let from = self.terms.from(first).map(|(term, postings)| (term, postings.len() as u64));
        from.take_while(move |(term, _)| *term < end)
    }
}

/// The order of the memories of a conversation.
fn order(slots: &[Slot], number: u32) -> (i64, u32) {
    (slots.get(number as usize).map_or(i64::MIN, |slot| i64::from_le_bytes(slot.created_at)), number)
}

/// Sets the value of a memory in a column, if the column is used. The memory may be new.
fn set(column: &mut Vec<i64>, place: usize, value: i64) {
    if place < column.len() {
        column[place] = value;
    } else if !column.is_empty() {
        column.push(value);
    }
}
