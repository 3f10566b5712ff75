//! `/auth/sign-in`: the sign-in page.

use askama::Template;
use poem::http::{HeaderValue, Method, StatusCode, header};
use poem::{Response, handler};
use url::form_urlencoded;

use super::browser::Browser;
use super::cookies::{ATTEMPT_LIFETIME, CookieKind};
use super::error::PageError;
use super::forms::Form;
use super::frame::Frame;
use super::return_to::ReturnTo;
use super::texts::{Filled, Language, Text, Texts};
use super::view::{self, PageContext};
use super::words::Unverified;
use super::{assets, words};
use crate::adapters::http::server::error::{SHORT_WAIT, whole_seconds};
use crate::domain::oauth::AuthorizationRequest;
use crate::domain::people::{IdentityError, SignInAttempt, SignInError};

/// The query string after signing out.
pub(crate) const SIGNED_OUT: &str = "signed-out";

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage<'a> {
    t: &'a Frame,
    application: Option<&'a str>,
    provider: Option<Provider<'a>>,
    passkeys: bool,
    notice: Option<Text>,
    problem: Option<&'a Filled>,
    /// Whether the input caused the problem.
    wrong: bool,
    login: &'a str,
    form_token: &'a str,
    return_to: &'a str,
}

struct Provider<'a> {
    name: &'a str,
    href: String,
}

/// The notice on the page.
#[derive(Default)]
pub(crate) enum Notice<'a> {
    #[default]
    Nothing,
    SignedOut,
    Refused(&'a SignInRefusal, &'a str),
}

/// Why the sign-in failed, as shown to the person.
pub(crate) struct SignInRefusal {
    status: StatusCode,
    problem: Filled,
    /// Whether the input caused it.
    wrong: bool,
    retry_after: Option<u64>,
}

impl SignInRefusal {
    fn new(status: StatusCode, problem: impl Into<Filled>) -> Self {
        Self { status, problem: problem.into(), wrong: false, retry_after: None }
    }

    /// The status and what to say.
    pub(crate) fn into_parts(self) -> (StatusCode, Filled) {
        (self.status, self.problem)
    }

    /// # Errors
    /// [`PageError`] for an error for which a retry on the same page makes no sense.
    pub(crate) fn of(error: SignInError, t: &Texts) -> Result<Self, PageError> {
        Ok(match error {
            SignInError::WrongCredentials => {
                Self { wrong: true, ..Self::new(StatusCode::FORBIDDEN, t.wrong_credentials) }
            }
            SignInError::TooManyFailures { retry_after } => {
                let problem = words::wait(retry_after, t);
                let retry_after = Some(whole_seconds(retry_after));
                Self { retry_after, ..Self::new(StatusCode::TOO_MANY_REQUESTS, problem) }
            }
            SignInError::ForeignAnswer => Self::new(StatusCode::FORBIDDEN, t.foreign_sign_in),
            SignInError::Declined => Self::new(StatusCode::FORBIDDEN, t.declined),
            SignInError::NotAdmitted => Self::new(StatusCode::FORBIDDEN, t.not_admitted),
            SignInError::Provider(IdentityError::Unavailable(_)) => Self {
                retry_after: Some(SHORT_WAIT.as_secs()),
                ..Self::new(StatusCode::SERVICE_UNAVAILABLE, t.provider_silent)
            },
            SignInError::Provider(IdentityError::Rejected(_)) => {
                Self::new(StatusCode::BAD_GATEWAY, t.provider_rejected)
            }
            SignInError::PasskeyRefused => Self::new(StatusCode::FORBIDDEN, t.passkey_refused),
            SignInError::NoProvider | SignInError::NoPasskeys => return Err(PageError::NotFound),
            error @ (SignInError::TemporarilyUnavailable(_) | SignInError::Internal(_)) => return Err(error.into()),
        })
    }
}

