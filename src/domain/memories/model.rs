//! A memory and its parts.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

use crate::applications::CategoryAccess;
use crate::applications::SpaceName;
use crate::ids::{MemoryId, UserId};
use crate::oauth::{Caller, Subject};
use crate::system::Timestamp;
use crate::validation::{self, InvalidValue};

/// Something that an assistant was asked to remember.
#[derive(Clone, Debug, PartialEq)]
pub struct Memory {
    /// Its name in its bank.
    pub id: MemoryId,
    /// What is remembered.
    pub content: Content,
    /// What it is about.
    pub categories: Vec<Category>,
    /// What else is known of it.
    pub metadata: Metadata,
    /// How much it matters.
    pub priority: Priority,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// From when on it is forgotten.
    pub expires_at: Option<Timestamp>,
}

/// A memory that is to be created.
#[derive(Clone, Debug, PartialEq)]
pub struct NewMemory {
    /// The name of this write. A bank that names its memories itself keeps it in the metadata; either way, creating the
    /// same write twice creates one memory.
    pub id: MemoryId,
    /// See [`Memory::content`].
    pub content: Content,
    /// See [`Memory::categories`].
    pub categories: Vec<Category>,
    /// See [`Memory::metadata`].
    pub metadata: Metadata,
    /// See [`Memory::priority`].
    pub priority: Priority,
    /// See [`Memory::created_at`].
    pub created_at: Timestamp,
    /// See [`Memory::expires_at`].
    pub expires_at: Option<Timestamp>,
}

impl NewMemory {
    /// The memory as it is when it has been created under the name of its write.
    #[must_use]
    pub fn into_memory(self) -> Memory {
        Memory {
            id: self.id,
            content: self.content,
            categories: self.categories,
            metadata: self.metadata,
            priority: self.priority,
            created_at: self.created_at,
            updated_at: self.created_at,
            expires_at: self.expires_at,
        }
    }
}

/// A change to a memory. `None` leaves a member as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemoryChanges {
    /// See [`Memory::content`].
    pub content: Option<Content>,
    /// See [`Memory::categories`].
    pub categories: Option<Vec<Category>>,
    /// See [`Memory::metadata`]; replaces all of it but the ids of GPT and conversation.
    pub metadata: Option<Metadata>,
    /// See [`Memory::priority`].
    pub priority: Option<Priority>,
    /// See [`Memory::expires_at`].
    pub expires_at: Option<Option<Timestamp>>,
}

impl MemoryChanges {
    /// Whether nothing is to be changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Writes the changes into `memory`.
    pub fn apply_to(&self, memory: &mut Memory, now: Timestamp) {
        if let Some(content) = &self.content {
            memory.content = content.clone();
        }
        if let Some(categories) = &self.categories {
            memory.categories.clone_from(categories);
        }
        if let Some(metadata) = &self.metadata {
            memory.metadata = metadata.clone().with_origin_of(&memory.metadata);
        }
        if let Some(priority) = self.priority {
            memory.priority = priority;
        }
        if let Some(expires_at) = self.expires_at {
            memory.expires_at = expires_at;
        }
        memory.updated_at = now;
    }
}

/// The text of a memory: 1 to 32,768 characters, no NUL, not white space alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Content(String);

impl Content {
    /// The most characters that a memory may have.
    pub const MAX: usize = 32_768;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Content {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, InvalidValue> {
        validation::text("content", text, Self::MAX).map(Self)
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Content(…)")
    }
}

/// What a memory is about: 1 to 64 characters on one line, lower case, trimmed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Category(String);

impl Category {
    const MAX: usize = 64;
    /// How many categories a memory may have.
    pub const MAX_PER_MEMORY: usize = 16;

    /// The category as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads a list, and drops repetitions.
    ///
    /// # Errors
    /// [`InvalidValue`] that names the entry.
    pub fn parse_list(field: &str, texts: &[String]) -> Result<Vec<Self>, InvalidValue> {
        if texts.len() > Self::MAX_PER_MEMORY {
            return Err(InvalidValue::new(field, format!("must have at most {} entries", Self::MAX_PER_MEMORY)));
        }
        let mut categories = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            let category = text
                .parse::<Self>()
                .map_err(|error| InvalidValue::new(format!("{field}[{index}]"), error.problem()))?;
            if !categories.contains(&category) {
                categories.push(category);
            }
        }
        Ok(categories)
    }
}

impl FromStr for Category {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        validation::line("category", text.trim().to_lowercase(), Self::MAX).map(Self)
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How much a memory matters. Of memories that fit a search about equally well, one of higher priority comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Good to know.
    Low,
    /// As most.
    #[default]
    Normal,
    /// Must not be overlooked.
    High,
}

impl Priority {
    /// The name in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }
}

impl FromStr for Priority {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        [Self::Low, Self::Normal, Self::High]
            .into_iter()
            .find(|priority| priority.as_str() == text)
            .ok_or_else(|| InvalidValue::new("priority", "must be low, normal or high"))
    }
}

/// A JSON object of a caller's own: at most 64 members, 16 KiB and 5 levels.
///
/// Some names are kept for memgate and refused from callers: the names by which banks tell tenants apart, and those whose
/// value a bank would take for its own.
#[derive(Clone, Default, PartialEq)]
pub struct Metadata(Map<String, Value>);

