//! The texts of one page.

use std::borrow::Borrow;
use std::ops::Deref;

use poem::Request;
use poem::http::Method;

use super::catalog::Texts;
use super::language::Language;
use crate::adapters::http::pages::cookies::Cookies;

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
        Self { language: Language::of(request, cookies), here: here.to_owned() }
    }

    /// A number as it is written.
    pub(crate) fn number(&self, number: impl Borrow<u64>) -> String {
        self.language.number(*number.borrow())
    }
}

impl Deref for Frame {
    type Target = Texts;

    fn deref(&self) -> &Texts {
        self.language.texts()
    }
}
