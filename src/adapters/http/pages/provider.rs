//! `/auth/sign-in/provider` and `/auth/callback`: to the identity provider and back.
//!
//! The way there is a link rather than a form: providers redirect to other sites, which `form-action` would have to list. It
//! starts its own attempt, so that the form of the sign-in page stays valid.

use poem::{Response, handler};

use super::browser::Browser;
use super::cookies::{ATTEMPT_LIFETIME, CookieKind};
use super::error::PageError;
use super::forms;
use super::return_to::ReturnTo;
use super::{sign_in, view};
use crate::adapters::http::server::query;
use crate::domain::people::{ProviderAnswer, SignInError};

#[handler]
pub(crate) async fn start(browser: Browser<'_>) -> Result<Response, PageError> {
    let return_to = parameter(&browser, "return_to").and_then(|text| ReturnTo::parse(&text)).unwrap_or_default();
    forms::refuse_other_sites(browser.request, &browser.services.policy.resources.issuer, Some(&return_to))?;
    let attempt = browser.services.sign_in.begin();
    let mut url = match browser.services.sign_in.provider_url(&attempt).await {
        Ok(url) => url,
        Err(error) => return sign_in::ask_again(&browser, &return_to, error, "").await,
    };
    if asks_for_recent_sign_in(&browser, &return_to).await {
        // Otherwise the provider would only confirm who is signed in there (OpenID Connect Core §3.1.2.1).
        url.query_pairs_mut().append_pair("prompt", "login");
    }
    let mut response = view::see_other(url.as_str())?;
    browser.cookies.set(&mut response, CookieKind::Provider, attempt.expose(), ATTEMPT_LIFETIME);
    browser.cookies.set_return_to(&mut response, &return_to.to_string(), ATTEMPT_LIFETIME);
    Ok(response)
}

#[handler]
pub(crate) async fn callback(browser: Browser<'_>) -> Result<Response, PageError> {
    let return_to = kept_return_to(&browser).unwrap_or_default();
    let answer = ProviderAnswer {
        state: parameter(&browser, "state"),
        code: parameter(&browser, "code"),
        error: parameter(&browser, "error"),
    };
    let signed_in = match browser.attempt(CookieKind::Provider) {
        Some(attempt) => browser.services.sign_in.with_provider(&attempt, &answer, browser.address()).await,
        None => Err(SignInError::ForeignAnswer),
    };
    match signed_in {
        Ok(user) => browser.start_session(&user, &return_to).await,
        Err(error) => sign_in::ask_again(&browser, &return_to, error, "").await,
    }
}

fn kept_return_to(browser: &Browser<'_>) -> Option<ReturnTo> {
    ReturnTo::parse(&browser.cookies.read_return_to(browser.request)?)
}

async fn asks_for_recent_sign_in(browser: &Browser<'_>, return_to: &ReturnTo) -> bool {
    let ReturnTo::Authorization(query) = return_to else { return false };
    let request = browser.services.authorizations.validate(query.as_bytes(), browser.address()).await;
    request.is_ok_and(|request| request.asks_for_recent_sign_in())
}

fn parameter(browser: &Browser<'_>, name: &str) -> Option<String> {
    query::pairs(browser.request).find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}
