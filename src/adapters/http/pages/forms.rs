//! Forms sent by a browser.

use poem::http::{HeaderName, HeaderValue, header};
use poem::{FromRequest, Request, RequestBody, Result};
use url::{Url, form_urlencoded};

use super::error::PageError;
use super::return_to::ReturnTo;
use crate::adapters::http::server::exchange::Exchange;
use crate::adapters::http::server::payload;
use crate::domain::oauth::Parameters;
use crate::domain::people::FormToken;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FORM: &str = "application/x-www-form-urlencoded";

/// A form that was not sent by another site, according to the browser. Its CSRF token must be checked too.
pub(crate) struct Form(Parameters);

impl Form {
    /// The value of a field; empty if it is missing.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.get(name).unwrap_or_default()
    }

    /// Whether the form has this CSRF token.
    pub(crate) fn belongs_to(&self, token: &FormToken) -> bool {
        token.matches(self.get("form_token"))
    }
}

impl<'a> FromRequest<'a> for Form {
    async fn from_request(request: &'a Request, body: &mut RequestBody) -> Result<Self> {
        let exchange = Exchange::of(request)?;
        refuse_other_sites(request, &exchange.services.policy.resources.issuer, None)?;
        let RawForm(body) = RawForm::from_request(request, body).await?;
        Ok(Self(Parameters::from_form(body.as_bytes()).map_err(|_| PageError::InvalidForm)?))
    }
}

/// A form of our own in which names may come again, such as that of ticked boxes, with at most so many fields.
pub(crate) struct ListForm<const MAX_FIELDS: usize = 256>(Vec<(String, String)>);

impl<const MAX_FIELDS: usize> ListForm<MAX_FIELDS> {
    /// The first value of a field; empty if there is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// Every value of a field.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl<'a, const MAX_FIELDS: usize> FromRequest<'a> for ListForm<MAX_FIELDS> {
    async fn from_request(request: &'a Request, body: &mut RequestBody) -> Result<Self> {
        let exchange = Exchange::of(request)?;
        refuse_other_sites(request, &exchange.services.policy.resources.issuer, None)?;
        let RawForm(body) = RawForm::from_request(request, body).await?;
        if body.split('&').count() > MAX_FIELDS {
            return Err(PageError::InvalidForm.into());
        }
        Ok(Self(form_urlencoded::parse(body.as_bytes()).into_owned().collect()))
    }
}

/// A form from any origin.
pub(crate) struct RawForm(pub(crate) String);

impl<'a> FromRequest<'a> for RawForm {
    async fn from_request(request: &'a Request, body: &mut RequestBody) -> Result<Self> {
        if payload::essence(request).as_deref() != Some(FORM) {
            return Err(PageError::InvalidForm.into());
        }
        let body = payload::read(request, body).await?;
        Ok(Self(String::from_utf8(body.into()).map_err(|_| PageError::InvalidForm)?))
    }
}

/// Rejects what another site sent, according to the browser: newer browsers send `Sec-Fetch-Site`, all send `Origin`. Since
/// these pages send no referrer, some send `null` there, which is inconclusive.
///
/// # Errors
/// [`PageError::ForeignForm`], with where to try `again`; [`PageError::ForeignOrigin`] if only the origin differs, which may
/// also be our own address that is not configured.
pub(crate) fn refuse_other_sites(
    request: &Request,
    public_url: &str,
    again: Option<&ReturnTo>,
) -> Result<(), PageError> {
    let said = |name| request.headers().get(name).map(HeaderValue::as_bytes);
    if said(SEC_FETCH_SITE).is_some_and(|site| !matches!(site, b"same-origin" | b"none")) {
        return Err(PageError::ForeignForm { again: again.cloned() });
    }
    match said(header::ORIGIN) {
        None | Some(b"null") => Ok(()),
        Some(origin) if is_ours(origin, public_url, said(header::HOST)) => Ok(()),
        Some(_) => Err(PageError::ForeignOrigin),
    }
}

/// Whether `origin` is the public URL, or the address that the browser used for this request. In either case the scheme must
/// be that of the public URL: an http page of the same host may come from an attacker on the network.
fn is_ours(origin: &[u8], public_url: &str, host: Option<&[u8]>) -> bool {
    let Ok(public_url) = Url::parse(public_url) else { return false };
    if public_url.origin().ascii_serialization().as_bytes() == origin {
        return true;
    }
    let authority = origin.strip_prefix(public_url.scheme().as_bytes()).and_then(|rest| rest.strip_prefix(b"://"));
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
            (vec![("origin", "https://\u{fc}.example")], true),
            (vec![("sec-fetch-site", "cross-site\u{fc}")], true),
        ] {
            let refused = refuse_other_sites(&request(&headers), "https://gate.example", None);
            assert_eq!(refused.is_err(), foreign, "{headers:?}");
        }
    }

    #[test]
    fn without_tls_a_page_of_the_same_host_is_ours() {
        let from = |origin: &str| request(&[("origin", origin), ("host", "inside:8080")]);
        let public_url = "http://127.0.0.1:8080";
        assert!(refuse_other_sites(&from("http://inside:8080"), public_url, None).is_ok());
        assert!(refuse_other_sites(&from("https://inside:8080"), public_url, None).is_err());
    }

    #[test]
    fn an_origin_that_nobody_has_told_us_is_told_from_another_site() {
        for (headers, told) in [
            (vec![("origin", "https://gate.example:8443"), ("sec-fetch-site", "same-origin")], true),
            (vec![("origin", "https://gate.example:8443")], true),
            (vec![("origin", "https://gate.example:8443"), ("sec-fetch-site", "cross-site")], false),
        ] {
            let refused = refuse_other_sites(&request(&headers), "http://127.0.0.1:8080", None).unwrap_err();
            assert_eq!(matches!(refused, PageError::ForeignOrigin), told, "{headers:?}");
        }
    }

    fn request(headers: &[(&str, &str)]) -> Request {
        let builder = headers.iter().fold(Request::builder(), |builder, (name, value)| {
            builder.header(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap())
        });
        builder.finish()
    }
}
