//! `/` and `/account`: what this is, and the way to everything that a person can do here.

use askama::Template;
use poem::http::StatusCode;
use poem::{Response, handler};

use super::assets;
use super::browser::Browser;
use super::error::PageError;
use super::return_to::ReturnTo;
use super::sign_in::{self, Notice};
use super::view::{self, PageContext};
use crate::domain::people::SignedInUser;

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage<'a> {
    account: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage<'a> {
    account: &'a str,
    form_token: &'a str,
}

/// `/`.
#[handler]
pub(crate) async fn home(browser: Browser<'_>) -> Result<Response, PageError> {
    let user = browser.signed_in_user().await?;
    let account = user.as_ref().map(|user| user.person.label());
    view::show(StatusCode::OK, PageContext::Standalone, &HomePage { account })
}

/// `/account`.
#[handler]
pub(crate) async fn show(browser: Browser<'_>) -> Result<Response, PageError> {
    let user = match signed_in(&browser, ReturnTo::Account).await? {
        Ok(user) => user,
        Err(sign_in) => return Ok(sign_in),
    };
    let form_token = user.token.form_token();
    let page = AccountPage { account: user.person.label(), form_token: form_token.as_str() };
    view::show(StatusCode::OK, PageContext::Standalone, &page)
}

/// Who has sent a form that carries `form_token`.
///
/// # Errors
/// [`PageError::ForeignForm`] if it is not a form of their session; it can be opened `again`.
pub(crate) async fn sender(
    browser: &Browser<'_>,
    form_token: &str,
    again: ReturnTo,
) -> Result<SignedInUser, PageError> {
    let user = browser.signed_in_user().await?.filter(|user| user.token.form_token().matches(form_token));
    user.ok_or(PageError::ForeignForm { again: Some(again) })
}

/// Who is signed in, or the page that asks for it and goes on to `return_to`.
///
/// # Errors
/// [`PageError::Unavailable`], [`PageError::Internal`].
pub(crate) async fn signed_in(
    browser: &Browser<'_>,
    return_to: ReturnTo,
) -> Result<Result<SignedInUser, Response>, PageError> {
    Ok(match browser.signed_in_user().await? {
        Some(user) => Ok(user),
        None => Err(sign_in::ask(browser, &return_to, None, &Notice::Nothing)?),
    })
}
