//! `/auth/sign-in/provider` and `/auth/callback`: to the identity provider and back.
//!
//! The way there is a link and not a form: providers send browsers on to others, which `form-action` would have to name.
//! It begins an attempt of its own, so that the form of the sign-in page stays good.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use poem::{Response, handler};

use super::browser::Browser;
use super::cookies::{ATTEMPT_LIFETIME, Kept};
use super::error::PageError;
use super::forms::comes_from_another_site;
use super::return_to::ReturnTo;
use super::{sign_in, view};
use crate::adapters::http::query;
use crate::domain::people::{ProviderAnswer, SignInError};

/// What browsers let a cookie have, name and attributes included, and some room.
const LONGEST_COOKIE: usize = 3_800;

#[handler]
pub(super) async fn start(browser: Browser<'_>) -> Result<Response, PageError> {
    let return_to = parameter(&browser, "return_to").and_then(|text| ReturnTo::parse(&text)).unwrap_or_default();
    if comes_from_another_site(browser.request, &browser.services.policy.issuer) {
        return Err(PageError::ForeignForm { again: Some(return_to) });
    }
    let kept = URL_SAFE_NO_PAD.encode(return_to.to_string());
    if kept.len() > LONGEST_COOKIE {
        return Err(PageError::TooLong);
    }
    let attempt = browser.services.sign_in.begin();
    let url = match browser.services.sign_in.provider_url(&attempt).await {
        Ok(url) => url,
        Err(error) => return sign_in::ask_again(&browser, &return_to, error, "").await,
    };
    let mut response = view::send_on_to(url.as_str())?;
    browser.cookies.set(&mut response, Kept::Provider, attempt.expose(), ATTEMPT_LIFETIME);
    browser.cookies.set(&mut response, Kept::ReturnTo, &kept, ATTEMPT_LIFETIME);
    Ok(response)
}

#[handler]
pub(super) async fn come_back(browser: Browser<'_>) -> Result<Response, PageError> {
    let return_to = kept_return_to(&browser).unwrap_or_default();
    let answer = ProviderAnswer {
        state: parameter(&browser, "state"),
        code: parameter(&browser, "code"),
        error: parameter(&browser, "error"),
    };
    let signed_in = match browser.attempt(Kept::Provider) {
        Some(attempt) => browser.services.sign_in.with_provider(&attempt, &answer).await,
        None => Err(SignInError::ForeignAnswer),
    };
    match signed_in {
        Ok(visitor) => browser.let_in(&visitor, &return_to).await,
        Err(error) => sign_in::ask_again(&browser, &return_to, error, "").await,
    }
}

fn kept_return_to(browser: &Browser<'_>) -> Option<ReturnTo> {
    let kept = URL_SAFE_NO_PAD.decode(browser.cookies.read(browser.request, Kept::ReturnTo)?).ok()?;
    ReturnTo::parse(std::str::from_utf8(&kept).ok()?)
}

fn parameter(browser: &Browser<'_>, name: &str) -> Option<String> {
    query::pairs(browser.request).find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}
