//! Memories that say nearly the same.

use super::model::{Content, MemoryScope};
use super::query::{Limit, MemoryFilter, MemoryQuery, QueryText};
use super::requests::{CreateMemory, Created, MemoryError};
use super::service::MemoryService;
use super::shingles::{NearDuplicate, Shingles, Similarity};
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

/// A memory that was stored or accepted, and those of which it is nearly a duplicate.
#[derive(Clone, Debug, PartialEq)]
pub struct CreatedBeside {
    /// The memory.
    pub created: Created,
    /// The most similar first; `None` if nobody looked for them, or the bank could not be searched.
    pub near_duplicates: Option<Vec<NearDuplicate>>,
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

    #[test]
    fn the_beginning_of_any_text_can_be_searched_for() {
        let long = "x".repeat(Content::MAX);
        assert_eq!(beginning(&content(&long)).unwrap().as_str().len(), SEARCHED);
        let late = format!("{}tea", " ".repeat(2 * SEARCHED));
        assert_eq!(beginning(&content(&late)).unwrap().as_str(), "tea");
        assert_eq!(beginning(&content("日本")).unwrap().as_str(), "日本");
    }
}
