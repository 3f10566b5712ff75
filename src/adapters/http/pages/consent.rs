//! `/auth/authorize` and `/auth/consent`: an application's request, and the person's decision.

use askama::Template;
use poem::http::StatusCode;
use poem::{Response, handler};

use super::assets;
use super::browser::Browser;
use super::error::PageError;
use super::forms::{ListForm, RawForm};
use super::frame::Frame;
use super::return_to::ReturnTo;
use super::sign_in::{self, Notice};
use super::texts::Language;
use super::view::{self, PageContext};
use super::words::{self, PermissionInWords, Unverified};
use crate::domain::applications::Permission;
use crate::domain::oauth::AuthorizationError;

#[derive(Template)]
#[template(path = "consent.html")]
struct ConsentPage<'a> {
    t: &'a Frame,
    application: &'a str,
    unverified: Option<Unverified>,
    /// Whether the answer goes to a program on this device, which any other program may pose as.
    stays_on_device: bool,
    initial: String,
    /// What is asked for, and whether the person may leave it out.
    permissions: Vec<(PermissionInWords, bool)>,
    some_are_optional: bool,
    account: &'a str,
    destination: String,
    form_token: &'a str,
    return_to: &'a str,
}

#[handler]
pub(crate) async fn ask(browser: Browser<'_>) -> Result<Response, PageError> {
    let query = browser.query();
    let request = match browser.services.authorizations.validate(query.as_bytes(), browser.address()).await {
        Ok(request) => request,
        Err(error) => return refuse(error),
    };
    let return_to = ReturnTo::authorization(query).ok_or(PageError::TooLong)?;
    let now = browser.services.clock.now();
    let signed_in = browser.signed_in_user().await?;
    let Some(user) = signed_in.filter(|user| request.accepts_sign_in_at(user.session.signed_in_at, now)) else {
        let return_to = if request.asks_for_recent_sign_in() { return_to.after_sign_in(now) } else { return_to };
        return sign_in::ask(&browser, &return_to, Some(&request), &Notice::Nothing);
    };
    let (application, form_token) = (request.application.name.as_str(), user.token.form_token());
    let optional = request.optional();
    let with_choice = PermissionInWords::all(request.scope, &browser.t).into_iter().map(|words| {
        let choice = optional.contains(words.permission);
        (words, choice)
    });
    let unverified = Unverified::of(&request.application, &browser.t);
    let page = ConsentPage {
        t: &browser.t,
        application,
        initial: words::initial(unverified.as_ref().map_or(application, |unverified| &unverified.origin)),
        unverified,
        stays_on_device: words::stays_on_device(request.redirect_uri()),
        permissions: with_choice.collect(),
        some_are_optional: !optional.is_empty(),
        account: user.person.label(),
        destination: words::destination(request.redirect_uri(), &browser.t),
        form_token: form_token.as_str(),
        return_to: &return_to.to_string(),
    };
    view::show(StatusCode::OK, PageContext::BeforeRedirect, &page)
}

/// The same request as a form (RFC 6749 §3.1). It is redirected to a GET, since browsers do not send the session cookie with
/// another site's form.
#[handler]
#[expect(clippy::needless_pass_by_value, reason = "poem hands extractors over by value")]
pub(crate) fn ask_by_form(form: RawForm) -> Result<Response, PageError> {
    let again = ReturnTo::authorization(&form.0).ok_or(PageError::TooLong)?;
    view::see_other(&again.to_string())
}

#[handler]
pub(crate) async fn answer(browser: Browser<'_>, form: ListForm) -> Result<Response, PageError> {
    let Some(return_to @ ReturnTo::Authorization(_)) = ReturnTo::parse(form.get("return_to")) else {
        return Err(PageError::InvalidForm);
    };
    let user = browser.signed_in_user().await?.filter(|user| user.token.form_token().matches(form.get("form_token")));
    let (Some(user), ReturnTo::Authorization(query)) = (user, &return_to) else {
        return Err(PageError::ForeignForm { again: Some(return_to) });
    };
    let authorizations = &browser.services.authorizations;
    let request = match authorizations.validate(query.as_bytes(), browser.address()).await {
        Ok(request) => request,
        Err(error) => return refuse(error),
    };
    if !request.accepts_sign_in_at(user.session.signed_in_at, browser.services.clock.now()) {
        return view::see_other(&return_to.to_string());
    }
    match form.get("decision") {
        "allow" => {
            let chosen = form.all("permission").filter_map(|name| name.parse::<Permission>().ok()).collect();
            match authorizations.approve(&request.choosing(chosen), &user.person).await {
                Ok(location) => view::see_other(location.as_str()),
                Err(error) => refuse(error),
            }
        }
        "deny" => view::see_other(authorizations.deny(&request).as_str()),
        _ => Err(PageError::InvalidForm),
    }
}

/// Reports the error to the application, if it is verified, or else to the person.
fn refuse(error: AuthorizationError) -> Result<Response, PageError> {
    match error {
        AuthorizationError::Refused { location } => view::see_other(location.as_str()),
        AuthorizationError::Untrusted(request) => Err(request.into()),
        AuthorizationError::TemporarilyUnavailable(error) => Err(PageError::Unavailable(error.into())),
        AuthorizationError::Internal(error) => Err(PageError::Internal(error)),
    }
}
