//! A memory, as a person reads it.

use super::super::frame::Frame;
use super::super::memory_name;
use super::super::texts::Day;
use super::super::words::source_name;
use crate::domain::applications::SpaceName;
use crate::domain::memories::{OwnMemory, Source};

/// How much of a memory a list shows, in characters.
const EXCERPT: usize = 280;

/// A memory, as a person reads it.
pub(super) struct MemoryInWords {
    /// What addresses and forms call it.
    pub(super) name: String,
    /// The address of what happened to it.
    pub(super) history: String,
    pub(super) content: String,
    pub(super) shortened: bool,
    pub(super) categories: Vec<String>,
    pub(super) source: String,
    pub(super) created: Day,
    pub(super) occurred: Option<Day>,
    pub(super) updated: Option<Day>,
    pub(super) expires: Option<Day>,
    pub(super) conversation: Option<String>,
    pub(super) pending: bool,
}

/// What a person calls a space of theirs.
pub(super) fn space_name(space: &SpaceName, sources: &[Source], t: &Frame) -> String {
    source_name(sources.iter().find(|source| source.space == *space), space.as_str(), t)
}

impl MemoryInWords {
    pub(super) fn whole(own: &OwnMemory, sources: &[Source], t: &Frame) -> Self {
        let day = |at| Day::of(at, t.language);
        let memory = &own.memory;
        Self {
            name: memory_name::written(&own.id()),
            history: memory_name::with_path(&own.id(), "/history"),
            content: memory.content.as_str().to_owned(),
            shortened: false,
            categories: memory.categories.iter().map(ToString::to_string).collect(),
            source: space_name(&own.space, sources, t),
            created: day(memory.created_at),
            occurred: memory.occurred_at.map(day),
            updated: (memory.updated_at != memory.created_at).then(|| day(memory.updated_at)),
            expires: memory.expires_at.map(day),
            conversation: memory.metadata.conversation_id().map(str::to_owned),
            pending: own.pending,
        }
    }

    pub(super) fn excerpt(own: &OwnMemory, sources: &[Source], t: &Frame) -> Self {
        let mut words = Self::whole(own, sources, t);
        if let Some((end, _)) = words.content.char_indices().nth(EXCERPT) {
            words.content.truncate(end);
            words.content.push('…');
            words.shortened = true;
        }
        words
    }
}
