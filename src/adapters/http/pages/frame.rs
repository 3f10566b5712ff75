//! What a page is shown in: its language, and where it is.

use std::borrow::Borrow;
use std::ops::Deref;

use poem::Request;
use poem::http::{Method, header};

use super::cookies::{CookieKind, Cookies};
use super::texts::{Language, Texts};

/// The language of a page, its texts, and where the page is.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// The language.
    pub(crate) language: Language,
    /// Where a browser goes on when the person has chosen another language.
    pub(crate) here: String,
}

impl Frame {
    /// The frame of the answer to `request`.
    pub(crate) fn of(request: &Request, cookies: Cookies) -> Self {
        let here = match (request.method(), request.uri().path_and_query()) {
            (&Method::GET, Some(address)) => address.as_str(),
            _ => request.uri().path(),
        };
        Self { language: language_of(request, cookies), here: here.to_owned() }
    }

    /// A number as it is written.
    pub(crate) fn number(&self, number: impl Borrow<u64>) -> String {
        self.language.number(*number.borrow())
    }
}

/// The language that a person chose here, or else the one that the browser asks for.
fn language_of(request: &Request, cookies: Cookies) -> Language {
    let chosen = cookies.read(request, CookieKind::Language).and_then(|tag| Language::from_tag(&tag));
    chosen.unwrap_or_else(|| {
        let headers = request.headers().get_all(header::ACCEPT_LANGUAGE).iter();
        let headers: Vec<&str> = headers.filter_map(|value| value.to_str().ok()).collect();
        Language::accepted(&headers.join(","))
    })
}

impl Deref for Frame {
    type Target = Texts;

    fn deref(&self) -> &Texts {
        self.language.texts()
    }
}
