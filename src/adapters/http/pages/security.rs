//! `/account/security`: password, passkeys, sessions, what happened in one's name, and the end of the account.

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use poem::http::StatusCode;
use poem::{Response, handler};
use url::form_urlencoded;

use super::account::{sender, signed_in};
use super::application_names::application_names;
use super::assets;
use super::browser::Browser;
use super::cookies::CookieKind;
use super::error::PageError;
use super::forms::ListForm;
use super::frame::Frame;
use super::return_to::ReturnTo;
use super::set_password::password_problem;
use super::sign_in::SignInRefusal;
use super::texts::{Filled, Language, Moment, Text};
use super::view::{self, PageContext};
use super::words;
use crate::domain::audit::EventPage;
use crate::domain::memories::{AccountClosure, ErasureError, MemoryBankError};
use crate::domain::people::{
    Account, Passkey, PasskeyName, Password, PeopleError, SessionId, SignInError, SignedInUser,
};

/// The query strings after a passkey was added and removed.
pub(super) const ADDED: &str = "passkey-added";
pub(super) const REMOVED: &str = "passkey-removed";
/// How many events a page shows.
const HISTORY: u32 = 100;

#[derive(Template)]
#[template(path = "security.html")]
struct SecurityPage<'a> {
    t: &'a Frame,
    account: &'a str,
    has_password: bool,
    shortest: usize,
    /// `None` if there are none to show and none can be added.
    passkeys: Option<Vec<PasskeyInWords>>,
    can_add_passkey: bool,
    longest_name: usize,
    sessions: Vec<SessionInWords>,
    events: Vec<EventInWords>,
    /// Whether newer events than these are left out.
    skips_events: bool,
    /// How many events come before those of the next page, if there is one.
    older_events: Option<u32>,
    problem: Option<Filled>,
    notice: Option<Text>,
    form_token: &'a str,
}

struct PasskeyInWords {
    id: String,
    name: String,
    since: Moment,
    used: Option<Moment>,
}

impl PasskeyInWords {
    fn of(passkey: &Passkey, language: Language) -> Self {
        Self {
            id: passkey.id.to_string(),
            name: passkey.name.to_string(),
            since: Moment::of(passkey.created_at, language),
            used: passkey.last_used_at.map(|at| Moment::of(at, language)),
        }
    }
}

struct SessionInWords {
    id: String,
    since: Moment,
    until: Moment,
    is_this_one: bool,
}

struct EventInWords {
    text: Filled,
    at: Moment,
}

/// `GET /account/security`.
#[handler]
pub(crate) async fn show(browser: Browser<'_>) -> Result<Response, PageError> {
    let user = match signed_in(&browser, ReturnTo::Security).await? {
        Ok(user) => user,
        Err(sign_in) => return Ok(sign_in),
    };
    let notice = match browser.query() {
        "ended" => Some(browser.t.session_over),
        ADDED => Some(browser.t.passkey_added),
        REMOVED => Some(browser.t.passkey_removed),
        _ => None,
    };
    render(&browser, &user, StatusCode::OK, None, notice).await
}

pub(super) async fn render(
    browser: &Browser<'_>,
    user: &SignedInUser,
    status: StatusCode,
    problem: Option<Filled>,
    notice: Option<Text>,
) -> Result<Response, PageError> {
    let services = &browser.services;
    let sessions = services.sign_in.sessions(user.person.id).await?;
    let sessions = sessions.into_iter().map(|session| SessionInWords {
        is_this_one: session.id == user.session.id,
        id: URL_SAFE_NO_PAD.encode(session.id.as_bytes()),
        since: Moment::of(session.signed_in_at, browser.t.language),
        until: Moment::of(session.expires_at, browser.t.language),
    });
    let skipped = skipped_events(browser.query());
    let EventPage { events, has_older } = services.sign_in.history(user.person.id, skipped, HISTORY).await?;
    let names = application_names(browser, events.iter().filter_map(|event| event.application_id)).await?;
    let events = events.iter().filter_map(|event| {
        let application = event.application_id.and_then(|id| names.get(&id)).map(String::as_str);
        let text = words::event(event, application, &browser.t)?;
        Some(EventInWords { text, at: Moment::of(event.at, browser.t.language) })
    });
    let passkeys = services.passkeys.list(user.person.id).await?;
    let offered = services.passkeys.is_offered_to(&user.person);
    let can_add_passkey = offered && passkeys.len() < Passkey::MAX_PER_PERSON as usize;
    let passkeys = (offered || !passkeys.is_empty())
        .then(|| passkeys.iter().map(|passkey| PasskeyInWords::of(passkey, browser.t.language)).collect());
    let form_token = user.token.form_token();
    let page = SecurityPage {
        t: &browser.t,
        account: user.person.label(),
        has_password: matches!(user.person.account, Account::Local { .. }),
        shortest: Password::MIN,
        passkeys,
        can_add_passkey,
        longest_name: PasskeyName::MAX,
        sessions: sessions.collect(),
        events: events.collect(),
        skips_events: skipped > 0,
        older_events: has_older.then(|| skipped.saturating_add(HISTORY)),
        problem,
        notice,
        form_token: form_token.as_str(),
    };
    view::show(status, PageContext::Standalone, &page)
}

