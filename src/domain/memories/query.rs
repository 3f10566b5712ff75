//! Queries to a memory bank.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::answer_size::AnswerSize;
use super::condition::Condition;
use super::model::{Memory, MemoryScope};
use super::scalar::Scalar;
use crate::applications::Category;
use crate::ids::{ApplicationId, MemoryId};
use crate::system::Timestamp;
use crate::validation::{self, InvalidValue};

/// A search.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryQuery {
    /// The query, in natural language.
    pub text: QueryText,
    /// Maximum number of results.
    pub limit: Limit,
    /// Minimum relevance of a result.
    pub threshold: Option<Relevance>,
    /// The filter that results must pass.
    pub filter: MemoryFilter,
    /// The current time: what has expired by then is not found.
    pub now: Timestamp,
}

/// The text of a query: 1 to 4,096 characters, no NUL. It is always data, never the syntax of a query language.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct QueryText(String);

impl QueryText {
    const MAX: usize = 4_096;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for QueryText {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, InvalidValue> {
        validation::text("query", text, Self::MAX).map(Self)
    }
}

impl fmt::Debug for QueryText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QueryText(…)")
    }
}

/// Maximum number of results: 1 to 1,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limit(u32);

impl Limit {
    /// The largest limit.
    pub const MAX: u32 = 1_000;
    /// The largest limit, for internal use.
    pub const LARGEST: Self = Self(Self::MAX);

    /// A page for what reads everything, however much there is.
    pub const PAGE: Self = Self(200);

    /// How many categories are named unless another number is asked for.
    pub const CATEGORIES: Self = Self(100);

    /// The limit as a number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(10)
    }
}

impl TryFrom<i64> for Limit {
    type Error = InvalidValue;

    fn try_from(number: i64) -> Result<Self, InvalidValue> {
        u32::try_from(number)
            .ok()
            .filter(|number| (1..=Self::MAX).contains(number))
            .map(Self)
            .ok_or_else(|| InvalidValue::new("limit", format!("must be 1 to {}", Self::MAX)))
    }
}

/// The relevance of a memory for a search: 0 (not at all) to 1 (perfect). Higher is better.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Relevance(f64);

impl Relevance {
    /// Clamps a bank's own score to 0..1; NaN is 0.
    #[must_use]
    pub fn clamped(score: f64) -> Self {
        if score.is_nan() { Self(0.0) } else { Self(score.clamp(0.0, 1.0)) }
    }

    /// The score as a number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Relevance {
    type Error = InvalidValue;

    fn try_from(number: f64) -> Result<Self, InvalidValue> {
        if (0.0..=1.0).contains(&number) {
            Ok(Self(number))
        } else {
            Err(InvalidValue::new("threshold", "must be a number from 0 to 1"))
        }
    }
}

/// The conditions of a filter. It is a domain type, so that no caller input reaches a bank's filter language.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemoryFilter {
    /// It has one of these categories; empty for any.
    pub categories: Vec<Category>,
    /// It was created in this range.
    pub created: DateRange,
    /// It was said or happened in this range; see [`Memory::occurred`].
    pub occurred: DateRange,
    /// Its metadata has all of these members with exactly these values.
    pub metadata: Vec<(String, Scalar)>,
    /// It meets this condition.
    pub condition: Option<Condition>,
}

impl MemoryFilter {
    /// Maximum number of metadata members in a filter.
    pub const MAX_METADATA: usize = 16;

    /// Parses the metadata part of a filter.
    ///
    /// # Errors
    /// [`InvalidValue`] that names the member: values must be strings, numbers or booleans.
    pub fn parse_metadata(object: Map<String, Value>) -> Result<Vec<(String, Scalar)>, InvalidValue> {
        if object.len() > Self::MAX_METADATA {
            let problem = format!("must have at most {} members", Self::MAX_METADATA);
            return Err(InvalidValue::new("metadata", problem));
        }
        object
            .into_iter()
            .map(|(name, value)| {
                let problem = "must be text without NUL, a number, or true or false";
                let scalar = Scalar::from_json(&value)
                    .filter(|_| !name.contains('\0'))
                    .ok_or_else(|| InvalidValue::new(format!("metadata.{name}").replace('\0', "\u{fffd}"), problem))?;
                Ok((name, scalar))
            })
            .collect()
    }

    /// Whether it has no condition.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it depends on metadata.
    #[must_use]
    pub fn reads_metadata(&self) -> bool {
        !self.metadata.is_empty() || self.condition.as_ref().is_some_and(Condition::reads_metadata)
    }

    /// Whether it has a range of dates.
    #[must_use]
    pub fn has_dates(&self) -> bool {
        [self.created, self.occurred].iter().any(|range| *range != DateRange::default())
    }

