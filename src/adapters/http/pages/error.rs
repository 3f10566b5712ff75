//! The error pages for people, and their HTTP statuses.

use askama::Template;
use poem::error::{NotFoundError, ResponseError};
use poem::http::{HeaderValue, StatusCode, header};
use poem::{IntoResponse, Response};

use super::assets;
use super::return_to::ReturnTo;
use super::texts::{Filled, Frame, Language, Text, Texts};
use super::view::{self, PageContext};
use crate::adapters::http::server::error;
use crate::adapters::http::server::error::{ApiError, SHORT_WAIT};
use crate::domain::applications::HasherError;
use crate::domain::ids::RequestId;
use crate::domain::memories::ErasureError;
use crate::domain::oauth::UntrustedRequest;
use crate::domain::people::{LinkError, PeopleError, SignInError};
use crate::domain::system::{BoxError, StorageError};

/// Why a page could not be shown, or a form not be processed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PageError {
    /// An untrusted authorization request, which is answered without a redirect.
    #[error(transparent)]
    Untrusted(#[from] UntrustedRequest),
    /// An application's request that is too long.
    #[error("the request is too long")]
    TooLong,
    /// There is no such page.
    #[error("there is nothing at this path")]
    NotFound,
    /// A form that is outdated, or was not sent from its own page.
    #[error("the form does not belong to this browser")]
    ForeignForm {
        /// Where to start again.
        again: Option<ReturnTo>,
    },
    /// A form from an origin other than the public URL or the address that it was sent to.
    #[error(
        "the header Origin of a form is neither the public URL nor the address that the form was sent to; set \
         MEMGATE_PUBLIC_URL to the URL that browsers use"
    )]
    ForeignOrigin,
    /// A sign-in form without the cookie of its page.
    #[error("a sign-in form came without the cookie of its page")]
    NoCookie {
        /// Where to start again.
        again: ReturnTo,
    },
    /// A form that cannot be read.
    #[error("the form could not be read")]
    InvalidForm,
    /// A retry may succeed.
    #[error("the page cannot be shown now")]
    Unavailable(#[source] BoxError),
    /// An internal error.
    #[error("the page cannot be shown")]
    Internal(#[source] BoxError),
}

impl From<SignInError> for PageError {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::TemporarilyUnavailable(_) => Self::Unavailable(error.into()),
            error => Self::Internal(error.into()),
        }
    }
}

impl From<StorageError> for PageError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Unavailable(_) => Self::Unavailable(error.into()),
            StorageError::InconsistentRow { .. } => Self::Internal(error.into()),
        }
    }
}

impl From<ErasureError> for PageError {
    fn from(error: ErasureError) -> Self {
        match error {
            ErasureError::Storage(error) => error.into(),
            ErasureError::Person(error) => error.into(),
            ErasureError::Bank(ref bank) if bank.is_retryable() => Self::Unavailable(error.into()),
            error => Self::Internal(error.into()),
        }
    }
}

impl From<LinkError> for PageError {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Storage(error) => error.into(),
            LinkError::Hasher(HasherError::Overloaded) => Self::Unavailable(error.into()),
            error => Self::Internal(error.into()),
        }
    }
}

impl From<PeopleError> for PageError {
    fn from(error: PeopleError) -> Self {
        match error {
            PeopleError::Storage(error) => error.into(),
            PeopleError::Hasher(HasherError::Overloaded) => Self::Unavailable(error.into()),
            error => Self::Internal(error.into()),
        }
    }
}

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

/// An error as shown to a person.
struct ErrorKind {
    status: StatusCode,
    /// Its name in the log.
    slug: &'static str,
    title: fn(&Texts) -> Text,
    text: fn(&Texts) -> Text,
}

const NOT_FOUND: ErrorKind = ErrorKind {
    status: StatusCode::NOT_FOUND,
    slug: "no-such-page",
    title: |t| t.not_found_title,
    text: |t| t.not_found_text,
};

const INVALID_FORM: ErrorKind = ErrorKind {
    status: StatusCode::BAD_REQUEST,
    slug: "unreadable-form",
    title: |t| t.invalid_form_title,
    text: |t| t.invalid_form_text,
};

const INTERNAL_ERROR: ErrorKind = ErrorKind {
    status: StatusCode::INTERNAL_SERVER_ERROR,
    slug: "internal",
    title: |t| t.internal_title,
    text: |t| t.internal_text,
};

const UNAVAILABLE: ErrorKind = ErrorKind {
    status: StatusCode::SERVICE_UNAVAILABLE,
    slug: "unavailable",
    title: |t| t.unavailable_title,
    text: |t| t.unavailable_text,
};

impl From<&PageError> for ErrorKind {
    fn from(error: &PageError) -> Self {
        match error {
            PageError::Untrusted(_) => Self {
                status: StatusCode::BAD_REQUEST,
                slug: "untrusted-request",
                title: |t| t.untrusted_title,
                text: |t| t.untrusted_text,
            },
            PageError::ForeignForm { .. } => Self {
                status: StatusCode::FORBIDDEN,
                slug: "foreign-form",
                title: |t| t.out_of_date_title,
                text: |t| t.out_of_date_text,
            },
            PageError::ForeignOrigin => Self {
                status: StatusCode::FORBIDDEN,
                slug: "foreign-origin",
                title: |t| t.foreign_origin_title,
                text: |t| t.foreign_origin_text,
            },
            PageError::NoCookie { .. } => Self {
                status: StatusCode::FORBIDDEN,
                slug: "no-cookie",
                title: |t| t.no_cookie_title,
                text: |t| t.no_cookie_text,
            },
            PageError::TooLong => Self {
                status: StatusCode::BAD_REQUEST,
                slug: "request-too-long",
                title: |t| t.too_long_title,
                text: |t| t.too_long_text,
            },
            PageError::NotFound => NOT_FOUND,
            PageError::InvalidForm => INVALID_FORM,
            PageError::Unavailable(_) => UNAVAILABLE,
            PageError::Internal(_) => INTERNAL_ERROR,
        }
    }
}

impl From<&ApiError> for ErrorKind {
    fn from(error: &ApiError) -> Self {
        match error {
            ApiError::NoSuchPath => NOT_FOUND,
            ApiError::MethodNotAllowed { .. } => Self {
                status: StatusCode::METHOD_NOT_ALLOWED,
                slug: "method-not-allowed",
                title: |t| t.not_direct_title,
                text: |t| t.not_direct_text,
            },
            ApiError::TooLarge => Self { status: StatusCode::PAYLOAD_TOO_LARGE, ..INVALID_FORM },
            error => match error.status() {
                StatusCode::SERVICE_UNAVAILABLE => UNAVAILABLE,
                status if status.is_client_error() => INVALID_FORM,
                _ => INTERNAL_ERROR,
            },
        }
    }
}

/// Converts any error of a page into an error page, and logs it once.
pub(crate) fn render(error: &poem::Error, t: &Frame, request_id: RequestId) -> Response {
    if let Some(error) = error.downcast_ref::<PageError>() {
        return answer(&ErrorKind::from(error), error, details(error, t), t, request_id);
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

impl ResponseError for PageError {
    fn status(&self) -> StatusCode {
        ErrorKind::from(self).status
    }
}
