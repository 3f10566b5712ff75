//! The memories that have a term, compressed: most take one or two bytes.
//!
//! Each is written as its distance from the one before it. Blocks of them are independent, and it is known where each begins, so
//! that a search skips those that it does not need, and a change rewrites one.

/// Number of memories of a full block. One that is changed may get twice as many.
const BLOCK: usize = 64;
/// Maximum number of memories of a block.
pub(super) const LARGEST_BLOCK: usize = 2 * BLOCK;

/// How a memory has a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Occurrence {
    /// How often its text has it.
    pub(super) count: u32,
    /// Whether its labels have it.
    pub(super) label: bool,
}

/// The memories that have a term, by their numbers, in ascending order.
#[derive(Debug, Default)]
pub(super) struct Postings {
    bytes: Vec<u8>,
    /// Where each block but the first begins.
    starts: Vec<BlockStart>,
    len: u32,
    last: u32,
    /// Number of memories in the last block.
    in_last: u32,
}

#[derive(Clone, Copy, Debug)]
struct BlockStart {
    /// The first memory of the block.
    first: u32,
    /// The place of its first byte.
    offset: u32,
}

impl Postings {
    /// Maximum number of a memory.
    pub(super) const MAX_NUMBER: u32 = u32::MAX >> 1;

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The newest one.
    pub(super) fn last(&self) -> Option<u32> {
        (!self.is_empty()).then_some(self.last)
    }

    /// Size of what is stored.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len() + size_of_val(&*self.starts)
    }

    /// Makes room for nothing more.
    pub(super) fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.starts.shrink_to_fit();
    }

    /// Adds a memory that is not among them.
    pub(super) fn insert(&mut self, number: u32, occurrence: Occurrence) {
        if self.len > 0 && number <= self.last {
            self.change(number, Some(occurrence));
            return;
        }
        let before = match self.in_last as usize {
            BLOCK.. => {
                self.starts.push(BlockStart { first: number, offset: offset(self.bytes.len()) });
                self.in_last = 0;
                number
            }
            _ => self.last,
        };
        write(&mut self.bytes, number - before, occurrence);
        (self.len, self.in_last, self.last) = (self.len + 1, self.in_last + 1, number);
    }

    /// Removes a memory. Returns whether it was among them.
    pub(super) fn remove(&mut self, number: u32) -> bool {
        self.change(number, None)
    }

    /// Gives a memory that is not among them an occurrence, or takes that of one that is. Returns whether it could.
    fn change(&mut self, number: u32, occurrence: Option<Occurrence>) -> bool {
        let block = self.starts.partition_point(|start| start.first <= number);
        let mut postings = self.view().decode(block);
        match (postings.binary_search_by_key(&number, |(number, _)| *number), occurrence) {
            (Ok(at), None) => drop(postings.remove(at)),
            (Err(at), Some(occurrence)) => postings.insert(at, (number, occurrence)),
            _ => return false,
        }
        self.len = if occurrence.is_some() { self.len + 1 } else { self.len - 1 };
        self.rewrite(block, postings);
        true
    }

    /// The `len` memories of a single block.
    pub(super) fn of_block(bytes: &[u8], len: u32) -> Self {
        let last = PostingsView::of_block(bytes, len).decode(0).last().map_or(0, |(number, _)| *number);
        Self { bytes: bytes.to_vec(), starts: Vec::new(), len, last, in_last: len }
    }

    /// Replaces what a block holds.
    fn rewrite(&mut self, block: usize, mut postings: Vec<(u32, Occurrence)>) {
        let mut end = block + 1;
        if postings.is_empty() && end < self.view().blocks() {
            // The next one takes its place.
            postings = self.view().decode(end);
            end += 1;
        }
        let (from, to) = (self.view().offset_of(block), self.view().offset_of(end));
        let (mut bytes, mut starts) = (Vec::new(), Vec::new());
        let size = if postings.len() > LARGEST_BLOCK { BLOCK } else { LARGEST_BLOCK };
        for (part, postings) in postings.chunks(size).enumerate() {
            let is_first = block == 0 && part == 0;
            let mut before = if is_first { 0 } else { postings[0].0 };
            if !is_first {
                starts.push(BlockStart { first: before, offset: offset(from + bytes.len()) });
            }
            for (number, occurrence) in postings {
                write(&mut bytes, number - before, *occurrence);
                before = *number;
            }
        }
        let after = from + bytes.len();
        for start in &mut self.starts[end - 1..] {
            start.offset = offset(start.offset as usize + after - to);
        }
        self.bytes.splice(from..to, bytes);
        self.starts.splice(block.saturating_sub(1)..end - 1, starts);
        let last = self.view().decode(self.view().blocks() - 1);
        self.last = last.last().map_or(0, |(number, _)| *number);
        self.in_last = u32::try_from(last.len()).unwrap_or(u32::MAX);
    }

    /// A read-only view.
    pub(super) fn view(&self) -> PostingsView<'_> {
        PostingsView { bytes: &self.bytes, starts: &self.starts, len: self.len }
    }
}