    /// Whether `memory` passes, for banks without filters of their own.
    #[must_use]
    pub fn passes(&self, memory: &Memory) -> bool {
        (self.categories.is_empty() || self.categories.iter().any(|c| memory.categories.contains(c)))
            && self.created.contains(memory.created_at)
            && self.occurred.contains(memory.occurred())
            && self.metadata.iter().all(|(name, wanted)| {
                memory.metadata.as_object().get(name).and_then(Scalar::from_json).as_ref() == Some(wanted)
            })
            && self.condition.as_ref().is_none_or(|condition| condition.is_met_by(memory))
    }
}

/// From `start` to `end`, both inclusive; either may be open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DateRange {
    start: Option<Timestamp>,
    end: Option<Timestamp>,
}

impl DateRange {
    /// A range.
    ///
    /// # Errors
    /// [`InvalidValue`] for a member of `field` if the end is before the start.
    pub fn new(field: &str, start: Option<Timestamp>, end: Option<Timestamp>) -> Result<Self, InvalidValue> {
        if let (Some(start), Some(end)) = (start, end)
            && end < start
        {
            return Err(InvalidValue::new(format!("{field}.end"), format!("must not be before `{field}.start`")));
        }
        Ok(Self { start, end })
    }

    /// Parses a range from two texts, each after the name of its field; a date alone stands for the whole day in UTC.
    ///
    /// # Errors
    /// [`InvalidValue`] that names the field: its text is not a date, or the end is before the start.
    pub fn parse(
        (from_field, from): (&str, Option<&str>),
        (until_field, until): (&str, Option<&str>),
    ) -> Result<Self, InvalidValue> {
        let start = from.map(|text| Timestamp::parse(from_field, text)).transpose()?;
        let end = until.map(|text| Timestamp::parse_end(until_field, text)).transpose()?;
        let is_backwards = start.zip(end).is_some_and(|(start, end)| end < start);
        if is_backwards {
            return Err(InvalidValue::new(until_field, format!("must not be before `{from_field}`")));
        }
        Ok(Self { start, end })
    }

    /// The first timestamp in it.
    #[must_use]
    pub fn start(self) -> Option<Timestamp> {
        self.start
    }

    /// The last timestamp in it.
    #[must_use]
    pub fn end(self) -> Option<Timestamp> {
        self.end
    }

    /// Whether `at` is in it.
    #[must_use]
    pub fn contains(self, at: Timestamp) -> bool {
        self.start.is_none_or(|start| start <= at) && self.end.is_none_or(|end| at <= end)
    }
}

/// One result of a search.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// The memory.
    pub memory: Memory,
    /// Its relevance.
    pub relevance: Relevance,
}

/// The results of a search, best first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SearchResults {
    /// The results, up to the limit.
    pub hits: Vec<Hit>,
    /// Total number of matches, as far as the bank knows; at least as many as `hits`.
    pub total_found: u64,
}

/// Which earlier answers to a search may stand in for the bank's.
#[derive(Clone, Copy, Debug)]
pub struct StaleAllowed {
    /// The application that searches.
    pub application: ApplicationId,
    /// How old they may be.
    pub max_age: Duration,
}

/// The answer to a search.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchAnswer {
    /// The results.
    pub results: SearchResults,
    /// Their age, if the bank is unavailable and an earlier answer is given.
    pub stale_for: Option<Duration>,
}

/// A list, newest first.
#[derive(Clone, Debug, PartialEq)]
pub struct ListQuery {
    /// Maximum number; fewer where memories are large ([`AnswerSize`]), or where few of many pass the filter.
    pub limit: Limit,
    /// Where the previous page ended, in the same order.
    pub after: Option<Position>,
    /// What newest means.
    pub order: ListOrder,
    /// The filter that memories must pass.
    pub filter: MemoryFilter,
    /// The current time: what has expired by then is not listed.
    pub now: Timestamp,
}

impl ListQuery {
    /// The first page of all memories.
    #[must_use]
    pub fn new(limit: Limit, now: Timestamp) -> Self {
        Self { limit, after: None, order: ListOrder::default(), filter: MemoryFilter::default(), now }
    }

    /// Whether `memory` is on this page or a later one, if it is visible.
    #[must_use]
    pub fn lists(&self, memory: &Memory) -> bool {
        self.filter.passes(memory)
            && self.after.as_ref().is_none_or(|after| after.is_newer_than(&Position::after(memory, self.order)))
    }
}

/// The date by which a list is sorted, newest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListOrder {
    /// [`Memory::created_at`].
    #[default]
    Created,
    /// [`Memory::occurred`].
    Occurred,
}

