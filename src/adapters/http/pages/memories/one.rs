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
use super::super::memory_error::{memory_problem, not_found};
use super::super::return_to::ReturnTo;
use super::super::texts::{Filled, Language};
use super::super::view::{self, PageContext};
use super::in_words::MemoryInWords;
use super::undo::{UNDO_WINDOW, Undo, undo_of_correction};
use crate::domain::applications::Category;
use crate::domain::memories::{Content, MemoryChanges, MemoryError};
use crate::domain::people::SignedInUser;
use crate::domain::validation::InvalidValue;

#[derive(Template)]
#[template(path = "memory.html")]
struct MemoryPage<'a> {
    t: &'a Frame,
    account: &'a str,
    memory: MemoryInWords,
    categories: String,
    problem: Option<Filled>,
    saved: Option<Saved>,
    undone: bool,
    forgotten: bool,
    minutes: u64,
    history: Vec<EntryInWords>,
    form_token: &'a str,
}

/// That a correction was saved, and what undoes it.
struct Saved {
    undo: Option<Undo>,
}

fn show_memory(
    t: &Frame,
    user: &SignedInUser,
    memory: MemoryInWords,
    problem: Option<(StatusCode, Filled)>,
    saved: Option<Saved>,
    query: &str,
    history: Vec<EntryInWords>,
) -> Result<Response, PageError> {
    let form_token = user.token.form_token();
    let (status, problem) = problem.map_or((StatusCode::OK, None), |(status, problem)| (status, Some(problem)));
    let page = MemoryPage {
        t,
        account: user.person.label(),
        categories: memory.categories.join(", "),
        memory,
        problem,
        saved,
        undone: query == "undone",
        forgotten: query == "forgotten",
        minutes: UNDO_WINDOW.as_secs() / 60,
        history,
        form_token: form_token.as_str(),
    };
    view::show(status, PageContext::Standalone, &page)
}

/// `GET /account/memories/{id}`: the page that assistants cite.
#[handler]
pub(crate) async fn show(browser: Browser<'_>) -> Result<Response, PageError> {
    let id = browser.memory_id()?;
    let user = match signed_in(&browser, ReturnTo::Memory(id.clone())).await? {
        Ok(user) => user,
        Err(sign_in) => return Ok(sign_in),
    };
    let own = &browser.services.own_memories;
    let memory = own.get(user.person.id, &id).await.map_err(not_found)?;
    let sources = own.sources(user.person.id).await?;
    let history = history::in_words(&browser, &memory).await?;
    let memory = MemoryInWords::whole(&memory, &sources, &browser.t);
    show_memory(&browser.t, &user, memory, None, None, browser.query(), history)
}

/// `POST /account/memories/{id}`: a correction.
#[handler]
pub(crate) async fn save(browser: Browser<'_>, form: ListForm) -> Result<Response, PageError> {
    let id = browser.memory_id()?;
    let return_to = ReturnTo::Memory(id.clone());
    let user = sender(&browser, form.get("form_token"), return_to.clone()).await?;
    let own = &browser.services.own_memories;
    let corrected = match read_changes(&form) {
        Ok(changes) => own.correct(user.person.id, &id, &changes).await,
        Err(error) => Err(error.into()),
    };
    match corrected {
        Ok(correction) => {
            let undo = undo_of_correction(&browser, &user, &correction)?;
            let saved = correction.saved;
            let sources = own.sources(user.person.id).await?;
            let history = history::in_words(&browser, &saved).await?;
            let memory = MemoryInWords::whole(&saved, &sources, &browser.t);
            show_memory(&browser.t, &user, memory, None, Some(Saved { undo }), "", history)
        }
        Err(MemoryError::NotFound) => Err(PageError::NotFound),
        Err(error) => {
            // What was typed is not lost.
            let problem = memory_problem(error, &browser.t)?;
            let stored = own.get(user.person.id, &id).await.map_err(not_found)?;
            let sources = own.sources(user.person.id).await?;
            let mut memory = MemoryInWords::whole(&stored, &sources, &browser.t);
            form.get("content").clone_into(&mut memory.content);
            memory.categories = form.get("categories").split(',').map(|name| name.trim().to_owned()).collect();
            let history = history::in_words(&browser, &stored).await?;
            show_memory(&browser.t, &user, memory, Some(problem), None, "", history)
        }
    }
}

fn read_changes(form: &ListForm) -> Result<MemoryChanges, InvalidValue> {
    // Browsers send line breaks as two characters, and drop the first one of a text area.
    let content = form.get("content").replace("\r\n", "\n");
    let names = form.get("categories").split(',').map(str::trim).filter(|name| !name.is_empty());
    let names: Vec<String> = names.map(str::to_owned).collect();
    Ok(MemoryChanges {
        content: Some(Content::try_from(content)?),
        categories: Some(Category::parse_list("categories", &names)?),
        ..MemoryChanges::default()
    })
}
