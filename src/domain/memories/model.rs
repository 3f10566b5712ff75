//! A memory and its parts.

use std::fmt;
use std::str::FromStr;

use super::actor::Actor;
use super::metadata::Metadata;
use crate::applications::{Category, CategoryAccess, SpaceName};
use crate::ids::{MemoryId, UserId};
use crate::oauth::{Caller, Subject};
use crate::system::Timestamp;
use crate::validation::{self, InvalidValue, ValueProblem};

/// Something that an assistant was asked to remember.
#[derive(Clone, Debug, PartialEq)]
pub struct Memory {
    /// Its ID in its bank.
    pub id: MemoryId,
    /// The text.
    pub content: Content,
    /// Its categories.
    pub categories: Vec<Category>,
    /// Its metadata.
    pub metadata: Metadata,
    /// Its importance.
    pub priority: Priority,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was said or happened, if that is known.
    pub occurred_at: Option<Timestamp>,
    /// When it was last updated.
    pub updated_at: Timestamp,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// Who stored it, if that is known: earlier versions did not note it.
    pub created_by: Option<Actor>,
}

impl Memory {
    /// Whether it has expired at `now`.
    #[must_use]
    pub fn has_expired_at(&self, now: Timestamp) -> bool {
        is_past(self.expires_at, now)
    }

    /// Whether whoever has `access` sees it at `now`: the categories allow it, and it has not expired.
    #[must_use]
    pub fn is_visible_to(&self, access: &CategoryAccess, now: Timestamp) -> bool {
        access.allows(&self.categories) && !self.has_expired_at(now)
    }

    /// When it was said or happened; when it was created, unless that is known.
    #[must_use]
    pub fn occurred(&self) -> Timestamp {
        self.occurred_at.unwrap_or(self.created_at)
    }
}

/// Whether this expiry, if there is one, has come at `now`.
pub(super) fn is_past(expires_at: Option<Timestamp>, now: Timestamp) -> bool {
    expires_at.is_some_and(|expiry| expiry <= now)
}

/// Changes to a memory. `None` leaves a member unchanged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemoryChanges {
    /// See [`Memory::content`].
    pub content: Option<Content>,
    /// See [`Memory::categories`].
    pub categories: Option<Vec<Category>>,
    /// See [`Memory::metadata`]; replaces all of it except the IDs of GPT and conversation.
    pub metadata: Option<Metadata>,
    /// See [`Memory::priority`].
    pub priority: Option<Priority>,
    /// See [`Memory::occurred_at`].
    pub occurred_at: Option<Option<Timestamp>>,
    /// See [`Memory::expires_at`].
    pub expires_at: Option<Option<Timestamp>>,
}

impl MemoryChanges {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Applies the changes to `memory`.
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
        if let Some(occurred_at) = self.occurred_at {
            memory.occurred_at = occurred_at;
        }
        if let Some(expires_at) = self.expires_at {
            memory.expires_at = expires_at;
        }
        memory.updated_at = now;
    }
}

/// An update of a memory.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryUpdate {
    /// What changes.
    pub changes: MemoryChanges,
    /// Who changes it.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
    /// Only if [`Memory::updated_at`] is still this: nothing has changed the memory since. It counts milliseconds, so what was
    /// changed twice within one is taken for unchanged.
    pub if_updated_at: Option<Timestamp>,
}

impl MemoryUpdate {
    /// Whether it applies to `memory` as it is now: it has not expired, and the condition holds.
    #[must_use]
    pub fn applies_to(&self, memory: &Memory) -> bool {
        !memory.has_expired_at(self.at) && self.if_updated_at.is_none_or(|at| memory.updated_at == at)
    }
}

/// The text of a memory: 1 to 32,768 characters, no NUL, not only white space.
#[derive(Clone, PartialEq, Eq)]
pub struct Content(String);

impl Content {
    /// Maximum number of characters.
    pub const MAX: usize = 32_768;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, by value.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
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

/// The importance of a memory. Of memories that match a search about equally well, one of higher priority comes first.
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
            .ok_or_else(|| InvalidValue::new("priority", ValueProblem::NotAPriority))
    }
}

/// The memories that a caller can reach. It is derived from a [`Caller`], so no request can name another's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryScope {
    space: SpaceName,
    person: Option<UserId>,
    categories: CategoryAccess,
}

impl MemoryScope {
    /// What `caller` can reach: the memories of its space, or, if it acts for a person, that person's in it.
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

    /// What an application reaches by itself, for an operator who acts on its behalf.
    #[must_use]
    pub fn of_application(application: &crate::applications::Application) -> Self {
        Self { space: application.space.clone(), person: None, categories: application.categories.clone() }
    }

    /// A scope stored with a queued write.
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

    /// Whether a memory of its space and person is visible in it at `now`.
    #[must_use]
    pub fn sees(&self, memory: &Memory, now: Timestamp) -> bool {
        memory.is_visible_to(&self.categories, now)
    }

    /// The single text that identifies the space and the person, for banks with one tenant key.
    #[must_use]
    pub fn tenant(&self) -> String {
        match self.person {
            None => format!("{}/app", self.space),
            Some(person) => format!("{}/user/{person}", self.space),
        }
    }
}

#[cfg(test)]
mod tests;