/// A read-only view of the memories that have a term.
#[derive(Clone, Copy, Debug)]
pub(super) struct PostingsView<'a> {
    bytes: &'a [u8],
    starts: &'a [BlockStart],
    len: u32,
}

impl<'a> PostingsView<'a> {
    /// The `len` memories of a single block.
    pub(super) fn of_block(bytes: &'a [u8], len: u32) -> Self {
        Self { bytes, starts: &[], len }
    }

    /// The bytes of the block, if there is only one.
    pub(super) fn only_block(self) -> Option<&'a [u8]> {
        self.starts.is_empty().then_some(self.bytes)
    }

    /// How many memories there are.
    pub(super) fn len(self) -> usize {
        self.len as usize
    }

    fn blocks(self) -> usize {
        self.starts.len() + 1
    }

    fn offset_of(self, block: usize) -> usize {
        match block.checked_sub(1).map(|place| self.starts.get(place)) {
            None => 0,
            Some(Some(start)) => start.offset as usize,
            Some(None) => self.bytes.len(),
        }
    }

    /// The memory before the first one of a block, so far as its distance is concerned.
    fn base_of(self, block: usize) -> u32 {
        block.checked_sub(1).map_or(0, |place| self.starts[place].first)
    }

    fn decode(self, block: usize) -> Vec<(u32, Occurrence)> {
        let bytes = &self.bytes[..self.offset_of(block + 1)];
        let (mut at, mut number) = (self.offset_of(block), self.base_of(block));
        let mut postings = Vec::with_capacity(BLOCK);
        while at < bytes.len() {
            let (distance, occurrence) = read(bytes, &mut at);
            number += distance;
            postings.push((number, occurrence));
        }
        postings
    }

    /// The newest memories, at most `limit`, in ascending order.
    pub(super) fn newest(self, limit: usize) -> Vec<u32> {
        let (mut first, mut numbers) = (0, Vec::new());
        if self.len() > limit {
            // Blocks that were changed have more or fewer memories than others.
            let mut counted = 0;
            first = self.blocks();
            while first > 0 && counted < limit {
                first -= 1;
                counted += self.decode(first).len();
            }
            numbers.reserve(counted);
        } else {
            numbers.reserve(self.len());
        }
        for block in first..self.blocks() {
            let bytes = &self.bytes[..self.offset_of(block + 1)];
            let (mut at, mut number) = (self.offset_of(block), self.base_of(block));
            while at < bytes.len() {
                number += read(bytes, &mut at).0;
                numbers.push(number);
            }
        }
        let surplus = numbers.len().saturating_sub(limit);
        numbers.drain(..surplus);
        numbers
    }

    pub(super) fn cursor(self) -> Cursor<'a> {
        Cursor { postings: self, next: 0, at: 0, current: None, number: 0 }
    }
}

/// Finds ascending numbers.
pub(super) struct Cursor<'a> {
    postings: PostingsView<'a>,
    /// The place in [`PostingsView::starts`] of the block after the current one.
    next: usize,
    /// The place of the byte after the current memory.
    at: usize,
    /// `None` before the first one.
    current: Option<Occurrence>,
    /// The current memory; before the first one, that before it.
    number: u32,
}

impl Cursor<'_> {
    /// How the memory `number` has the term, if it has. It is not less than that of the call before.
    pub(super) fn find(&mut self, number: u32) -> Option<Occurrence> {
        self.skip_blocks(number);
        while self.current.is_none() || self.number < number {
            self.advance()?;
        }
        self.current.filter(|_| self.number == number)
    }

    /// Enters the last block that does not begin after `number`, in steps that double.
    fn skip_blocks(&mut self, number: u32) {
        let starts = self.postings.starts;
        let begins_before = |place: usize| starts.get(place).is_some_and(|start| start.first <= number);
        if !begins_before(self.next) {
            return;
        }
        let mut step = 1;
        while begins_before(self.next + step) {
            step *= 2;
        }
        let from = self.next + step / 2;
        let part = &starts[from..starts.len().min(self.next + step)];
        let place = from + part.partition_point(|start| start.first <= number) - 1;
        (self.at, self.number, self.next) = (starts[place].offset as usize, starts[place].first, place + 1);
        self.current = None;
    }

    /// Goes to the next memory; `None` at the end.
    fn advance(&mut self) -> Option<()> {
        let bytes = self.postings.bytes;
        if self.at >= bytes.len() {
            return None;
        }
        if let Some(start) = self.postings.starts.get(self.next)
            && start.offset as usize == self.at
        {
            self.number = start.first;
            self.next += 1;
        }
        let (distance, occurrence) = read(bytes, &mut self.at);
        self.number += distance;
        self.current = Some(occurrence);
        Some(())
    }
}

