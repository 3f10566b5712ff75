//! Passkeys: adding and removing them at `/account/security/passkeys`, and signing in with one at `/auth/sign-in/passkey`.
//!
//! Both pages on which a passkey is used have the one script of all pages: browsers offer passkeys to scripts alone.

use askama::Template;
use poem::http::{StatusCode, header};
use poem::{Response, handler};

use super::account::sender;
use super::assets;
use super::browser::Browser;
use super::cookies::CookieKind;
use super::error::PageError;
use super::forms::{Form, ListForm};
use super::frame::Frame;
use super::return_to::ReturnTo;
use super::security::{self, ADDED, REMOVED};
use super::sign_in;
use super::texts::{Filled, Language};
use super::view::{self, PageContext};
use crate::domain::people::{Passkey, PasskeyError, PasskeyName, SignedInUser};

#[derive(Template)]
#[template(path = "add_passkey.html")]
struct AddPasskeyPage<'a> {
    t: &'a Frame,
    account: &'a str,
    name: &'a str,
    options: &'a str,
    form_token: &'a str,
}

/// `POST /account/security/passkeys/new`: confirms the password, and asks the browser for a passkey.
#[handler]
pub(crate) async fn ask(browser: Browser<'_>, form: ListForm) -> Result<Response, PageError> {
    let user = sender(&browser, form.get("form_token"), ReturnTo::Security).await?;
    let Ok(name) = form.get("name").parse::<PasskeyName>() else {
        let problem = browser.t.passkey_name_invalid.plain(PasskeyName::MAX);
        return refuse(&browser, &user, StatusCode::BAD_REQUEST, problem).await;
    };
    if !browser.services.passkeys.is_offered_to(&user.person) {
        return Err(PageError::NotFound);
    }
    if let Some(refused) = security::confirm(&browser, &user, form.get("current")).await? {
        return Ok(refused);
    }
    let options = match browser.services.passkeys.begin(&user.person, &user.token).await {
        Ok(options) => options,
        Err(error) => return explain(&browser, &user, error).await,
    };
    let form_token = user.token.form_token();
    let page = AddPasskeyPage {
        // Another language leads back to where it began: the password was not kept.
        t: &Frame { here: ReturnTo::Security.to_string(), ..browser.t.clone() },
        account: user.person.label(),
        name: name.as_str(),
        options: &options,
        form_token: form_token.as_str(),
    };
    view::show(StatusCode::OK, PageContext::AddPasskey, &page)
}

/// `POST /account/security/passkeys`: adds the passkey that the browser made.
#[handler]
pub(crate) async fn add(browser: Browser<'_>, form: ListForm) -> Result<Response, PageError> {
    let user = sender(&browser, form.get("form_token"), ReturnTo::Security).await?;
    let name = form.get("name").parse().map_err(|_| PageError::InvalidForm)?;
    match browser.services.passkeys.add(&user.person, &user.token, name, form.get("credential")).await {
        Ok(_) => view::see_other(&format!("{}?{ADDED}", ReturnTo::Security)),
        Err(error) => explain(&browser, &user, error).await,
    }
}

/// `POST /account/security/passkeys/remove`.
#[handler]
pub(crate) async fn remove(browser: Browser<'_>, form: ListForm) -> Result<Response, PageError> {
    let user = sender(&browser, form.get("form_token"), ReturnTo::Security).await?;
    let id = form.get("passkey").parse().map_err(|_| PageError::InvalidForm)?;
    browser.services.passkeys.remove(user.person.id, id).await?;
    view::see_other(&format!("{}?{REMOVED}", ReturnTo::Security))
}

async fn explain(browser: &Browser<'_>, user: &SignedInUser, error: PasskeyError) -> Result<Response, PageError> {
    let t = &browser.t;
    let (status, problem) = match error {
        PasskeyError::TooMany => (StatusCode::CONFLICT, t.passkeys_full.plain(Passkey::MAX_PER_PERSON)),
        PasskeyError::Exists => (StatusCode::CONFLICT, t.passkey_known.into()),
        PasskeyError::Refused => (StatusCode::FORBIDDEN, t.passkey_not_added.into()),
        error => return Err(error.into()),
    };
    refuse(browser, user, status, problem).await
}

async fn refuse(
    browser: &Browser<'_>,
    user: &SignedInUser,
    status: StatusCode,
    problem: Filled,
) -> Result<Response, PageError> {
    security::render(browser, user, status, Some(problem), None).await
}

/// `GET /auth/sign-in/passkey`: what the script of the sign-in page asks the browser for. It costs no access to the database.
#[handler]
#[expect(clippy::needless_pass_by_value, reason = "poem hands extractors over by value")]
pub(crate) fn challenge(browser: Browser<'_>) -> Result<Response, PageError> {
    let attempt = browser.attempt(CookieKind::SignIn).ok_or(PageError::NoCookie { again: ReturnTo::default() })?;
    let options = browser.services.sign_in.passkey_options(&attempt)?;
    Ok(Response::builder()
        .status(StatusCode::OK)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CACHE_CONTROL, "no-store")
        .header("cross-origin-resource-policy", "same-origin")
        .body(options))
}

/// `POST /auth/sign-in/passkey`.
#[handler]
pub(crate) async fn enter(browser: Browser<'_>, form: Form) -> Result<Response, PageError> {
    let (attempt, return_to) = match sign_in::attempt_of(&browser, &form).await? {
        Ok(attempt) => attempt,
        Err(answer) => return Ok(answer),
    };
    let signed_in = browser.services.sign_in.with_passkey(&attempt, form.get("credential"), browser.address()).await;
    match signed_in {
        Ok(user) => browser.start_session(&user, &return_to).await,
        Err(error) => sign_in::ask_again(&browser, &return_to, error, "").await,
    }
}
