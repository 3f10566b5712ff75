//! The terms of a scope with the memories that have each.
//!
//! Most terms occur in a few memories, and an entry in a tree takes many times the space of what they hold. So terms whose
//! postings are one block are packed: all texts one behind the other, in order, and all postings likewise. A term that changes
//! is taken out; once many are, all are packed again.

use std::collections::BTreeMap;
use std::iter::from_fn;
use std::mem::{size_of, take};
use std::ops::Bound;

use super::postings::{LARGEST_BLOCK, Occurrence, Postings, PostingsView, offset};

/// Approximate size of what a term in the tree needs besides its postings: its text, its place, two allocations.
const TERM_BYTES: usize = 144;
/// All terms are packed again once more than this many, plus one in 32 of the packed ones, were added to the tree.
const UNPACKED: usize = 64;

/// Terms with their postings.
#[derive(Debug, Default)]
pub(super) struct TermMap {
    packed: PackedTerms,
    /// The terms that are not packed.
    others: BTreeMap<Box<str>, Postings>,
    /// Size of their postings.
    others_bytes: usize,
    /// Number of terms added to the tree since the last packing.
    unpacked: usize,
}

impl TermMap {
    /// Approximate size.
    pub(super) fn bytes(&self) -> usize {
        self.packed.bytes() + self.others_bytes + self.others.len() * TERM_BYTES
    }

    /// The memories that have `term`.
    pub(super) fn get(&self, term: &str) -> Option<PostingsView<'_>> {
        match self.others.get(term) {
            Some(postings) => Some(postings.view()),
            None => self.packed.view(self.packed.find(term)?),
        }
    }

    /// The terms from `first` on, in order.
    pub(super) fn from(&self, first: &str) -> impl Iterator<Item = (&str, PostingsView<'_>)> {
        let others = self.others.range::<str, _>((Bound::Included(first), Bound::Unbounded));
        merged(self.packed.from(first), others.map(|(term, postings)| (&**term, postings.view())))
    }

    /// Adds a memory that does not have `term` yet.
    pub(super) fn insert(&mut self, term: &str, number: u32, occurrence: Occurrence) {
        if let Some(postings) = self.others.get_mut(term) {
            let before = postings.bytes();
            postings.insert(number, occurrence);
            self.others_bytes = self.others_bytes + postings.bytes() - before;
        } else {
            let mut postings = self.packed.take(term).unwrap_or_default();
            postings.insert(number, occurrence);
            self.insert_other(term.into(), postings);
        }
    }

    /// Removes the memories `numbers`, which are in ascending order, from all terms.
    pub(super) fn remove(&mut self, numbers: &[u32]) {
        let Some(&first) = numbers.first() else { return };
        for term in self.packed.terms_of(numbers) {
            if let Some(postings) = self.packed.take(&term) {
                self.insert_other(term, postings);
            }
        }
        let bytes = &mut self.others_bytes;
        self.others.retain(|_, postings| {
            if postings.last().is_none_or(|last| last < first) {
                return true;
            }
            let before = postings.bytes();
            for number in those_of(postings.view(), numbers).collect::<Vec<_>>() {
                postings.remove(number);
            }
            *bytes = *bytes + postings.bytes() - before;
            !postings.is_empty()
        });
    }

    fn insert_other(&mut self, term: Box<str>, postings: Postings) {
        self.others_bytes += postings.bytes();
        self.others.insert(term, postings);
        self.unpacked += 1;
    }

    /// Packs again if many terms were added to the tree.
    pub(super) fn pack_if_due(&mut self) {
        if self.unpacked > UNPACKED + self.packed.terms.len() / 32 {
            self.pack();
        }
    }

    /// Packs every term whose postings are one block, and frees spare capacity.
    pub(super) fn pack(&mut self) {
        let (small, mut large): (BTreeMap<_, _>, BTreeMap<_, _>) =
            take(&mut self.others).into_iter().partition(|(_, postings)| packable(postings.view()).is_some());
        let mut packed = PackedTerms::default();
        let views = small.iter().map(|(term, postings)| (&**term, postings.view()));
        for (term, postings) in merged(self.packed.from(""), views) {
            packed.push(term, postings);
        }
        packed.shrink();
        large.values_mut().for_each(Postings::shrink);
        self.others_bytes = large.values().map(Postings::bytes).sum();
        (self.packed, self.others, self.unpacked) = (packed, large, 0);
    }
}