/// Shows the sign-in page. `asking` is the request that needs the sign-in.
///
/// # Errors
/// [`PageError::Internal`].
pub(crate) fn ask(
    browser: &Browser<'_>,
    return_to: &ReturnTo,
    asking: Option<&AuthorizationRequest>,
    notice: &Notice<'_>,
) -> Result<Response, PageError> {
    let services = &browser.services;
    // Another language leads to the same page, whatever led here.
    let t = Frame { here: return_to.to_string(), ..browser.t.clone() };
    let t = if *browser.request.method() == Method::GET { &browser.t } else { &t };
    let attempt = browser.attempt(CookieKind::SignIn).unwrap_or_else(|| services.sign_in.begin());
    let (return_to, form_token) = (return_to.to_string(), attempt.form_token());
    let provider = services.sign_in.provider_name().map(|name| Provider { name, href: provider_href(&return_to) });
    // What an application that nobody verified calls itself proves nothing.
    let origin = asking.and_then(|request| Unverified::of(&request.application, t)).map(|unverified| unverified.origin);
    let application = origin.as_deref().or_else(|| asking.map(|request| request.application.name.as_str()));
    let passkeys = services.sign_in.has_passkeys();
    let context = if passkeys { PageContext::SignIn } else { PageContext::AuthorizationFlow };
    let page = SignInPage {
        t,
        application,
        provider,
        passkeys,
        notice: None,
        problem: None,
        wrong: false,
        login: "",
        form_token: form_token.as_str(),
        return_to: &return_to,
    };
    let mut response = match notice {
        Notice::Nothing => view::show(StatusCode::OK, context, &page)?,
        Notice::SignedOut => {
            let page = SignInPage { notice: Some(t.signed_out), ..page };
            view::show(StatusCode::OK, context, &page)?
        }
        Notice::Refused(refusal, login) => {
            let page = SignInPage { problem: Some(&refusal.problem), wrong: refusal.wrong, login, ..page };
            let mut response = view::show(refusal.status, context, &page)?;
            if let Some(seconds) = refusal.retry_after {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            response
        }
    };
    browser.cookies.set(&mut response, CookieKind::SignIn, attempt.expose(), ATTEMPT_LIFETIME);
    Ok(response)
}

fn provider_href(return_to: &str) -> String {
    let query: String = form_urlencoded::Serializer::new(String::new()).append_pair("return_to", return_to).finish();
    format!("/auth/sign-in/provider?{query}")
}

/// Shows the page again, after `error`.
///
/// # Errors
/// [`PageError`].
pub(crate) async fn ask_again(
    browser: &Browser<'_>,
    return_to: &ReturnTo,
    error: SignInError,
    login: &str,
) -> Result<Response, PageError> {
    let refusal = SignInRefusal::of(error, &browser.t)?;
    let asking = match return_to {
        ReturnTo::Authorization(query) => {
            browser.services.authorizations.validate(query.as_bytes(), browser.address()).await.ok()
        }
        _ => None,
    };
    ask(browser, return_to, asking.as_ref(), &Notice::Refused(&refusal, login))
}

#[handler]
pub(crate) async fn show(browser: Browser<'_>) -> Result<Response, PageError> {
    if browser.signed_in_user().await?.is_some() {
        return view::see_other(&ReturnTo::default().to_string());
    }
    let notice = if browser.query() == SIGNED_OUT { Notice::SignedOut } else { Notice::Nothing };
    ask(&browser, &ReturnTo::default(), None, &notice)
}

#[handler]
pub(crate) async fn with_password(browser: Browser<'_>, form: Form) -> Result<Response, PageError> {
    let return_to = match attempt_of(&browser, &form).await? {
        Ok((_, return_to)) => return_to,
        Err(answer) => return Ok(answer),
    };
    let login = form.get("login");
    let signed_in = browser.services.sign_in.with_password(login, form.get("password"), browser.address()).await;
    match signed_in {
        Ok(user) => browser.start_session(&user, &return_to).await,
        Err(error) => ask_again(&browser, &return_to, error, login).await,
    }
}

/// The attempt to which a form of the sign-in page belongs, and where it leads; or the answer to somebody who has signed in
/// already.
///
/// # Errors
/// [`PageError::ForeignForm`], [`PageError::NoCookie`], [`PageError::Unavailable`], [`PageError::Internal`].
pub(super) async fn attempt_of(
    browser: &Browser<'_>,
    form: &Form,
) -> Result<Result<(SignInAttempt, ReturnTo), Response>, PageError> {
    let return_to = ReturnTo::parse(form.get("return_to")).unwrap_or_default();
    match browser.attempt(CookieKind::SignIn) {
        Some(attempt) if form.belongs_to(&attempt.form_token()) => Ok(Ok((attempt, return_to))),
        // A person who has signed in in another tab meanwhile continues; nothing of this form is used.
        _ if browser.signed_in_user().await?.is_some() => Ok(Err(browser.go_on_to(&return_to).await?)),
        Some(_) => Err(PageError::ForeignForm { again: Some(return_to) }),
        None => Err(PageError::NoCookie { again: return_to }),
    }
}
