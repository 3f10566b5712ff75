//! Deletes memories: those that are ticked, or all of them.

use askama::Template;
use poem::http::StatusCode;
use poem::{Response, handler};

use super::super::account::{sender, signed_in};
use super::super::assets;
use super::super::browser::Browser;
use super::super::error::PageError;
use super::super::forms::ListForm;
use super::super::frame::Frame;
use super::super::memory_error::{memory_problem, page_error};
use super::super::memory_name;
use super::super::return_to::ReturnTo;
use super::super::texts::{Filled, Language, Text};
use super::super::view::{self, PageContext};
use super::list::show_list;
use super::undo::{UNDO_WINDOW, Undo, UndoKind, fits_into_a_form, written};
use crate::domain::memories::{ErasureError, MemoryBankError, MemoryError, OwnMemoryId};
use crate::domain::people::SignedInUser;

#[derive(Template)]
#[template(path = "memories_deleted.html")]
struct DeletedPage<'a> {
    t: &'a Frame,
    account: &'a str,
    deleted: usize,
    missing: usize,
    problem: Option<Filled>,
    undo: Option<Undo>,
    minutes: u64,
    form_token: &'a str,
}

#[derive(Template)]
#[template(path = "memories_confirm.html")]
struct ConfirmPage<'a> {
    t: &'a Frame,
    account: &'a str,
    ids: Vec<String>,
    form_token: &'a str,
}

/// `POST /account/memories`: deletes those that are ticked. What they were goes into the page alone, sealed, so that it can
/// be undone and nothing of it stays here.
#[handler]
pub(crate) async fn delete(browser: Browser<'_>, form: ListForm) -> Result<Response, PageError> {
    let user = sender(&browser, form.get("form_token"), ReturnTo::Memories).await?;
    let own = &browser.services.own_memories;
    let ids: Vec<OwnMemoryId> = form.all("id").filter_map(memory_name::read).collect();
    if ids.is_empty() {
        return show_list(&browser, &user, Some(browser.t.nothing_selected)).await;
    }
    let (mut found, mut missing) = (Vec::new(), 0);
    for id in &ids {
        match own.get(user.person.id, id).await {
            Ok(memory) => found.push(memory),
            Err(MemoryError::NotFound) => missing += 1,
            Err(error) => return Err(page_error(error)),
        }
    }
    let form_token = user.token.form_token();
    if !fits_into_a_form(&written(&found)?) && form.get("confirmed") != "yes" {
        let ids = ids.iter().map(memory_name::written).collect();
        let page = ConfirmPage { t: &browser.t, account: user.person.label(), ids, form_token: form_token.as_str() };
        return view::show(StatusCode::OK, PageContext::Standalone, &page);
    }
    let (mut deleted, mut problem) = (Vec::new(), None);
    for memory in found {
        match own.remove(user.person.id, memory).await {
            Ok(memory) => deleted.push(memory),
            Err(MemoryError::NotFound) => missing += 1,
            Err(error) => {
                problem = match memory_problem(error, &browser.t) {
                    Ok((_, why)) => Some(why),
                    // What is gone already is told, and can be undone.
                    Err(error) if !deleted.is_empty() => {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "not all selected memories were deleted"
                        );
                        Some(browser.t.delete_all_stopped.into())
                    }
                    Err(error) => return Err(error),
                };
                break;
            }
        }
    }
    let memories = written(&deleted)?;
    let is_short = !deleted.is_empty() && fits_into_a_form(&memories);
    let undo = is_short.then(|| Undo::seal(&browser, &user, UndoKind::Deletion, memories));
    let page = DeletedPage {
        t: &browser.t,
        account: user.person.label(),
        deleted: deleted.len(),
        missing,
        problem,
        undo,
        minutes: UNDO_WINDOW.as_secs() / 60,
        form_token: form_token.as_str(),
    };
    view::show(StatusCode::OK, PageContext::Standalone, &page)
}

#[derive(Template)]
#[template(path = "memories_delete_all.html")]
struct DeleteAllPage<'a> {
    t: &'a Frame,
    account: &'a str,
    form_token: &'a str,
    problem: Option<Text>,
}

/// `GET /account/delete-memories`: asks before everything is deleted.
#[handler]
pub(crate) async fn ask_delete_all(browser: Browser<'_>) -> Result<Response, PageError> {
    let user = match signed_in(&browser, ReturnTo::Memories).await? {
        Ok(user) => user,
        Err(sign_in) => return Ok(sign_in),
    };
    show_delete_all(&browser.t, &user, None)
}

fn show_delete_all(t: &Frame, user: &SignedInUser, problem: Option<(StatusCode, Text)>) -> Result<Response, PageError> {
    let form_token = user.token.form_token();
    let (status, problem) = problem.map_or((StatusCode::OK, None), |(status, problem)| (status, Some(problem)));
    let page = DeleteAllPage { t, account: user.person.label(), form_token: form_token.as_str(), problem };
    view::show(status, PageContext::Standalone, &page)
}

/// `POST /account/delete-memories`.
#[handler]
pub(crate) async fn delete_all(browser: Browser<'_>, form: ListForm) -> Result<Response, PageError> {
    let user = sender(&browser, form.get("form_token"), ReturnTo::Memories).await?;
    if form.get("confirmed") != "yes" {
        return show_delete_all(&browser.t, &user, Some((StatusCode::BAD_REQUEST, browser.t.tick_to_confirm)));
    }
    match browser.services.own_memories.delete_all(user.person.id).await {
        Ok(_) => show_list(&browser, &user, Some(browser.t.all_deleted)).await,
        Err(ErasureError::Bank(MemoryBankError::Unsupported(_))) => {
            show_delete_all(&browser.t, &user, Some((StatusCode::NOT_IMPLEMENTED, browser.t.cannot_delete_all)))
        }
        Err(ErasureError::Bank(error)) if error.is_retryable() => {
            show_delete_all(&browser.t, &user, Some((StatusCode::SERVICE_UNAVAILABLE, browser.t.delete_all_stopped)))
        }
        Err(error) => Err(error.into()),
    }
}
