//! What happened to a memory, and who did it.

use std::str::FromStr;

use super::actor::Actor;
use super::model::Memory;
use crate::system::Timestamp;
use crate::validation::{InvalidValue, ValueProblem};

/// A member of a memory that can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemoryMember {
    /// See [`Memory::content`].
    Content,
    /// See [`Memory::categories`].
    Categories,
    /// See [`Memory::metadata`].
    Metadata,
    /// See [`Memory::priority`].
    Priority,
    /// See [`Memory::occurred_at`].
    OccurredAt,
    /// See [`Memory::expires_at`].
    ExpiresAt,
}

impl MemoryMember {
    /// Every member.
    pub const ALL: [Self; 6] =
        [Self::Content, Self::Categories, Self::Metadata, Self::Priority, Self::OccurredAt, Self::ExpiresAt];

    /// The name in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Content => "content",
            Self::Categories => "categories",
            Self::Metadata => "metadata",
            Self::Priority => "priority",
            Self::OccurredAt => "occurred_at",
            Self::ExpiresAt => "expires_at",
        }
    }

    /// The members by which two states of a memory differ.
    #[must_use]
    pub fn changed(before: &Memory, after: &Memory) -> Vec<Self> {
        let differs = |member: &Self| match member {
            Self::Content => before.content != after.content,
            Self::Categories => before.categories != after.categories,
            Self::Metadata => before.metadata != after.metadata,
            Self::Priority => before.priority != after.priority,
            Self::OccurredAt => before.occurred_at != after.occurred_at,
            Self::ExpiresAt => before.expires_at != after.expires_at,
        };
        Self::ALL.into_iter().filter(differs).collect()
    }
}

impl FromStr for MemoryMember {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let named = Self::ALL.into_iter().find(|member| member.as_str() == text);
        named.ok_or_else(|| {
            InvalidValue::new("changed", ValueProblem::NotAHistory("must name members of a memory that can be changed"))
        })
    }
}

/// Something that happened to a memory.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryEntry {
    /// When.
    pub at: Timestamp,
    /// Who did it, if that is known.
    pub by: Option<Actor>,
    /// What happened.
    pub event: HistoryEvent,
}

/// What happened to a memory.
#[derive(Clone, Debug, PartialEq)]
pub enum HistoryEvent {
    /// These members got other values. What they were before is not kept: whoever corrects a memory wants the old text gone.
    Updated(Vec<MemoryMember>),
    /// It took the place of this memory, which is kept as it was.
    Superseded(Box<Memory>),
}

impl HistoryEntry {
    /// Maximum number of entries that are kept of a memory. The oldest ones are dropped.
    pub const MAX_ENTRIES: usize = 100;
    /// Maximum number of bytes of JSON that are kept of a memory's history, so that it can be read, and exported in one line
    /// with the memory. The oldest entries are dropped; the newest is always kept.
    pub const MAX_BYTES: usize = 512 * 1024;
    /// What an entry has beside its [body](HistoryEvent::body).
    const REST: usize = 160;

    /// How many of the entries are kept, by the lengths of their [bodies](HistoryEvent::body) in bytes, newest first.
    #[must_use]
    pub fn kept(lengths: impl IntoIterator<Item = usize>) -> usize {
        let mut bytes = 0;
        let fits = |(number, length): &(usize, usize)| {
            bytes += length + Self::REST;
            *number == 0 || bytes <= Self::MAX_BYTES
        };
        lengths.into_iter().take(Self::MAX_ENTRIES).enumerate().take_while(fits).count()
    }

    /// When the entry has to be dropped: that is when the memory that it keeps expires.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.superseded().and_then(|memory| memory.expires_at)
    }

    /// The memory that it keeps.
    #[must_use]
    pub fn superseded(&self) -> Option<&Memory> {
        match &self.event {
            HistoryEvent::Updated(_) => None,
            HistoryEvent::Superseded(memory) => Some(memory),
        }
    }
}

impl HistoryEvent {
    pub(super) const UPDATED: &str = "updated";
    pub(super) const SUPERSEDED: &str = "superseded";

    /// The name of the kind of event.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Updated(_) => Self::UPDATED,
            Self::Superseded(_) => Self::SUPERSEDED,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::ids::ApplicationId;
    use crate::memories::{Content, Priority};
    use crate::testing::{categories, content, context, metadata, new_memory, now, unique};

    fn memory() -> Memory {
        Memory {
            categories: categories(&["food"]),
            metadata: metadata(json!({"n": 1})).with_context(&context("g", "c")),
            created_by: Some(Actor::Person),
            updated_at: now().plus(Duration::from_secs(1)),
            expires_at: Some(now().plus(Duration::from_hours(1))),
            ..new_memory("x").into_memory()
        }
    }

    #[test]
    fn an_actor_is_read_as_it_is_written() {
        let id = ApplicationId::from_uuid(unique());
        for (actor, text) in [(Actor::Person, "person".to_owned()), (Actor::Application(id), id.to_string())] {
            assert_eq!(actor.to_string(), text);
            assert_eq!(text.parse::<Actor>().unwrap(), actor);
        }
        for text in ["", "Person", "somebody"] {
            assert!(text.parse::<Actor>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_members_that_differ_are_named() {
        let before = memory();
        assert_eq!(MemoryMember::changed(&before, &Memory { updated_at: now(), ..before.clone() }), []);
        let after = Memory {
            content: content("y"),
            categories: Vec::new(),
            metadata: metadata(json!({})),
            priority: Priority::High,
            occurred_at: Some(now()),
            expires_at: None,
            ..before.clone()
        };
        assert_eq!(MemoryMember::changed(&before, &after), MemoryMember::ALL);
        for member in MemoryMember::ALL {
            assert_eq!(member.as_str().parse::<MemoryMember>().unwrap(), member);
        }
    }

    #[test]
    fn an_event_is_read_as_it_is_written_and_an_update_says_nothing_of_the_values() {
        let superseded = HistoryEvent::Superseded(Box::new(memory()));
        let updated = HistoryEvent::Updated(vec![MemoryMember::Content, MemoryMember::OccurredAt]);
        assert_eq!(updated.body(), r#"["content","occurred_at"]"#);
        for event in [superseded, updated] {
            assert_eq!(HistoryEvent::parse(event.kind(), &event.body()).unwrap(), event);
        }
        for (kind, body) in
            [("updated", "{}"), ("updated", r#"["text"]"#), ("superseded", "[]"), ("superseded", "{}"), ("gone", "[]")]
        {
            assert!(HistoryEvent::parse(kind, body).is_err(), "{kind}: {body}");
        }
    }

    #[test]
    fn the_newest_entries_are_kept_up_to_a_number_and_a_size() {
        assert_eq!(HistoryEntry::kept([]), 0);
        assert_eq!(HistoryEntry::kept([10; 101]), HistoryEntry::MAX_ENTRIES);
        assert_eq!(HistoryEntry::kept([100_000; 10]), 5);
        assert_eq!(HistoryEntry::kept([600_000, 1]), 1, "the newest is always kept");
        let largest = Memory { content: content(&"\u{1}".repeat(Content::MAX)), ..memory() };
        let length = HistoryEvent::Superseded(Box::new(largest)).body().len();
        assert_eq!(HistoryEntry::kept([length; 3]), 2, "the largest memory leaves room for another: {length}");
    }
}
