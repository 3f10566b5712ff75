//! `/auth/sign-out`.

use poem::{Response, handler};

use super::browser::Browser;
use super::cookies::CookieKind;
use super::error::PageError;
use super::forms::Form;
use super::return_to::ReturnTo;
use super::sign_in::SIGNED_OUT;
use super::view;

#[handler]
pub(crate) async fn sign_out(browser: Browser<'_>, form: Form) -> Result<Response, PageError> {
    let return_to = ReturnTo::parse(form.get("return_to"));
    let session = browser.session().filter(|session| form.belongs_to(&session.form_token()));
    let Some(session) = session else {
        return Err(PageError::ForeignForm { again: Some(return_to.unwrap_or_default()) });
    };
    if let Some(user) = browser.signed_in_user().await? {
        browser.pages.uploads.forget(user.person.id);
    }
    browser.services.sign_in.sign_out(&session).await?;
    let mut response = match return_to {
        // Somebody else may want to decide on the application's request.
        Some(request @ ReturnTo::Authorization(_)) => browser.go_on_to(&request).await?,
        _ => view::see_other(&format!("/auth/sign-in?{SIGNED_OUT}"))?,
    };
    browser.forget_attempts(&mut response);
    browser.cookies.clear(&mut response, CookieKind::Session);
    Ok(response)
}
