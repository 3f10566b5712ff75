//! Forms that a browser sends back.

use poem::http::header;
use poem::{FromRequest, Request, RequestBody, Result};
use url::Url;

use super::error::PageError;
use crate::adapters::http::exchange::Exchange;
use crate::adapters::http::payload;
use crate::domain::oauth::Parameters;
use crate::domain::people::FormToken;

const FORM: &str = "application/x-www-form-urlencoded";

/// A form that was not sent by another site, as far as the browser says. Whoever acts on it looks at its token too.
pub(super) struct Form(Parameters);

impl Form {
    /// The value of a field; empty if there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name).unwrap_or_default()
    }

    /// Whether the form is of the page that `token` was put into.
    pub(super) fn belongs_to(&self, token: &FormToken) -> bool {
        token.matches(self.get("form_token"))
    }
}

impl<'a> FromRequest<'a> for Form {
    async fn from_request(request: &'a Request, body: &mut RequestBody) -> Result<Self> {
        let exchange = Exchange::of(request)?;
        if comes_from_another_site(request, &exchange.services.policy.issuer) {
            return Err(PageError::ForeignForm { again: None }.into());
        }
        let RawForm(body) = RawForm::from_request(request, body).await?;
        Ok(Self(Parameters::from_form(body.as_bytes()).map_err(|_| PageError::UnreadableForm)?))
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

/// Whether `origin` is the public URL, or the address that the browser itself used to get here. The scheme has to be that
/// of the public URL either way: an http page of the same host may be the work of somebody on the network.
fn is_ours(origin: &str, public_url: &str, host: Option<&str>) -> bool {
    let Ok(public_url) = Url::parse(public_url) else { return false };
    if public_url.origin().ascii_serialization() == origin {
        return true;
    }
    let authority = origin.strip_prefix(public_url.scheme()).and_then(|rest| rest.strip_prefix("://"));
    authority.is_some() && authority == host
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
            (vec![("origin", "https://inside:8080"), ("host", "inside:8080")], false),
            (vec![("origin", "null"), ("sec-fetch-site", "cross-site")], true),
            (vec![("sec-fetch-site", "same-site")], true),
            (vec![("origin", "https://gate.example"), ("sec-fetch-site", "cross-site")], true),
            (vec![("origin", "https://evil.example")], true),
            (vec![("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")], true),
            (vec![("origin", "http://gate.example")], true),
            (vec![("origin", "http://gate.example"), ("host", "gate.example")], true),
            (vec![("origin", "http://inside:8080"), ("host", "inside:8080")], true),
            (vec![("origin", "httpsx://inside"), ("host", "inside")], true),
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
    fn without_tls_a_page_of_the_same_host_is_ours() {
        let from = |origin: &str| Request::builder().header("origin", origin).header("host", "inside:8080").finish();
        let public_url = "http://127.0.0.1:8080";
        assert!(!comes_from_another_site(&from("http://inside:8080"), public_url));
        assert!(comes_from_another_site(&from("https://inside:8080"), public_url));
    }
}
