//! The error pages for people.

use askama::Template;
use poem::error::NotFoundError;
use poem::http::{HeaderValue, StatusCode, header};
use poem::{IntoResponse, Response};

use super::assets;
use super::error::{ErrorKind, INTERNAL_ERROR, INVALID_FORM, NOT_FOUND, PageError};
use super::frame::Frame;
use super::texts::{Filled, Language, Text, Texts};
use super::view::{self, PageContext};
use crate::adapters::http::server::error;
use crate::adapters::http::server::error::{ApiError, SHORT_WAIT, whole_seconds};
use crate::domain::ids::RequestId;
use crate::domain::oauth::UntrustedRequest;

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    t: &'a Frame,
    title: Text,
    text: Text,
    detail: Option<Filled>,
    again: Option<String>,
    request_id: RequestId,
}

/// Converts any error of a page into an error page, and logs it once.
pub(crate) fn render(error: &poem::Error, t: &Frame, request_id: RequestId) -> Response {
    if let Some(error) = error.downcast_ref::<PageError>() {
        let mut response = answer(&ErrorKind::from(error), error, details(error, t), t, request_id);
        if let Some(wait) = error.asked_too_often() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
        }
        return response;
    }
    if let Some(error) = error.downcast_ref() {
        return render_api(error, t, request_id);
    }
    let page = match error.status() {
        _ if error.is::<NotFoundError>() => NOT_FOUND,
        status if status.is_client_error() => ErrorKind { status, ..INVALID_FORM },
        _ => INTERNAL_ERROR,
    };
    answer(&page, error, Details::default(), t, request_id)
}

/// As [`render`].
pub(crate) fn render_api(error: &ApiError, t: &Frame, request_id: RequestId) -> Response {
    let mut response = answer(&ErrorKind::from(error), error, Details::default(), t, request_id);
    if let ApiError::MethodNotAllowed { allow } = error {
        response.headers_mut().insert(header::ALLOW, allow.clone());
    }
    response
}

/// The variable parts of an error page.
#[derive(Default)]
struct Details {
    detail: Option<Filled>,
    again: Option<String>,
}

fn details(error: &PageError, t: &Texts) -> Details {
    match error {
        PageError::Untrusted(problem) => Details { detail: Some(untrusted(problem, t)), again: None },
        PageError::ForeignForm { again: Some(again) } | PageError::NoCookie { again } => {
            Details { detail: None, again: Some(again.to_string()) }
        }
        _ => Details::default(),
    }
}

/// Why an application's request is not trusted.
fn untrusted(problem: &UntrustedRequest, t: &Texts) -> Filled {
    match problem {
        UntrustedRequest::Malformed => t.untrusted_malformed.into(),
        UntrustedRequest::NoClient => t.untrusted_no_client.into(),
        UntrustedRequest::UnknownClient => t.untrusted_unknown_client.into(),
        UntrustedRequest::UnusableDocument { host, problem } => t.untrusted_document.strong(host).name(problem),
        UntrustedRequest::TooManyApplications => t.untrusted_too_many.into(),
        UntrustedRequest::NoRedirectUri => t.untrusted_no_redirect.into(),
        UntrustedRequest::UnregisteredRedirectUri => t.untrusted_redirect.into(),
        UntrustedRequest::UnusableRedirectUri { problem } => t.untrusted_unusable_redirect.name(problem),
    }
}

fn answer(
    kind: &ErrorKind,
    error: &(dyn std::error::Error + 'static),
    details: Details,
    t: &Frame,
    request_id: RequestId,
) -> Response {
    let ErrorKind { status, slug, title, text } = *kind;
    error::log(status, slug, error, request_id);
    let Details { detail, again } = details;
    let page = ErrorPage { t, title: title(t), text: text(t), detail, again, request_id };
    let mut response =
        view::show(status, PageContext::AuthorizationFlow, &page).unwrap_or_else(|_| status.into_response());
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(SHORT_WAIT.as_secs()));
    }
    response
}