/// The place of a byte. There are fewer than 2^32: a memory takes at most 15, and nobody has so many.
pub(super) fn offset(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

/// Most memories have a term once, in their text. Others are marked by the lowest bit, and followed by how they have it.
fn write(bytes: &mut Vec<u8>, distance: u32, Occurrence { count, label }: Occurrence) {
    let is_usual = count == 1 && !label;
    write_number(bytes, distance << 1 | u32::from(!is_usual));
    if !is_usual {
        write_number(bytes, count << 1 | u32::from(label));
    }
}

fn read(bytes: &[u8], at: &mut usize) -> (u32, Occurrence) {
    let distance = read_number(bytes, at);
    let occurrence = if distance & 1 == 0 {
        Occurrence { count: 1, label: false }
    } else {
        let occurrence = read_number(bytes, at);
        Occurrence { count: occurrence >> 1, label: occurrence & 1 == 1 }
    };
    (distance >> 1, occurrence)
}

/// Seven bits a byte, the lowest first; the eighth says that there are more.
fn write_number(bytes: &mut Vec<u8>, mut number: u32) {
    while let more @ 0x80.. = number {
        bytes.push(more.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

#[inline]
fn read_number(bytes: &[u8], at: &mut usize) -> u32 {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = bytes[*at];
        *at += 1;
        number |= u32::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return number;
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::{any, prop_oneof, proptest};

    use super::*;

    fn assert_equal(postings: &Postings, expected: &BTreeMap<u32, Occurrence>) {
        assert_eq!(postings.view().len(), expected.len());
        let all: Vec<u32> = expected.keys().copied().collect();
        for limit in [0, 1, 63, 64, 65, 200, usize::MAX] {
            let newest = &all[all.len().saturating_sub(limit)..];
            assert_eq!(postings.view().newest(limit), newest, "{limit}");
        }
        for step in [1, 2, 37, 500] {
            let mut cursor = postings.view().cursor();
            for number in (0..=all.last().copied().unwrap_or(0) + 2).step_by(step) {
                assert_eq!(cursor.find(number), expected.get(&number).copied(), "{number} in steps of {step}");
            }
        }
    }

    proptest! {
        #[test]
        fn they_are_what_a_map_is_whatever_is_inserted_and_removed(
            distances in vec(prop_oneof![9 => 1..9_u32, 1 => 1..400_u32], 0..700),
            changes in vec((any::<u16>(), any::<bool>(), 0..200_u32), 0..300),
        ) {
            let (mut postings, mut expected, mut number) = (Postings::default(), BTreeMap::new(), 0);
            for distance in distances {
                let occurrence = Occurrence { count: distance % 3, label: distance % 4 == 0 };
                postings.insert(number, occurrence);
                expected.insert(number, occurrence);
                number += distance;
            }
            assert_equal(&postings, &expected);
            for (at, removes, count) in changes {
                let at = u32::from(at) % (number + 70);
                if removes || expected.contains_key(&at) {
                    assert_eq!(postings.remove(at), expected.remove(&at).is_some());
                } else {
                    postings.insert(at, Occurrence { count, label: removes });
                    expected.insert(at, Occurrence { count, label: removes });
                }
            }
            assert_equal(&postings, &expected);
            for number in expected.keys() {
                assert!(postings.remove(*number));
            }
            assert!(postings.is_empty() && postings.bytes() == 0);
        }
    }

    #[test]
    fn the_largest_number_and_count_fit() {
        let mut postings = Postings::default();
        let occurrence = Occurrence { count: 65_536, label: true };
        postings.insert(Postings::MAX_NUMBER, occurrence);
        assert_eq!(postings.view().cursor().find(Postings::MAX_NUMBER), Some(occurrence));
    }

    #[test]
    fn a_block_in_which_many_are_inserted_is_split() {
        let mut postings = Postings::default();
        let usual = Occurrence { count: 1, label: false };
        for number in 0..10 {
            postings.insert(number * 1_000, usual);
        }
        for number in 1..400 {
            postings.insert(number, usual);
        }
        assert!(postings.starts.len() > 2);
        assert_eq!(postings.view().len(), 409);
    }
}
