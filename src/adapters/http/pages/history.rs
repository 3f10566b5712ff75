//! What happened to a memory, on its page.

use super::browser::Browser;
use super::error::PageError;
use super::texts::{Filled, Moment, Texts};
use crate::domain::memories::{Actor, HistoryEntry, HistoryEvent, MemoryMember, OwnMemory};

/// Something that happened, as a person reads it.
pub(crate) struct EntryInWords {
    pub(super) at: Moment,
    pub(super) what: Filled,
    /// The older memory that was replaced.
    pub(super) superseded: Option<String>,
}

/// The history of a memory.
pub(super) async fn in_words(browser: &Browser<'_>, own: &OwnMemory) -> Result<Vec<EntryInWords>, PageError> {
    let t = &browser.t;
    let mut entries = Vec::with_capacity(own.history.len());
    for HistoryEntry { at, by, event } in &own.history {
        // `None` for the person.
        let actor = match by {
            Some(Actor::Person) => None,
            Some(Actor::Application(id)) => {
                let name = browser.services.own_memories.application_name(*id).await?;
                Some(name.map_or_else(|| t.application_gone.to_string(), |name| name.to_string()))
            }
            None => Some(t.somebody.to_string()),
        };
        let (what, superseded) = match (event, actor) {
            (HistoryEvent::Updated(members), Some(name)) => (t.changed_by.name(name).plain(listed(members, t)), None),
            (HistoryEvent::Updated(members), None) => (t.changed_by_you.plain(listed(members, t)), None),
            (HistoryEvent::Superseded(older), actor) => {
                let what = actor.map_or_else(|| t.replaced_by_you.into(), |name| t.replaced_by.name(name));
                (what, Some(older.content.as_str().to_owned()))
            }
        };
        entries.push(EntryInWords { at: Moment::of(*at, t.language), what, superseded });
    }
    Ok(entries)
}

fn listed(members: &[MemoryMember], t: &Texts) -> String {
    let name = |member: &MemoryMember| match member {
        MemoryMember::Content => t.member_content,
        MemoryMember::Categories => t.member_categories,
        MemoryMember::Metadata => t.member_metadata,
        MemoryMember::Priority => t.member_priority,
        MemoryMember::OccurredAt => t.member_occurred,
        MemoryMember::ExpiresAt => t.member_expires,
    };
    members.iter().map(|member| name(member).to_string()).collect::<Vec<_>>().join(", ")
}
