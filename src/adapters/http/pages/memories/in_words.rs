//! A memory, as a person reads it.

use std::collections::BTreeMap;

use super::super::application_names::application_names;
use super::super::browser::Browser;
use super::super::error::PageError;
use super::super::frame::Frame;
use super::super::memory_name;
use super::super::texts::Day;
use super::super::words::source_name;
use crate::domain::applications::SpaceName;
use crate::domain::ids::{ApplicationId, UserId};
use crate::domain::memories::{Actor, OwnMemory, Source};

/// How much of a memory a list shows, in characters.
const EXCERPT: usize = 280;

/// Where memories come from, by the names that a person knows.
pub(super) struct Origins {
    pub(super) sources: Vec<Source>,
    /// Those that stored the memories and are still registered.
    applications: BTreeMap<ApplicationId, String>,
}

impl Origins {
    /// The origins of these memories of a person.
    pub(super) async fn of(browser: &Browser<'_>, person: UserId, memories: &[OwnMemory]) -> Result<Self, PageError> {
        let sources = browser.services.own_memories.sources(person).await?;
        let creators = memories.iter().filter_map(|own| match own.memory.created_by {
            Some(Actor::Application(id)) => Some(id),
            Some(Actor::Person) | None => None,
        });
        Ok(Self { sources, applications: application_names(browser, creators).await? })
    }

    /// What a person calls a space of theirs.
    pub(super) fn space(&self, space: &SpaceName, t: &Frame) -> String {
        source_name(self.sources.iter().find(|source| source.space == *space), space.as_str(), t)
    }
}

/// A memory, as a person reads it.
pub(super) struct MemoryInWords {
    /// What addresses and forms call it.
    pub(super) name: String,
    /// The address of what happened to it.
    pub(super) history: String,
    pub(super) content: String,
    pub(super) shortened: bool,
    pub(super) categories: Vec<String>,
    /// Who stored it; where that is not known, its space.
    pub(super) source: String,
    pub(super) is_own_import: bool,
    /// Its space, unless that is the own one of the application that stored it.
    pub(super) space: Option<String>,
    pub(super) created: Day,
    pub(super) occurred: Option<Day>,
    pub(super) updated: Option<Day>,
    pub(super) expires: Option<Day>,
    pub(super) conversation: Option<String>,
    pub(super) pending: bool,
}

impl MemoryInWords {
    pub(super) fn whole(own: &OwnMemory, origins: &Origins, t: &Frame) -> Self {
        let day = |at| Day::of(at, t.language);
        let memory = &own.memory;
        let space = origins.space(&own.space, t);
        let (source, space) = match memory.created_by {
            Some(Actor::Application(id)) => {
                let name = origins.applications.get(&id).cloned().unwrap_or_else(|| t.application_gone.to_string());
                (name, (own.space.owner() != Some(id)).then_some(space))
            }
            Some(Actor::Person) => (t.own_import.to_string(), Some(space)),
            None => (space, None),
        };
        Self {
            name: memory_name::written(&own.id()),
            history: memory_name::with_path(&own.id(), "/history"),
            content: memory.content.as_str().to_owned(),
            shortened: false,
            categories: memory.categories.iter().map(ToString::to_string).collect(),
            source,
            is_own_import: memory.created_by == Some(Actor::Person),
            space,
            created: day(memory.created_at),
            occurred: memory.occurred_at.map(day),
            updated: (memory.updated_at != memory.created_at).then(|| day(memory.updated_at)),
            expires: memory.expires_at.map(day),
            conversation: memory.metadata.conversation_id().map(str::to_owned),
            pending: own.pending,
        }
    }

    pub(super) fn excerpt(own: &OwnMemory, origins: &Origins, t: &Frame) -> Self {
        let mut words = Self::whole(own, origins, t);
        if let Some((end, _)) = words.content.char_indices().nth(EXCERPT) {
            words.content.truncate(end);
            words.content.push('…');
            words.shortened = true;
        }
        words
    }
}
