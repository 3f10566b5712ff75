//! Memories that say nearly the same.

use super::model::{Content, Memory, MemoryScope};
use super::query::{Limit, MemoryFilter, MemoryQuery, QueryText};
use super::requests::{CreateMemory, Created, MemoryError};
use super::service::MemoryService;
use crate::ids::RequestId;
use crate::oauth::{Authorized, Read, Write};
use crate::validation::InvalidValue;

/// What a create does about memories of the scope that are nearly the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnNearDuplicate {
    /// It does not look for them.
    #[default]
    Ignore,
    /// It names them.
    Report,
    /// If there are any, it stores nothing.
    Reject,
}

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

/// A memory that was stored or accepted, and those of which it is nearly a duplicate.
#[derive(Clone, Debug, PartialEq)]
pub struct CreatedBeside {
    /// The memory.
    pub created: Created,
    /// The most similar first; `None` if nobody looked for them, or the bank could not be searched.
    pub near_duplicates: Option<Vec<NearDuplicate>>,
}

/// The distinct shingles of a text, each packed into a number, in order.
struct Shingles(Vec<u64>);

impl Shingles {
    fn of(text: &str) -> Self {
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

    fn similarity(&self, other: &Self) -> Similarity {
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

/// How many of the memories that a search finds best are compared.
const COMPARED: i64 = 10;
/// How many characters of a text are searched for: enough to find one that is nearly the same.
const SEARCHED: usize = 400;

impl MemoryService {
    /// As [`create`](Self::create), and looks for memories that are nearly the same before. Those that wait for the bank, or are
    /// stored at the same time, are not compared. To look for them needs `memory:read` besides.
    ///
    /// # Errors
    /// [`MemoryError`], [`MemoryError::NearDuplicate`] among them.
    pub async fn create_beside(
        &self,
        caller: &Authorized<Write>,
        request: RequestId,
        create: CreateMemory,
        on_near_duplicate: OnNearDuplicate,
    ) -> Result<CreatedBeside, MemoryError> {
        let mut near_duplicates = self.look_for_near_duplicates(caller, &create, on_near_duplicate).await?;
        let created = self.create(caller, request, create).await?;
        if let (Some(found), Created::Stored(stored)) = (&mut near_duplicates, &created) {
            // A repetition finds what its first request has stored.
            found.retain(|near| near.memory.id != stored.memory.id);
        }
        Ok(CreatedBeside { created, near_duplicates })
    }

    async fn look_for_near_duplicates(
        &self,
        caller: &Authorized<Write>,
        create: &CreateMemory,
        on_near_duplicate: OnNearDuplicate,
    ) -> Result<Option<Vec<NearDuplicate>>, MemoryError> {
        if on_near_duplicate == OnNearDuplicate::Ignore {
            return Ok(None);
        }
        // What is similar to a text tells what is stored.
        let _reads: Authorized<Read> = caller.also()?;
        let scope = MemoryScope::of(caller);
        match self.near_duplicates(&scope, create).await {
            Ok(found) if on_near_duplicate == OnNearDuplicate::Reject && !found.is_empty() => {
                if self.is_repetition(caller, &scope, create).await? {
                    return Ok(Some(found));
                }
                Err(MemoryError::NearDuplicate(found))
            }
            Ok(found) => Ok(Some(found)),
            // A memory that is only to be compared is stored all the same.
            Err(MemoryError::Bank(_)) if on_near_duplicate == OnNearDuplicate::Report => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The memories of the scope that are nearly the same, but for the one that is superseded, the most similar first.
    async fn near_duplicates(
        &self,
        scope: &MemoryScope,
        create: &CreateMemory,
    ) -> Result<Vec<NearDuplicate>, MemoryError> {
        let query = MemoryQuery {
            text: beginning(&create.content)?,
            limit: Limit::try_from(COMPARED)?,
            threshold: None,
            filter: MemoryFilter::default(),
            now: self.clock.now(),
        };
        let shingles = Shingles::of(create.content.as_str());
        let mut near = Vec::new();
        for hit in self.bank().search(scope, &query).await?.hits {
            let similarity = shingles.similarity(&Shingles::of(hit.memory.content.as_str()));
            if similarity >= Similarity::NEAR && create.supersedes.as_ref() != Some(&hit.memory.id) {
                near.push(NearDuplicate { memory: hit.memory, similarity });
            }
        }
        near.sort_by(|a, b| b.similarity.get().total_cmp(&a.similarity.get()));
        Ok(near)
    }
}

fn beginning(content: &Content) -> Result<QueryText, InvalidValue> {
    let text: String = content.as_str().trim_start().chars().take(SEARCHED).collect();
    QueryText::try_from(text)
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

    #[test]
    fn the_beginning_of_any_text_can_be_searched_for() {
        let long = "x".repeat(Content::MAX);
        assert_eq!(beginning(&content(&long)).unwrap().as_str().len(), SEARCHED);
        let late = format!("{}tea", " ".repeat(2 * SEARCHED));
        assert_eq!(beginning(&content(&late)).unwrap().as_str(), "tea");
        assert_eq!(beginning(&content("日本")).unwrap().as_str(), "日本");
    }
}
