//! `/account/memories/{id}`: one memory, and its correction.

use askama::Template;
use poem::http::StatusCode;
use poem::{Response, handler};

use super::super::account::{sender, signed_in};
use super::super::assets;
use super::super::browser::Browser;
use super::super::error::PageError;
use super::super::forms::ListForm;
use super::super::frame::Frame;
use super::super::history::{self, EntryInWords};
use super::super::memory_error::{memory_problem, not_found, page_error};
use super::super::memory_name;
use super::super::return_to::ReturnTo;
use super::super::texts::{Filled, Language};
use super::super::view::{self, PageContext};
use super::in_words::{MemoryInWords, Origins};
use super::undo::{UNDO_WINDOW, Undo, undo_of_correction};
use crate::domain::applications::{Category, SpaceName};
use crate::domain::memories::{Content, MemoryChanges, MemoryError, OwnMemory, OwnMemoryId};
use crate::domain::people::SignedInUser;
use crate::domain::system::Timestamp;
use crate::domain::validation::InvalidValue;

#[derive(Template)]
#[template(path = "memory.html")]
struct MemoryPage<'a> {
    t: &'a Frame,
    account: &'a str,
    memory: MemoryInWords,
    categories: String,
    /// The day when it was said or happened, as the form has it.
    occurred: String,
    /// That day as it was when the form was shown: only another one is a change.
    occurred_was: String,
    elsewhere: Vec<Elsewhere>,
    problem: Option<Filled>,
    /// The field that the problem is about.
    problem_at: &'static str,
    saved: Option<Saved>,
    undone: bool,
    forgotten: bool,
    minutes: u64,
    history: Vec<EntryInWords>,
    form_token: &'a str,
}

/// Another space with a memory that has the same ID.
struct Elsewhere {
    space: String,
    /// What that memory is called there.
    name: String,
}

/// That a correction was saved, and what undoes it.
struct Saved {
    undo: Option<Undo>,
}

/// Why something was not done.
struct NotDone<'a> {
    status: StatusCode,
    problem: Filled,
    /// The name of the field that it is about; empty if it is about none.
    at: &'static str,
    /// What was typed, which is not lost.
    typed: Option<&'a ListForm>,
}

/// What a page says beside the memory.
#[derive(Default)]
struct Beside<'a> {
    elsewhere: Vec<SpaceName>,
    saved: Option<Saved>,
    refused: Option<NotDone<'a>>,
}

async fn show_memory(
    browser: &Browser<'_>,
    user: &SignedInUser,
    own: &OwnMemory,
    beside: Beside<'_>,
) -> Result<Response, PageError> {
    let t = &browser.t;
    let origins = Origins::of(browser, user.person.id, std::slice::from_ref(own)).await?;
    let mut memory = MemoryInWords::whole(own, &origins, t);
    let (mut status, mut problem, mut categories) = (StatusCode::OK, None, memory.categories.join(", "));
    let occurred_was = memory.occurred.as_ref().map(|day| day.machine.clone()).unwrap_or_default();
    let mut occurred = occurred_was.clone();
    let mut problem_at = "";
    if let Some(refused) = beside.refused {
        (status, problem, problem_at) = (refused.status, Some(refused.problem), refused.at);
        if let Some(typed) = refused.typed {
            typed.get("content").clone_into(&mut memory.content);
            typed.get("categories").clone_into(&mut categories);
            // What was not touched stays what is stored, which something else may have changed meanwhile.
            if typed.get("occurred") != typed.get("occurred_was") {
                typed.get("occurred").clone_into(&mut occurred);
            }
        }
    }
    let elsewhere = beside.elsewhere.into_iter().map(|space| Elsewhere {
        name: memory_name::written(&OwnMemoryId { space: Some(space.clone()), ..own.id() }),
        space: origins.space(&space, t),
    });
    let form_token = user.token.form_token();
    let page = MemoryPage {
        t,
        account: user.person.label(),
        memory,
        categories,
        occurred,
        occurred_was,
        elsewhere: elsewhere.collect(),
        problem,
        problem_at,
        saved: beside.saved,
        undone: browser.has_notice("undone"),
        forgotten: browser.has_notice("forgotten"),
        minutes: UNDO_WINDOW.as_secs() / 60,
        history: history::in_words(browser, own).await?,
        form_token: form_token.as_str(),
    };
    view::show(status, PageContext::Standalone, &page)
}

