//! Metadata of a memory: the caller's own, and where the memory came from.

use std::fmt;

use serde_json::{Map, Value};

use crate::audit::Context;
use crate::validation::{InvalidValue, ValueProblem};

/// A caller's JSON object: at most 64 members, 16 KiB and 5 levels.
///
/// Some names are reserved for memgate and rejected from callers: those by which banks distinguish tenants, and those whose
/// value a bank would interpret.
#[derive(Clone, Default, PartialEq)]
pub struct Metadata(Map<String, Value>);

impl Metadata {
    /// Maximum number of members that a caller may send.
    pub const MAX_MEMBERS: usize = 64;
    const MAX_NAME: usize = 128;
    const MAX_BYTES: usize = 16 * 1024;
    const MAX_DEPTH: usize = 5;
    /// What [`with_context`](Self::with_context) may add to that.
    const CONTEXT_MEMBERS: usize = 2;
    const CONTEXT_BYTES: usize = 2 * 1024;
    /// The member that holds the ID of the GPT that wrote the memory.
    pub const CUSTOM_GPT_ID: &str = "custom_gpt_id";
    /// The member that holds the ID of the conversation in which the memory was written.
    pub const CONVERSATION_ID: &str = "conversation_id";
    const RESERVED: [&str; 9] =
        ["user_id", "agent_id", "run_id", "app_id", "org_id", "project_id", "created_at", "updated_at", "write_id"];

    /// Accepts a caller's metadata.
    ///
    /// # Errors
    /// [`InvalidValue`] that names the member.
    pub fn from_caller(object: Map<String, Value>) -> Result<Self, InvalidValue> {
        if let Some(name) = object.keys().find(|name| is_reserved(name)) {
            return Err(InvalidValue::new(format!("metadata.{name}"), ValueProblem::Reserved));
        }
        Self::check(object, Self::MAX_MEMBERS, Self::MAX_BYTES)
    }

    /// Accepts stored metadata.
    ///
    /// # Errors
    /// [`InvalidValue`] if no version of this program can have stored it.
    pub fn from_stored(object: Map<String, Value>) -> Result<Self, InvalidValue> {
        Self::check(object, Self::MAX_MEMBERS + Self::CONTEXT_MEMBERS, Self::MAX_BYTES + Self::CONTEXT_BYTES)
    }

    fn check(object: Map<String, Value>, max_members: usize, max_bytes: usize) -> Result<Self, InvalidValue> {
        let refuse = |problem: ValueProblem| Err(InvalidValue::new("metadata", problem));
        if object.len() > max_members {
            return refuse(ValueProblem::TooManyMembers(max_members));
        }
        if object.keys().any(|name| name.is_empty() || name.chars().count() > Self::MAX_NAME) {
            return refuse(ValueProblem::MemberNames(Self::MAX_NAME));
        }
        let value = Value::Object(object);
        if depth(&value) > Self::MAX_DEPTH {
            return refuse(ValueProblem::TooDeep(Self::MAX_DEPTH));
        }
        if holds_nul(&value) {
            return refuse(ValueProblem::Nul);
        }
        let size = value.to_string().len();
        if size > max_bytes {
            return refuse(ValueProblem::TooLarge { size, max: max_bytes });
        }
        let Value::Object(object) = value else { return refuse("must be an object".into()) };
        Ok(Self(object))
    }

    /// Adds the IDs of the GPT and the conversation in which it was written.
    #[must_use]
    pub fn with_context(mut self, context: &Context) -> Self {
        let ids = [(Self::CUSTOM_GPT_ID, &context.custom_gpt_id), (Self::CONVERSATION_ID, &context.conversation_id)];
        for (name, id) in ids {
            if let Some(id) = id {
                self.0.insert(name.to_owned(), Value::String(id.as_str().to_owned()));
            }
        }
        self
    }

    /// Adds the IDs of the GPT and the conversation from `earlier`, unless it has its own.
    pub(super) fn with_origin_of(mut self, earlier: &Self) -> Self {
        for name in [Self::CUSTOM_GPT_ID, Self::CONVERSATION_ID] {
            if let (None, Some(id)) = (self.0.get(name), earlier.0.get(name)) {
                self.0.insert(name.to_owned(), id.clone());
            }
        }
        self
    }

    /// Metadata with a member that says where the memory comes from.
    pub(super) fn of_origin(name: &str, origin: &str) -> Self {
        Self(Map::from_iter([(name.to_owned(), Value::from(origin))]))
    }

    /// Adds those of `members` that fit within the limits. Returns why the first of the others is left out.
    pub(super) fn filled_with(mut self, members: &Map<String, Value>) -> (Self, Option<InvalidValue>) {
        let (mut size, mut left_out) = (size(&self.0), None);
        for (name, value) in members {
            let own = |problem: ValueProblem| InvalidValue::new(format!("metadata.{name}"), problem);
            let all = |problem: ValueProblem| InvalidValue::new("metadata", problem);
            let member = Map::from_iter([(name.clone(), value.clone())]);
            // One pair of braces less, and one comma more.
            let filled = size + self::size(&member) - 1;
            let problem = match Self::from_caller(member) {
                Err(problem) => problem,
                Ok(_) if self.0.contains_key(name) => own(ValueProblem::Reserved),
                Ok(_) if holds_rounded_integer(value) => own(ValueProblem::IntegerTooLarge),
                Ok(_) if self.0.len() >= Self::MAX_MEMBERS => all(ValueProblem::TooManyMembers(Self::MAX_MEMBERS)),
                Ok(_) if filled > Self::MAX_BYTES => all(ValueProblem::TooLarge { size: filled, max: Self::MAX_BYTES }),
                Ok(Self(member)) => {
                    self.0.extend(member);
                    size = filled;
                    continue;
                }
            };
            left_out.get_or_insert(problem);
        }
        (self, left_out)
    }

    /// The members.
    #[must_use]
    pub fn as_object(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The members, by value.
    #[must_use]
    pub fn into_object(self) -> Map<String, Value> {
        self.0
    }

    /// The ID of the conversation in which the memory was written.
    #[must_use]
    pub fn conversation_id(&self) -> Option<&str> {
        self.0.get(Self::CONVERSATION_ID).and_then(Value::as_str)
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

fn is_reserved(name: &str) -> bool {
    Metadata::RESERVED.contains(&name) || name.starts_with("memgate_")
}

/// The number of bytes of an object as JSON.
fn size(object: &Map<String, Value>) -> usize {
    serde_json::to_string(object).map_or(usize::MAX / 2, |text| text.len())
}

/// Whether a parser read an integer that does not fit into 64 bits, and rounded it.
fn holds_rounded_integer(value: &Value) -> bool {
    // 2^63: what is larger and an integer would have been one.
    const TOO_LARGE: f64 = 9_223_372_036_854_775_808.0;
    match value {
        Value::Number(number) if number.is_f64() => number.as_f64().is_some_and(|number| number.abs() >= TOO_LARGE),
        Value::Array(items) => items.iter().any(holds_rounded_integer),
        Value::Object(members) => members.values().any(holds_rounded_integer),
        _ => false,
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(members) => members.iter().any(|(name, value)| name.contains('\0') || holds_nul(value)),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