/// The block that is packed, and how many memories it has; `None` if there are more blocks.
fn packable(postings: PostingsView<'_>) -> Option<(&[u8], u8)> {
    const { assert!(LARGEST_BLOCK <= u8::MAX as usize) };
    Some((postings.only_block()?, u8::try_from(postings.len()).ok()?))
}

/// Those of the ascending `numbers` that are among `postings`.
fn those_of<'a>(postings: PostingsView<'a>, numbers: &'a [u32]) -> impl Iterator<Item = u32> {
    let mut cursor = postings.cursor();
    numbers.iter().copied().filter(move |number| cursor.find(*number).is_some())
}

/// Two sequences as one, in the order of their terms.
fn merged<'a, V>(
    first: impl Iterator<Item = (&'a str, V)>,
    second: impl Iterator<Item = (&'a str, V)>,
) -> impl Iterator<Item = (&'a str, V)> {
    let (mut first, mut second) = (first.peekable(), second.peekable());
    from_fn(move || match (first.peek(), second.peek()) {
        (Some((one, _)), Some((other, _))) if other < one => second.next(),
        (None, _) => second.next(),
        _ => first.next(),
    })
}

/// Terms whose postings are one block each, in order. The texts are one behind the other, and so are the postings.
#[derive(Debug, Default)]
struct PackedTerms {
    terms: Vec<PackedTerm>,
    texts: String,
    postings: Vec<u8>,
}

/// Where a term begins; it ends where the next one begins.
#[derive(Clone, Copy, Debug)]
struct PackedTerm {
    text: u32,
    postings: u32,
    /// Number of memories that have it; 0 once it was taken out.
    memories: u8,
}

impl PackedTerms {
    fn bytes(&self) -> usize {
        self.terms.len() * size_of::<PackedTerm>() + self.texts.len() + self.postings.len()
    }

    fn text(&self, place: usize) -> &str {
        let end = self.terms.get(place + 1).map_or(self.texts.len(), |next| next.text as usize);
        &self.texts[self.terms[place].text as usize..end]
    }

    /// The postings of a term that is there.
    fn view(&self, place: usize) -> Option<PostingsView<'_>> {
        let PackedTerm { postings, memories, .. } = self.terms[place];
        let end = self.terms.get(place + 1).map_or(self.postings.len(), |next| next.postings as usize);
        let bytes = &self.postings[postings as usize..end];
        (memories > 0).then(|| PostingsView::of_block(bytes, u32::from(memories)))
    }

    /// The place of the first term that is not before `term`.
    fn place(&self, term: &str) -> usize {
        let (mut from, mut to) = (0, self.terms.len());
        while from < to {
            let middle = from.midpoint(to);
            if self.text(middle) < term { from = middle + 1 } else { to = middle }
        }
        from
    }

    fn find(&self, term: &str) -> Option<usize> {
        let place = self.place(term);
        (place < self.terms.len() && self.text(place) == term).then_some(place)
    }

    fn from(&self, first: &str) -> impl Iterator<Item = (&str, PostingsView<'_>)> {
        (self.place(first)..self.terms.len()).filter_map(|place| Some((self.text(place), self.view(place)?)))
    }

    /// The terms that some of the ascending `numbers` have.
    fn terms_of(&self, numbers: &[u32]) -> Vec<Box<str>> {
        let of_some = self.from("").filter(|(_, postings)| those_of(*postings, numbers).next().is_some());
        of_some.map(|(term, _)| term.into()).collect()
    }

    /// Takes a term out. Its bytes stay until all is packed again.
    fn take(&mut self, term: &str) -> Option<Postings> {
        let place = self.find(term)?;
        let (block, memories) = packable(self.view(place)?)?;
        let postings = Postings::of_block(block, u32::from(memories));
        self.terms[place].memories = 0;
        Some(postings)
    }

    /// Adds a term that comes after all others.
    fn push(&mut self, term: &str, postings: PostingsView<'_>) {
        let Some((block, memories)) = packable(postings) else { return };
        self.terms.push(PackedTerm { text: offset(self.texts.len()), postings: offset(self.postings.len()), memories });
        self.texts.push_str(term);
        self.postings.extend_from_slice(block);
    }

    fn shrink(&mut self) {
        self.terms.shrink_to_fit();
        self.texts.shrink_to_fit();
        self.postings.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::collections::btree_map::Entry;

    use proptest::collection::vec;
    use proptest::prelude::{any, proptest};

    use super::*;

    type Expected = BTreeMap<String, BTreeMap<u32, Occurrence>>;

    /// Few terms are common, and most are rare: the first has an eighth of all.
    fn term(at: u16) -> String {
        let rank = u64::from(at).pow(4) >> 52;
        if rank % 2 == 0 { format!("t{rank}") } else { format!("é{rank}") }
    }

    fn assert_equal(terms: &TermMap, expected: &Expected) {
        let all: Vec<(&str, usize)> = terms.from("").map(|(term, postings)| (term, postings.len())).collect();
        let wanted: Vec<(&str, usize)> = expected.iter().map(|(term, has)| (&**term, has.len())).collect();
        assert_eq!(all, wanted);
        let later: Vec<&str> = terms.from("t2").map(|(term, _)| term).collect();
        assert_eq!(later, expected.range("t2".to_owned()..).map(|(term, _)| &**term).collect::<Vec<_>>());
        for (term, memories) in expected {
            let postings = terms.get(term).unwrap();
            assert_eq!(postings.newest(usize::MAX), memories.keys().copied().collect::<Vec<_>>(), "{term}");
            let mut cursor = postings.cursor();
            for number in 0..=memories.keys().last().unwrap() + 1 {
                assert_eq!(cursor.find(number), memories.get(&number).copied(), "{number} of {term}");
            }
        }
        assert!(terms.get("t").is_none() && terms.get("u").is_none());
        let others = || terms.others.values();
        assert_eq!(terms.others_bytes, others().map(Postings::bytes).sum::<usize>());
    }

    proptest! {
        #[test]
        fn they_are_what_a_map_of_maps_is_whenever_they_are_packed(
            memories in vec(vec(any::<u16>(), 1..8), 1..700),
            changes in vec((any::<u16>(), vec(any::<u16>(), 0..8), any::<bool>()), 0..60),
            packed_after in 0..700_usize,
        ) {
            let (mut terms, mut expected) = (TermMap::default(), Expected::new());
            let insert = |terms: &mut TermMap, expected: &mut Expected, number: u32, ats: &[u16]| {
                for (place, at) in ats.iter().enumerate() {
                    let occurrence = Occurrence { count: u32::try_from(place).unwrap() + 1, label: at % 3 == 0 };
                    let memories = expected.entry(term(*at)).or_default();
                    if let Entry::Vacant(entry) = memories.entry(number) {
                        terms.insert(&term(*at), number, occurrence);
                        entry.insert(occurrence);
                    }
                }
            };
            for (number, ats) in (0..).zip(&memories) {
                insert(&mut terms, &mut expected, number, ats);
                if usize::try_from(number).unwrap() == packed_after {
                    terms.pack();
                }
            }
            assert_equal(&terms, &expected);
            let end = u32::try_from(memories.len()).unwrap();
            for (number, ats, packs) in &changes {
                let mut numbers = vec![u32::from(*number) % end, u32::from(*number / 2) % end];
                numbers.sort_unstable();
                numbers.dedup();
                terms.remove(&numbers);
                for memories in expected.values_mut() {
                    memories.retain(|number, _| !numbers.contains(number));
                }
                expected.retain(|_, memories| !memories.is_empty());
                insert(&mut terms, &mut expected, numbers[0], ats);
                if *packs {
                    terms.pack_if_due();
                }
            }
            assert_equal(&terms, &expected);
            terms.pack();
            assert_equal(&terms, &expected);
            assert!(terms.others.values().all(|postings| postings.view().only_block().is_none()));
            terms.remove(&(0..end).collect::<Vec<_>>());
            assert_equal(&terms, &Expected::new());
            terms.pack();
            assert_eq!(terms.bytes(), 0);
        }
    }

    #[test]
    fn packed_terms_take_a_fraction_of_the_space_and_changes_do_not_pile_up() {
        let usual = Occurrence { count: 1, label: false };
        let mut terms = TermMap::default();
        for at in 0..5_000 {
            terms.insert(&format!("term{at}"), at / 10, usual);
        }
        let before = terms.bytes();
        terms.pack();
        let packed = terms.bytes();
        assert!(packed * 5 < before, "{packed} of {before} bytes");
        for at in 0..5_000 {
            terms.insert(&format!("term{at}"), 1_000 + at / 10, usual);
            terms.pack_if_due();
        }
        assert!(terms.bytes() < packed * 3, "{} bytes after {packed}", terms.bytes());
    }
}
