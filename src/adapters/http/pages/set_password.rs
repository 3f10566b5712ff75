//! `/account/set-password`: where a one-time link leads, and somebody chooses a password.

use askama::Template;
use poem::http::StatusCode;
use poem::{Response, handler};
use url::form_urlencoded;

use super::assets;
use super::browser::Browser;
use super::cookies::{ATTEMPT_LIFETIME, CookieKind};
use super::error::PageError;
use super::forms::Form;
use super::frame::Frame;
use super::return_to::ReturnTo;
use super::texts::{Filled, Language, Moment, Texts};
use super::view::{self, PageContext};
use crate::domain::people::{LinkError, LinkPurpose, LinkToken, Password, PasswordLink, Person};

#[derive(Template)]
#[template(path = "set_password.html")]
struct SetPasswordPage<'a> {
    t: &'a Frame,
    login: &'a str,
    is_invitation: bool,
    shortest: usize,
    until: Moment,
    problem: Option<Filled>,
    link: &'a str,
    form_token: &'a str,
}

#[derive(Template)]
#[template(path = "dead_link.html")]
struct DeadLinkPage<'a> {
    t: &'a Frame,
}

/// `GET /account/set-password?link=…`. To open it uses nothing up: programs open links in messages, too.
#[handler]
pub(crate) async fn show(browser: Browser<'_>) -> Result<Response, PageError> {
    let mut pairs = form_urlencoded::parse(browser.query().as_bytes());
    let presented = pairs.find(|(name, _)| name == "link").map(|(_, value)| value.into_owned()).unwrap_or_default();
    match open(&browser, &presented).await? {
        Some((link, person)) => ask(&browser, &presented, &link, &person, None),
        None => dead_link(&browser.t),
    }
}

/// `POST /account/set-password`.
#[handler]
pub(crate) async fn set(browser: Browser<'_>, form: Form) -> Result<Response, PageError> {
    let presented = form.get("link");
    let Some((link, person)) = open(&browser, presented).await? else { return dead_link(&browser.t) };
    let refuse = |status, problem: Filled| ask(&browser, presented, &link, &person, Some((status, problem)));
    let attempt = browser.attempt(CookieKind::SignIn);
    if !attempt.is_some_and(|attempt| form.belongs_to(&attempt.form_token())) {
        return refuse(StatusCode::FORBIDDEN, browser.t.open_too_long.into());
    }
    if form.get("new") != form.get("again") {
        return refuse(StatusCode::BAD_REQUEST, browser.t.passwords_differ.into());
    }
    let Ok(password) = Password::choose(form.get("new")) else {
        return refuse(StatusCode::BAD_REQUEST, password_problem(form.get("new"), &browser.t));
    };
    let Some(token) = LinkToken::parse(presented) else { return dead_link(&browser.t) };
    let person = match browser.services.people.use_link(&token, &password).await {
        Ok(person) => person,
        Err(LinkError::Invalid) => return dead_link(&browser.t),
        Err(error) => return Err(error.into()),
    };
    match browser.services.sign_in.after_verification(person).await? {
        Some(user) => browser.start_session(&user, &ReturnTo::Account).await,
        // Somebody has changed the account since.
        None => view::see_other("/auth/sign-in"),
    }
}

async fn open(browser: &Browser<'_>, presented: &str) -> Result<Option<(PasswordLink, Person)>, PageError> {
    let Some(token) = LinkToken::parse(presented) else { return Ok(None) };
    match browser.services.people.open_link(&token).await {
        Ok(opened) => Ok(Some(opened)),
        Err(LinkError::Invalid) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn ask(
    browser: &Browser<'_>,
    presented: &str,
    link: &PasswordLink,
    person: &Person,
    problem: Option<(StatusCode, Filled)>,
) -> Result<Response, PageError> {
    let attempt = browser.attempt(CookieKind::SignIn).unwrap_or_else(|| browser.services.sign_in.begin());
    let form_token = attempt.form_token();
    let (status, problem) = problem.map_or((StatusCode::OK, None), |(status, problem)| (status, Some(problem)));
    let page = SetPasswordPage {
        t: &browser.t,
        login: person.label(),
        is_invitation: link.purpose == LinkPurpose::Invitation,
        shortest: Password::MIN,
        until: Moment::of(link.expires_at, browser.t.language),
        problem,
        link: presented,
        form_token: form_token.as_str(),
    };
    let mut response = view::show(status, PageContext::Standalone, &page)?;
    browser.cookies.set(&mut response, CookieKind::SignIn, attempt.expose(), ATTEMPT_LIFETIME);
    Ok(response)
}

fn dead_link(t: &Frame) -> Result<Response, PageError> {
    view::show(StatusCode::NOT_FOUND, PageContext::Standalone, &DeadLinkPage { t })
}

/// What is wrong with a password that cannot be chosen.
pub(super) fn password_problem(password: &str, t: &Texts) -> Filled {
    if password.chars().count() < Password::MIN {
        t.password_too_short.plain(Password::MIN)
    } else {
        t.password_invalid.plain(Password::MAX)
    }
}