/// `GET /account/memories/{id}`: the page that assistants cite, who do not say in which space the memory is.
#[handler]
pub(crate) async fn show(browser: Browser<'_>) -> Result<Response, PageError> {
    let id = browser.memory_id()?;
    let user = match signed_in(&browser, ReturnTo::Memory(id.clone())).await? {
        Ok(user) => user,
        Err(sign_in) => return Ok(sign_in),
    };
    let own = &browser.services.own_memories;
    let memory = own.get(user.person.id, &id).await.map_err(not_found)?;
    let elsewhere = match id.space {
        None => own.other_spaces_of(user.person.id, &memory).await.map_err(page_error)?,
        Some(_) => Vec::new(),
    };
    show_memory(&browser, &user, &memory, Beside { elsewhere, ..Beside::default() }).await
}

/// `POST /account/memories/{id}`: a correction.
#[handler]
pub(crate) async fn save(browser: Browser<'_>, form: ListForm) -> Result<Response, PageError> {
    let id = browser.memory_id()?;
    let user = sender(&browser, form.get("form_token"), ReturnTo::Memory(id.clone())).await?;
    let own = &browser.services.own_memories;
    let corrected = match read_changes(&form) {
        Ok(changes) => own.correct(user.person.id, &id, &changes).await,
        Err(error) => Err(error.into()),
    };
    match corrected {
        Ok(correction) => {
            let undo = undo_of_correction(&browser, &user, &correction)?;
            let beside = Beside { saved: Some(Saved { undo }), ..Beside::default() };
            show_memory(&browser, &user, &correction.saved, beside).await
        }
        Err(MemoryError::NotFound) => Err(PageError::NotFound),
        Err(error) => {
            let at = field_of(&error);
            let (status, problem) = memory_problem(error, &browser.t)?;
            let stored = own.get(user.person.id, &id).await.map_err(not_found)?;
            let refused = Some(NotDone { status, problem, at, typed: Some(&form) });
            show_memory(&browser, &user, &stored, Beside { refused, ..Beside::default() }).await
        }
    }
}

/// `POST /account/memories/{id}/history`: forgets what happened to it, once that is confirmed.
#[handler]
pub(crate) async fn forget_history(browser: Browser<'_>, form: ListForm) -> Result<Response, PageError> {
    let id = browser.memory_id()?;
    let return_to = ReturnTo::Memory(id.clone());
    let user = sender(&browser, form.get("form_token"), return_to.clone()).await?;
    let own = &browser.services.own_memories;
    if form.get("confirmed") == "yes" {
        own.forget_history(user.person.id, &id).await.map_err(not_found)?;
        return view::see_other(&return_to.with_notice("forgotten"));
    }
    let memory = own.get(user.person.id, &id).await.map_err(not_found)?;
    let (status, problem) = (StatusCode::BAD_REQUEST, browser.t.tick_to_confirm.into());
    let refused = Some(NotDone { status, problem, at: "confirmed", typed: None });
    show_memory(&browser, &user, &memory, Beside { refused, ..Beside::default() }).await
}

/// The field of the form that an error is about.
fn field_of(error: &MemoryError) -> &'static str {
    match error {
        MemoryError::Invalid(error) if error.field().starts_with("categor") => "categories",
        MemoryError::Invalid(error) if error.field() == "occurred_at" => "occurred",
        MemoryError::Invalid(_) => "content",
        _ => "",
    }
}

fn read_changes(form: &ListForm) -> Result<MemoryChanges, InvalidValue> {
    // Browsers send line breaks as two characters, and drop the first one of a text area.
    let content = form.get("content").replace("\r\n", "\n");
    let names = form.get("categories").split(',').map(str::trim).filter(|name| !name.is_empty());
    let names: Vec<String> = names.map(str::to_owned).collect();
    let occurred = form.get("occurred").trim();
    let moment = || if occurred.is_empty() { Ok(None) } else { Timestamp::parse("occurred_at", occurred).map(Some) };
    Ok(MemoryChanges {
        content: Some(Content::try_from(content)?),
        categories: Some(Category::parse_list("categories", &names)?),
        occurred_at: (occurred != form.get("occurred_was")).then(moment).transpose()?,
        ..MemoryChanges::default()
    })
}
