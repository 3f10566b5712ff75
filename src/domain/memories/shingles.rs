//! How similar two texts are, character by character.

use super::model::{Content, Memory};

/// How similar two texts are, from 0 to 1: the share that their shingles have in common (the Jaccard index). The shingles of a
/// text are all sequences of three characters of it, in lower case, with one space for whatever is no letter and no digit
/// between words, before the first and after the last.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Similarity(f64);

impl Similarity {
    /// From which similarity on two memories are near duplicates.
    pub const NEAR: Self = Self(0.6);

    /// The similarity of two texts.
    #[must_use]
    pub fn of(one: &Content, other: &Content) -> Self {
        Shingles::of(one.as_str()).similarity(&Shingles::of(other.as_str()))
    }

    /// As a number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

/// A memory that is nearly the same as another one.
#[derive(Clone, Debug, PartialEq)]
pub struct NearDuplicate {
    /// The memory.
    pub memory: Memory,
    /// How similar the texts are.
    pub similarity: Similarity,
}

/// The distinct shingles of a text, each packed into a number, in order.
pub(super) struct Shingles(Vec<u64>);

impl Shingles {
    pub(super) fn of(text: &str) -> Self {
        let mut characters = vec![' '];
        for character in text.chars().flat_map(char::to_lowercase) {
            if character.is_alphanumeric() {
                characters.push(character);
            } else if characters.last() != Some(&' ') {
                characters.push(' ');
            }
        }
        if characters.last() != Some(&' ') {
            characters.push(' ');
        }
        // A character has 21 bits.
        let pack = |shingle: &[char]| shingle.iter().fold(0, |packed, character| packed << 21 | u64::from(*character));
        let mut shingles: Vec<u64> = characters.windows(3).map(pack).collect();
        shingles.sort_unstable();
        shingles.dedup();
        Self(shingles)
    }

    pub(super) fn similarity(&self, other: &Self) -> Similarity {
        let (mut ours, mut theirs) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut shared = 0;
        while let (Some(one), Some(other)) = (ours.peek(), theirs.peek()) {
            match one.cmp(other) {
                std::cmp::Ordering::Less => drop(ours.next()),
                std::cmp::Ordering::Greater => drop(theirs.next()),
                std::cmp::Ordering::Equal => {
                    shared += 1;
                    ours.next();
                    theirs.next();
                }
            }
        }
        let all = self.0.len() + other.0.len() - shared;
        let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        Similarity(if all == 0 { 0.0 } else { number(shared) / number(all) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::content;

    fn similarity(one: &str, other: &str) -> String {
        let (one, other) = (content(one), content(other));
        let similarity = Similarity::of(&one, &other);
        assert_eq!(similarity, Similarity::of(&other, &one));
        format!("{:.2}", similarity.get())
    }

    #[test]
    fn texts_that_say_nearly_the_same_are_near_duplicates() {
        for (one, other, expected) in [
            ("Marta drinks tea.", "  marta DRINKS tea!", "1.00"),
            ("Marta's birthday is on May 8.", "Marta's birthday is on May 9.", "0.86"),
            ("The user prefers tea over coffee.", "User prefers tea to coffee.", "0.63"),
            ("Marta is allergic to hazelnuts.", "Marta is allergic to hazelnuts and all other tree nuts.", "0.62"),
            ("Ich trinke keinen Kaffee nach 15 Uhr.", "Ich trinke nach 15 Uhr keinen Kaffee.", "0.94"),
        ] {
            assert_eq!(similarity(one, other), expected, "{one} / {other}");
            assert!(Similarity::of(&content(one), &content(other)) >= Similarity::NEAR);
        }
    }

    #[test]
    fn texts_about_the_same_are_no_near_duplicates() {
        for (one, other, expected) in [
            ("The spare key is under the fern.", "The spare key is in the shed.", "0.44"),
            ("Marta works at the library.", "Marta works at the museum.", "0.55"),
            ("Marta drinks tea.", "Nils flies to Oslo.", "0.03"),
            ("!", "!", "0.00"),
            ("a", "b", "0.00"),
            ("a", "a", "1.00"),
        ] {
            assert_eq!(similarity(one, other), expected, "{one} / {other}");
        }
    }
}