impl ListOrder {
    /// The date of `memory`.
    #[must_use]
    pub fn date_of(self, memory: &Memory) -> Timestamp {
        match self {
            Self::Created => memory.created_at,
            Self::Occurred => memory.occurred(),
        }
    }
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The memories, newest first.
    pub memories: Vec<Memory>,
    /// Where the next page starts; `None` if this is the last one.
    pub next: Option<Position>,
}

/// A page of a list, for its caller.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryList {
    /// The memories, newest first.
    pub memories: Vec<Memory>,
    /// The cursor of the next page; `None` if this is the last one.
    pub next: Option<String>,
    /// For each of the memories, the cursor of what follows it: a response can end with any of them.
    pub cursors: Vec<String>,
}

impl MemoryList {
    pub(super) fn of(page: Page, scope: &MemoryScope, order: ListOrder) -> Self {
        let cursor = |memory| Position::after(memory, order).to_cursor(scope);
        Self {
            cursors: page.memories.iter().map(cursor).collect(),
            next: page.next.map(|position| position.to_cursor(scope)),
            memories: page.memories,
        }
    }
}

impl Page {
    /// The page that starts with the first of `memories`, which are sorted newest first and, if there are more than `limit`,
    /// contain at least one more. It ends early if its memories are large.
    #[must_use]
    pub fn of(memories: impl IntoIterator<Item = Memory>, limit: Limit, order: ListOrder) -> Self {
        let (mut page, mut size) = (Self { memories: Vec::new(), next: None }, AnswerSize::default());
        for memory in memories {
            if page.memories.len() >= usize::try_from(limit.get()).unwrap_or(usize::MAX) || !size.take(&memory) {
                page.next = page.memories.last().map(|memory| Position::after(memory, order));
                break;
            }
            page.memories.push(memory);
        }
        page
    }
}

/// A position in a list: right after the memory with this date and ID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The order of the list.
    pub order: ListOrder,
    /// The date of that memory by which the list is sorted.
    pub at: Timestamp,
    /// Its id.
    pub id: MemoryId,
}

impl Position {
    /// The position right after `memory` in a list of that order.
    #[must_use]
    pub fn after(memory: &Memory, order: ListOrder) -> Self {
        Self { order, at: order.date_of(memory), id: memory.id.clone() }
    }

    /// Whether it comes before `other` in the same list.
    #[must_use]
    pub fn is_newer_than(&self, other: &Self) -> bool {
        (self.at, &self.id) > (other.at, &other.id)
    }

    /// The cursor for this position. It is bound to the scope, and tampering is detected.
    #[must_use]
    pub fn to_cursor(&self, scope: &MemoryScope) -> String {
        let order = match self.order {
            ListOrder::Created => "",
            ListOrder::Occurred => OCCURRED,
        };
        let place = format!("{order}{}:{}", self.at.unix_millis(), self.id);
        let sum = URL_SAFE_NO_PAD.encode(cursor_sum(scope, &place));
        URL_SAFE_NO_PAD.encode(format!("{sum}:{place}"))
    }

    /// Parses a cursor.
    ///
    /// # Errors
    /// [`InvalidValue`] if it was not made by [`to_cursor`](Self::to_cursor) for this scope, in a list of this order.
    pub fn from_cursor(cursor: &str, scope: &MemoryScope, order: ListOrder) -> Result<Self, InvalidValue> {
        Self::decode(cursor, scope).filter(|position| position.order == order).ok_or_else(|| {
            InvalidValue::new("cursor", "is not one that a list has returned; leave it out to begin at the start")
        })
    }

    fn decode(cursor: &str, scope: &MemoryScope) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        let (sum, place) = text.split_once(':')?;
        if URL_SAFE_NO_PAD.decode(sum).ok()? != cursor_sum(scope, place) {
            return None;
        }
        let (order, place) = match place.strip_prefix(OCCURRED) {
            Some(place) => (ListOrder::Occurred, place),
            None => (ListOrder::Created, place),
        };
        let (millis, id) = place.split_once(':')?;
        Some(Self { order, at: Timestamp::from_unix_millis(millis.parse().ok()?), id: id.parse().ok()? })
    }
}

/// The beginning of a place in a list by when things were said.
const OCCURRED: &str = "o";

/// Not a signature: a forged cursor reaches nothing that its forger could not list anyway. It detects mistakes.
fn cursor_sum(scope: &MemoryScope, place: &str) -> [u8; 9] {
    let digest = Sha256::new()
        .chain_update("memgate cursor\0")
        .chain_update(scope.tenant())
        .chain_update("\0")
        .chain_update(place);
    let mut sum = [0; 9];
    sum.copy_from_slice(&digest.finalize()[..9]);
    sum
}

#[cfg(test)]
mod tests;