/// How many of the newest events come before those that the address asks for.
fn skipped_events(query: &str) -> u32 {
    let asked = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "events");
    asked.and_then(|(_, skipped)| skipped.parse().ok()).unwrap_or_default()
}

/// Confirms the current password, or says what is wrong on the page.
pub(super) async fn confirm(
    browser: &Browser<'_>,
    user: &SignedInUser,
    password: &str,
) -> Result<Option<Response>, PageError> {
    match browser.services.sign_in.confirm(&user.person, password, browser.address()).await {
        Ok(()) => Ok(None),
        Err(SignInError::WrongCredentials) => {
            let problem = browser.t.current_password_wrong.into();
            render(browser, user, StatusCode::FORBIDDEN, Some(problem), None).await.map(Some)
        }
        Err(error) => {
            let (status, problem) = SignInRefusal::of(error, &browser.t)?.into_parts();
            render(browser, user, status, Some(problem), None).await.map(Some)
        }
    }
}

/// `POST /account/security/password`.
#[handler]
pub(crate) async fn change_password(browser: Browser<'_>, form: ListForm) -> Result<Response, PageError> {
    let user = sender(&browser, form.get("form_token"), ReturnTo::Security).await?;
    let refuse = |problem: Filled| render(&browser, &user, StatusCode::BAD_REQUEST, Some(problem), None);
    if form.get("new") != form.get("again") {
        return refuse(browser.t.new_passwords_differ.into()).await;
    }
    let Ok(new) = Password::choose(form.get("new")) else {
        return refuse(password_problem(form.get("new"), &browser.t)).await;
    };
    if let Some(refused) = confirm(&browser, &user, form.get("current")).await? {
        return Ok(refused);
    }
    match browser.services.people.change_password(&user.person, &new).await {
        Ok(()) => leave(&browser),
        Err(PeopleError::NotFound) => Err(PageError::ForeignForm { again: Some(ReturnTo::Security) }),
        Err(error) => Err(error.into()),
    }
}

/// `POST /account/security/end-session`.
#[handler]
pub(crate) async fn end_session(browser: Browser<'_>, form: ListForm) -> Result<Response, PageError> {
    let user = sender(&browser, form.get("form_token"), ReturnTo::Security).await?;
    let bytes = URL_SAFE_NO_PAD.decode(form.get("session")).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let id = SessionId::from_stored(bytes.ok_or(PageError::InvalidForm)?);
    browser.services.sign_in.end_session(user.person.id, &id).await?;
    view::see_other(&format!("{}?ended", ReturnTo::Security))
}

/// `POST /account/security/sign-out-everywhere`.
#[handler]
pub(crate) async fn sign_out_everywhere(browser: Browser<'_>, form: ListForm) -> Result<Response, PageError> {
    let user = sender(&browser, form.get("form_token"), ReturnTo::Security).await?;
    browser.pages.uploads.forget(user.person.id);
    browser.services.sign_in.sign_out_everywhere(user.person.id).await?;
    leave(&browser)
}

/// `POST /account/security/delete`: deletes the account and everything in it.
#[handler]
pub(crate) async fn delete_account(browser: Browser<'_>, form: ListForm) -> Result<Response, PageError> {
    let user = sender(&browser, form.get("form_token"), ReturnTo::Security).await?;
    if form.get("confirmed") != "yes" {
        let problem = browser.t.tick_to_confirm.into();
        return render(&browser, &user, StatusCode::BAD_REQUEST, Some(problem), None).await;
    }
    if let Account::Local { .. } = user.person.account
        && let Some(refused) = confirm(&browser, &user, form.get("current")).await?
    {
        return Ok(refused);
    }
    browser.pages.uploads.forget(user.person.id);
    let closure = match browser.services.eraser.close_account(user.person.id).await {
        Ok(closure) => closure,
        Err(ErasureError::Bank(MemoryBankError::Unsupported(_))) => {
            let problem = browser.t.cannot_delete_all.into();
            return render(&browser, &user, StatusCode::NOT_IMPLEMENTED, Some(problem), None).await;
        }
        Err(error) => return Err(error.into()),
    };
    let mut response = match closure {
        AccountClosure::Complete => view::see_other("/?deleted")?,
        AccountClosure::GoesOn(_) => show_closed(&browser.t, StatusCode::ACCEPTED, browser.t.deletion_goes_on)?,
        AccountClosure::Incomplete(error) => {
            tracing::error!(
                person.id = %user.person.id,
                error = &error as &dyn std::error::Error,
                "an account was closed and not deleted; `memgate user delete` deletes what is left"
            );
            show_closed(&browser.t, StatusCode::INTERNAL_SERVER_ERROR, browser.t.deletion_incomplete)?
        }
    };
    browser.cookies.clear(&mut response, CookieKind::Session);
    Ok(response)
}

#[derive(Template)]
#[template(path = "account_closed.html")]
struct ClosedPage<'a> {
    t: &'a Frame,
    text: Text,
}

fn show_closed(t: &Frame, status: StatusCode, text: Text) -> Result<Response, PageError> {
    view::show(status, PageContext::Standalone, &ClosedPage { t, text })
}

/// Goes on to the sign-in page, with a browser that has forgotten its session.
fn leave(browser: &Browser<'_>) -> Result<Response, PageError> {
    let mut response = view::see_other("/auth/sign-in?signed-out")?;
    browser.cookies.clear(&mut response, CookieKind::Session);
    Ok(response)
}
