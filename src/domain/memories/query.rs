//! What can be asked of a memory bank.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::answer_size::AnswerSize;
use super::model::{Category, Memory, MemoryScope};
use crate::ids::MemoryId;
use crate::system::Timestamp;
use crate::validation::{self, InvalidValue};

/// A search.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryQuery {
    /// What is looked for, in natural language.
    pub text: QueryText,
    /// How many results at the most.
    pub limit: Limit,
    /// Only results of at least this relevance.
    pub threshold: Option<Relevance>,
    /// Only memories that pass this.
    pub filter: MemoryFilter,
    /// The present moment: what has expired by then is not found.
    pub now: Timestamp,
}

/// What is looked for: 1 to 4,096 characters, no NUL. It is always data, never the syntax of a query language.
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

/// How many results at the most: 1 to 1,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limit(u32);

impl Limit {
    /// The largest limit.
    pub const MAX: u32 = 1_000;
    /// As many as can be had at once.
    pub const LARGEST: Self = Self(Self::MAX);

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

/// How well a memory fits a search: 0 (not at all) to 1 (as well as can be). Higher is better.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Relevance(f64);

impl Relevance {
    /// Clamps a bank's own score to 0..1; what is not a number is 0.
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

/// What a memory must be like. It is a type of ours, so that nothing of a caller's reaches a bank's filter language.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemoryFilter {
    /// It has one of these categories; empty for any.
    pub categories: Vec<Category>,
    /// It was created then.
    pub created: DateRange,
    /// Its metadata has all of these members with just these values.
    pub metadata: Vec<(String, Scalar)>,
}

impl MemoryFilter {
    /// How many members of the metadata a filter may name.
    pub const MAX_METADATA: usize = 16;

    /// Reads the metadata part of a filter.
    ///
    /// # Errors
    /// [`InvalidValue`] that names the member: values must be text, numbers or booleans.
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

    /// Whether `memory` passes, for banks that cannot filter by themselves.
    #[must_use]
    pub fn passes(&self, memory: &Memory) -> bool {
        (self.categories.is_empty() || self.categories.iter().any(|c| memory.categories.contains(c)))
            && self.created.contains(memory.created_at)
            && self.metadata.iter().all(|(name, wanted)| {
                memory.metadata.as_object().get(name).and_then(Scalar::from_json).as_ref() == Some(wanted)
            })
    }
}

/// A value that metadata can be compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// Text.
    Text(String),
    /// A number.
    Number(f64),
    /// A truth value.
    Bool(bool),
}

impl Scalar {
    /// The scalar that a JSON value is; `None` for null, arrays, objects, and text with a NUL.
    #[must_use]
    pub fn from_json(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) if !text.contains('\0') => Some(Self::Text(text.clone())),
            Value::Number(number) => number.as_f64().map(Self::Number),
            Value::Bool(value) => Some(Self::Bool(*value)),
            _ => None,
        }
    }
}

/// From `start` to `end`, both included; either may be open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DateRange {
    start: Option<Timestamp>,
    end: Option<Timestamp>,
}

impl DateRange {
    /// A range.
    ///
    /// # Errors
    /// [`InvalidValue`] if it ends before it starts.
    pub fn new(start: Option<Timestamp>, end: Option<Timestamp>) -> Result<Self, InvalidValue> {
        if let (Some(start), Some(end)) = (start, end)
            && end < start
        {
            return Err(InvalidValue::new("date_range.end", "must not be before `date_range.start`"));
        }
        Ok(Self { start, end })
    }

    /// The first moment in it.
    #[must_use]
    pub fn start(self) -> Option<Timestamp> {
        self.start
    }

    /// The last moment in it.
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
    /// How well it fits.
    pub relevance: Relevance,
}

/// What a search found, best first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SearchResults {
    /// The results, as many as were asked for.
    pub hits: Vec<Hit>,
    /// How many there are in all, as far as the bank can tell; at least as many as `hits`.
    pub total_found: u64,
}

/// A list, newest first.
#[derive(Clone, Debug, PartialEq)]
pub struct ListQuery {
    /// How many at most; fewer where they are large ([`AnswerSize`]).
    pub limit: Limit,
    /// Where the page before ended.
    pub after: Option<Position>,
    /// Only memories of this category.
    pub category: Option<Category>,
    /// The present moment: what has expired by then is not listed.
    pub now: Timestamp,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The memories, newest first.
    pub memories: Vec<Memory>,
    /// Where the next page begins; `None` if this is the last.
    pub next: Option<Position>,
}

impl Page {
    /// The page that begins with the first of `memories`, which are newest first and, where there are more than `limit`, at
    /// least one more. It ends early where its memories are large.
    #[must_use]
    pub fn of(memories: impl IntoIterator<Item = Memory>, limit: Limit) -> Self {
        let (mut page, mut size) = (Self { memories: Vec::new(), next: None }, AnswerSize::default());
        for memory in memories {
            if page.memories.len() >= usize::try_from(limit.get()).unwrap_or(usize::MAX) || !size.take(&memory) {
                page.next = page.memories.last().map(Position::after);
                break;
            }
            page.memories.push(memory);
        }
        page
    }
}

/// A place in a list: right after the memory of this date and id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// When that memory was created.
    pub created_at: Timestamp,
    /// Its id.
    pub id: MemoryId,
}

impl Position {
    /// The place right after `memory`.
    #[must_use]
    pub fn after(memory: &Memory) -> Self {
        Self { created_at: memory.created_at, id: memory.id.clone() }
    }

    /// The cursor by which a caller comes back to this place. It is bound to the scope, and a change to it is noticed.
    #[must_use]
    pub fn to_cursor(&self, scope: &MemoryScope) -> String {
        let place = format!("{}:{}", self.created_at.unix_millis(), self.id);
        let sum = URL_SAFE_NO_PAD.encode(cursor_sum(scope, &place));
        URL_SAFE_NO_PAD.encode(format!("{sum}:{place}"))
    }

    /// Reads a cursor.
    ///
    /// # Errors
    /// [`InvalidValue`] if it is not one that [`to_cursor`](Self::to_cursor) made for this scope.
    pub fn from_cursor(cursor: &str, scope: &MemoryScope) -> Result<Self, InvalidValue> {
        Self::decode(cursor, scope).ok_or_else(|| {
            InvalidValue::new("cursor", "is not one that a list has returned; leave it out to begin at the start")
        })
    }

    fn decode(cursor: &str, scope: &MemoryScope) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        let (sum, place) = text.split_once(':')?;
        if URL_SAFE_NO_PAD.decode(sum).ok()? != cursor_sum(scope, place) {
            return None;
        }
        let (millis, id) = place.split_once(':')?;
        Some(Self { created_at: Timestamp::from_unix_millis(millis.parse().ok()?), id: id.parse().ok()? })
    }
}

/// Not a signature: a forged cursor reaches nothing that its forger could not list anyway. It catches mistakes.
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
