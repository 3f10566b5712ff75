//! `/account/undo`: takes back a deletion, or a correction.

use std::time::Duration;

use poem::{Response, handler};
use url::form_urlencoded;

use super::super::account::sender;
use super::super::browser::Browser;
use super::super::error::PageError;
use super::super::forms::ListForm;
use super::super::memory_error::{not_found, page_error};
use super::super::return_to::ReturnTo;
use super::super::view;
use super::list::show_list;
use crate::adapters::http::server::limits::MAX_BODY_BYTES;
use crate::domain::applications::Category;
use crate::domain::memories::{Content, Correction, Memory, MemoryRecord, Metadata, OwnMemory};
use crate::domain::people::SignedInUser;
use crate::domain::system::Timestamp;

/// For how long a deletion can be undone.
pub(super) const UNDO_WINDOW: Duration = Duration::from_mins(30);
/// How large what a page takes along to undo a deletion may be in a form, in bytes. The rest of the form fits beside it.
const UNDO_BYTES: usize = MAX_BODY_BYTES - 16 * 1024;

pub(super) struct Undo {
    pub(super) memories: String,
    pub(super) deadline: i64,
    pub(super) seal: String,
}

/// What an [`Undo`] takes back.
#[derive(Clone, Copy)]
pub(super) enum UndoKind {
    Deletion,
    Correction,
}

impl UndoKind {
    /// What is sealed.
    fn sealed(self, deadline: &str, memories: &str) -> String {
        let kind = match self {
            Self::Deletion => "deletion",
            Self::Correction => "correction",
        };
        format!("{kind} {deadline} {memories}")
    }
}

impl Undo {
    pub(super) fn seal(browser: &Browser<'_>, user: &SignedInUser, kind: UndoKind, memories: String) -> Self {
        let deadline = browser.services.clock.now().plus(UNDO_WINDOW).unix_seconds();
        let seal = user.token.seal(&kind.sealed(&deadline.to_string(), &memories)).as_str().to_owned();
        Self { memories, deadline, seal }
    }
}

/// What takes a correction back as long as nothing else has changed the memory; `None` if nothing was changed, or if nobody knows
/// what was there. The old text goes into the page alone, sealed.
pub(super) fn undo_of_correction(
    browser: &Browser<'_>,
    user: &SignedInUser,
    correction: &Correction,
) -> Result<Option<Undo>, PageError> {
    let Correction { saved, before: Some(before) } = correction else { return Ok(None) };
    if corrected(before) == corrected(&saved.memory) {
        return Ok(None);
    }
    // The time of the correction tells whether it is the last. What a correction cannot change is left out: the longest text that
    // a memory can have fits into a form then.
    let memory = Memory { updated_at: saved.memory.updated_at, metadata: Metadata::default(), ..before.clone() };
    let memories = written(&[OwnMemory::stored(memory, saved.space.clone())])?;
    Ok(Some(Undo::seal(browser, user, UndoKind::Correction, memories)))
}

/// What a correction can change.
fn corrected(memory: &Memory) -> (&Content, &[Category], Option<Timestamp>) {
    (&memory.content, &memory.categories, memory.occurred_at)
}

/// Whether a form can take these memories along.
pub(super) fn fits_into_a_form(memories: &str) -> bool {
    form_urlencoded::byte_serialize(memories.as_bytes()).map(str::len).sum::<usize>() <= UNDO_BYTES
}

pub(super) fn written(memories: &[OwnMemory]) -> Result<String, PageError> {
    let records: Vec<MemoryRecord> = memories.iter().map(MemoryRecord::from).collect();
    serde_json::to_string(&records).map_err(|error| PageError::Internal(error.into()))
}

/// `POST /account/undo`.
#[handler]
pub(crate) async fn restore(browser: Browser<'_>, form: ListForm) -> Result<Response, PageError> {
    let user = sender(&browser, form.get("form_token"), ReturnTo::Memories).await?;
    let (memories, deadline) = (form.get("memories"), form.get("deadline"));
    let is_sealed = |kind: UndoKind| user.token.seal(&kind.sealed(deadline, memories)).matches(form.get("seal"));
    let kinds = [UndoKind::Deletion, UndoKind::Correction];
    let Some(kind) = kinds.into_iter().find(|kind| is_sealed(*kind)) else {
        return Err(PageError::ForeignForm { again: Some(ReturnTo::Memories) });
    };
    let in_time = deadline.parse().is_ok_and(|deadline: i64| browser.services.clock.now().unix_seconds() <= deadline);
    if !in_time {
        return show_list(&browser, &user, Some(browser.t.too_late_to_undo)).await;
    }
    let records: Vec<MemoryRecord> = serde_json::from_str(memories).map_err(|_| PageError::InvalidForm)?;
    for record in records {
        let memory = OwnMemory::try_from(record).map_err(|_| PageError::InvalidForm)?;
        match kind {
            UndoKind::Deletion => {
                browser.services.own_memories.restore(user.person.id, memory).await.map_err(page_error)?;
            }
            UndoKind::Correction => return take_back(&browser, &user, memory).await,
        }
    }
    show_list(&browser, &user, Some(browser.t.undone)).await
}

/// Gives a memory the text, the categories and the date that it had, unless something else has changed it since its correction.
async fn take_back(browser: &Browser<'_>, user: &SignedInUser, before: OwnMemory) -> Result<Response, PageError> {
    let (id, corrected_at) = (before.id(), before.memory.updated_at);
    let own = &browser.services.own_memories;
    if !own.undo_correction(user.person.id, before, corrected_at).await.map_err(not_found)? {
        return show_list(browser, user, Some(browser.t.too_late_to_undo)).await;
    }
    view::see_other(&ReturnTo::Memory(id).with_notice("undone"))
}
