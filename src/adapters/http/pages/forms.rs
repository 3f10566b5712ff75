//! Forms that a browser sends back.

use poem::http::header;
use poem::{FromRequest, Request, RequestBody, Result};
use url::Url;

use super::error::PageError;
use crate::adapters::http::exchange::Exchange;
use crate::adapters::http::payload;
use crate::domain::people::FormToken;

const FORM: &str = "application/x-www-form-urlencoded";

/// A form that was not sent by another site, as far as the browser says. Whoever acts on it looks at its token too.
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// The value of a field; empty if there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// Whether the form is of the page that `token` was put into.
    pub(super) fn belongs_to(&self, token: &FormToken) -> bool {
        token.matches(self.get("form_token"))
    }

    fn parse(body: &str) -> Option<Self> {
        let pairs: Vec<(String, String)> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        let twice = pairs.iter().enumerate().any(|(i, (name, _))| pairs[..i].iter().any(|(other, _)| other == name));
        (pairs.len() <= 16 && !twice).then_some(Self(pairs))
    }
}

impl<'a> FromRequest<'a> for Form {
    async fn from_request(request: &'a Request, body: &mut RequestBody) -> Result<Self> {
        let exchange = Exchange::of(request)?;
        if comes_from_another_site(request, &exchange.services.policy.issuer) {
            return Err(PageError::ForeignForm { again: None }.into());
        }
        let RawForm(body) = RawForm::from_request(request, body).await?;
        Ok(Self::parse(&body).ok_or(PageError::UnreadableForm)?)
    }
}

/// A form as it was written, from wherever.
pub(super) struct RawForm(pub(super) String);

impl<'a> FromRequest<'a> for RawForm {
    async fn from_request(request: &'a Request, body: &mut RequestBody) -> Result<Self> {
        if payload::essence(request).as_deref() != Some(FORM) {
            return Err(PageError::UnreadableForm.into());
        }
        let body = payload::read(request, body).await?;
        Ok(Self(String::from_utf8(body.into()).map_err(|_| PageError::UnreadableForm)?))
    }
}

/// What browsers say of where a request was made: newer ones in `Sec-Fetch-Site`, all in `Origin`. Since these pages send
/// no referrer, some say `null` there, which is no answer.
pub(super) fn comes_from_another_site(request: &Request, public_url: &str) -> bool {
    if request.header("sec-fetch-site").is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return true;
    }
    match request.header(header::ORIGIN) {
        None | Some("null") => false,
        Some(origin) => !is_ours(origin, public_url, request.header(header::HOST)),
    }
}

/// Whether `origin` is the public URL, or the address that the browser itself used to get here.
fn is_ours(origin: &str, public_url: &str, host: Option<&str>) -> bool {
    let is_public = Url::parse(public_url).is_ok_and(|url| url.origin().ascii_serialization() == origin);
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    is_public || (authority.is_some() && authority == host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_of_another_site_is_told_by_what_the_browser_says() {
        for (headers, foreign) in [
            (vec![], false),
            (vec![("origin", "https://gate.example")], false),
            (vec![("origin", "https://gate.example"), ("sec-fetch-site", "same-origin")], false),
            (vec![("origin", "null"), ("sec-fetch-site", "same-origin")], false),
            (vec![("origin", "null")], false),
            (vec![("origin", "http://inside:8080"), ("host", "inside:8080")], false),
            (vec![("origin", "null"), ("sec-fetch-site", "cross-site")], true),
            (vec![("sec-fetch-site", "same-site")], true),
            (vec![("origin", "https://gate.example"), ("sec-fetch-site", "cross-site")], true),
            (vec![("origin", "https://evil.example")], true),
            (vec![("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")], true),
            (vec![("origin", "http://gate.example")], true),
            (vec![("origin", "https://gate.example:444"), ("host", "gate.example")], true),
            (vec![("origin", "https://gate.example.evil.example")], true),
            (vec![("origin", "")], true),
        ] {
            let builder =
                headers.iter().fold(Request::builder(), |builder, (name, value)| builder.header(*name, *value));
            assert_eq!(comes_from_another_site(&builder.finish(), "https://gate.example"), foreign, "{headers:?}");
        }
    }

    #[test]
    fn a_form_with_a_field_given_twice_is_not_read() {
        assert_eq!(Form::parse("a=1&b=%C3%A9+x").unwrap().get("b"), "é x");
        assert_eq!(Form::parse("").unwrap().get("a"), "");
        assert!(Form::parse("a=1&b=2&a=1").is_none());
        assert!(Form::parse(&"x&".repeat(17)).is_none());
    }
}