impl Metadata {
    const MAX_MEMBERS: usize = 64;
    const MAX_NAME: usize = 128;
    const MAX_BYTES: usize = 16 * 1024;
    const MAX_DEPTH: usize = 5;
    /// The member that holds the id of the GPT that wrote the memory.
    pub const CUSTOM_GPT_ID: &str = "custom_gpt_id";
    /// The member that holds the id of the conversation in which the memory was written.
    pub const CONVERSATION_ID: &str = "conversation_id";
    const RESERVED: [&str; 9] =
        ["user_id", "agent_id", "run_id", "app_id", "org_id", "project_id", "created_at", "updated_at", "write_id"];

    /// Accepts what a caller sent.
    ///
    /// # Errors
    /// [`InvalidValue`] that names the member.
    pub fn from_caller(object: Map<String, Value>) -> Result<Self, InvalidValue> {
        if let Some(name) = object.keys().find(|name| is_reserved(name)) {
            return Err(InvalidValue::new(format!("metadata.{name}"), "is a name that the service keeps for itself"));
        }
        Self::check(object)
    }

    /// Accepts what was stored before.
    ///
    /// # Errors
    /// [`InvalidValue`] if no version of this program can have stored it.
    pub fn from_stored(object: Map<String, Value>) -> Result<Self, InvalidValue> {
        Self::check(object)
    }

    fn check(object: Map<String, Value>) -> Result<Self, InvalidValue> {
        let refuse = |problem: String| Err(InvalidValue::new("metadata", problem));
        if object.len() > Self::MAX_MEMBERS {
            return refuse(format!("must have at most {} members", Self::MAX_MEMBERS));
        }
        if object.keys().any(|name| name.is_empty() || name.chars().count() > Self::MAX_NAME) {
            return refuse(format!("must have member names of 1 to {} characters", Self::MAX_NAME));
        }
        let value = Value::Object(object);
        if depth(&value) > Self::MAX_DEPTH {
            return refuse(format!("must not be nested more than {} levels deep", Self::MAX_DEPTH));
        }
        if holds_nul(&value) {
            return refuse("must not contain a NUL character".to_owned());
        }
        let size = value.to_string().len();
        if size > Self::MAX_BYTES {
            return refuse(format!("is {size} bytes long; at most {} are allowed", Self::MAX_BYTES));
        }
        let Value::Object(object) = value else { return refuse("must be an object".to_owned()) };
        Ok(Self(object))
    }

    /// The same with the ids of the GPT and the conversation in which it was written.
    #[must_use]
    pub fn with_context(mut self, context: &Context) -> Self {
        let ids = [(Self::CUSTOM_GPT_ID, &context.custom_gpt_id), (Self::CONVERSATION_ID, &context.conversation_id)];
        for (name, id) in ids {
            if let Some(id) = id {
                self.0.insert(name.to_owned(), Value::String(id.0.clone()));
            }
        }
        self
    }

    /// The same with the ids of the GPT and the conversation that `earlier` has, where it has none itself.
    fn with_origin_of(mut self, earlier: &Self) -> Self {
        for name in [Self::CUSTOM_GPT_ID, Self::CONVERSATION_ID] {
            if let (None, Some(id)) = (self.0.get(name), earlier.0.get(name)) {
                self.0.insert(name.to_owned(), id.clone());
            }
        }
        self
    }

    /// The members.
    #[must_use]
    pub fn as_object(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The id of the conversation in which the memory was written.
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

/// Where a request comes from, as the assistant says. Nothing is decided by it: it is kept as metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// The GPT.
    pub custom_gpt_id: Option<ContextId>,
    /// The conversation.
    pub conversation_id: Option<ContextId>,
}

/// An id that an assistant gave: 1 to 200 characters on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextId(String);

impl ContextId {
    const MAX: usize = 200;

    /// Reads the id.
    ///
    /// # Errors
    /// [`InvalidValue`] that names `field`.
    pub fn parse(field: &str, text: &str) -> Result<Self, InvalidValue> {
        validation::line(field, text.to_owned(), Self::MAX).map(Self)
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The memories that somebody can reach. Only a [`Caller`] has one, so no request can name another's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryScope {
    space: SpaceName,
    person: Option<UserId>,
    categories: CategoryAccess,
}

impl MemoryScope {
    /// What `caller` can reach: the memories of its space, or, if it speaks for a person, that person's in it.
    #[must_use]
    pub fn of(caller: &Caller) -> Self {
        Self {
            space: caller.application.space.clone(),
            person: match caller.subject {
                Subject::Application => None,
                Subject::Person(user) => Some(user),
            },
            categories: caller.application.categories.clone(),
        }
    }

    /// What an application reaches by itself, for an operator who acts in its place.
    #[must_use]
    pub fn of_application(application: &crate::applications::Application) -> Self {
        Self { space: application.space.clone(), person: None, categories: application.categories.clone() }
    }

    /// A scope that was stored with a queued write.
    #[must_use]
    pub fn from_stored(space: SpaceName, person: Option<UserId>) -> Self {
        Self { space, person, categories: CategoryAccess::All }
    }

    /// The space.
    #[must_use]
    pub fn space(&self) -> &SpaceName {
        &self.space
    }

    /// The person; `None` for the application's own memories.
    #[must_use]
    pub fn person(&self) -> Option<UserId> {
        self.person
    }

    /// The categories that may be seen and written.
    #[must_use]
    pub fn categories(&self) -> &CategoryAccess {
        &self.categories
    }

    /// The one text that names the space and the person, for banks that know one kind of tenant.
    #[must_use]
    pub fn tenant(&self) -> String {
        match self.person {
            None => format!("{}/app", self.space),
            Some(person) => format!("{}/user/{person}", self.space),
        }
    }
}
